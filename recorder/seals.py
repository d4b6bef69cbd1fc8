"""Seals and checkpoints in the database: the statements. Values in, values out; it blocks.

Seals are numbered from 1 and leave nothing out: whoever is first to keep the next one has it.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from recorder.database import Database, renamed, tolerantly
from recorder.errors import IndexUnavailable
from recorder.index_tables import is_live, is_unsealed, prefixes, seals, sessions
from recorder.manifest import Held
from recorder.rows import session_of
from recorder.session import Session

_BATCH = 500
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_s, _p = seals.c, prefixes.c

# Each of these is built once: a session's end waits for them.
_newest = select(_s.number, _s.sha256).order_by(_s.number.desc()).limit(1)
_insert = insert(seals)
_numbers: BindParameter[int] = bindparam("numbers", expanding=True)
_seal_sessions = update(sessions).where(sessions.c.id.in_(_numbers)).values(sealed=True)
_forget = delete(prefixes).where(_p.session.in_(_numbers))


@dataclass(frozen=True, slots=True)
class Kept:
    """A seal as it is kept: what was signed, and the armoured signature."""

    number: int
    session: int
    manifest: str
    signature: str
    sha256: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first `size` bytes of a file that grows: their SHA-256 (hex)."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """How both files of a session's recording began at a time: what was shown, what was sent.

    `held` is what became of that when the session was interrupted.
    """

    session: int
    at: datetime
    shown: Beginning
    sent: Beginning
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A session, with its seal where it has one, and the checkpoint that was kept of it."""

    session: Session
    kept: Kept | None
    prefix: Prefix | None


_asked = (
    select(
        sessions,
        *(column.label(f"seal_{column.name}") for column in _s),
        *(column.label(f"prefix_{column.name}") for column in _p),
    )
    .outerjoin(seals, _s.session == sessions.c.id)
    .outerjoin(prefixes, _p.session == sessions.c.id)
    .where(sessions.c.id.in_(_numbers))
)

Told = Callable[[Connection, Sequence[tuple[Session, Kept]]], None]
"""Is told of seals, and keeps it in the transaction that is handed to it. Perhaps twice: what it
has heard of is left out."""


class Seals:
    """The seals of one archive. Raises IndexUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Seals

    def place(self) -> tuple[int, str | None]:
        """The next number, and the hash that its manifest has to name: None for the first.

        And behind one whose hash can't be read: that is for `verify` to find, and stops no sealing.
        """
        try:
            with renamed(), self._database.read() as connection:
                row = connection.execute(_newest).first()
        except IndexUnavailable:
            return self.newest_number() + 1, None  # unless it is the database that is away
        if row is None:
            return 1, None
        known = isinstance(row.sha256, str) and _SHA256.fullmatch(row.sha256) is not None
        return row.number + 1, row.sha256 if known else None

    def asked(self, numbers: Collection[int]) -> dict[int, Asked]:
        """Those of these sessions that there are, with what is to be known to seal them."""
        with renamed(), self._database.read() as connection:
            rows = connection.execute(_asked, {"numbers": list(numbers)})
            return {row.id: _as_asked(row) for row in rows}

    def of(self, session: int) -> Kept | None:
        """The seal of a session."""
        return self._one(select(seals).where(_s.session == session))

    def at(self, number: int) -> Kept | None:
        """The seal with this number."""
        return self._one(select(seals).where(_s.number == number))

    def of_all(self, sessions: Collection[int]) -> dict[int, Kept | None]:
        """The seals of these sessions, by session; None is one that can't be read."""

        def fetched(some: Collection[int]) -> dict[int, Kept | None]:
            return {kept.session: kept for kept in self._some(_s.session.in_(some))}

        return tolerantly(fetched, sessions, self.newest_number)

    def read(self, numbers: Collection[int]) -> dict[int, Kept | None]:
        """The seals with these numbers, as far as there are; None is one that can't be read."""

        def fetched(some: Collection[int]) -> dict[int, Kept | None]:
            return {kept.number: kept for kept in self._some(_s.number.in_(some))}

        return tolerantly(fetched, numbers, self.newest_number)

    def numbers(self, after: int | None = None, limit: int = _BATCH) -> list[int]:
        """The numbers of seals in their order, at most `limit`; those after `after`."""
        statement = select(_s.number).order_by(_s.number).limit(limit)
        if after is not None:
            statement = statement.where(_s.number > after)
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def newest_number(self) -> int:
        """The highest number, 0 where there is none."""
        with renamed(), self._database.read() as connection:
            return connection.execute(select(func.max(_s.number))).scalar() or 0

    def all(self) -> Iterator[Kept]:
        """All of them in the order of their numbers, read by and by."""
        last: int | None = None
        while page := self.numbers(last):
            yield from self._some(_s.number.in_(page))
            last = page[-1]

    def keep(self, sealed: Sequence[tuple[Session, Kept]], told: Told) -> bool:
        """Keep the next seals, and tell of them: all, or none.

        False where a number is taken, or a session has one already.
        """
        with renamed():
            try:
                with self._database.write() as connection:
                    connection.execute(_insert, [_values(kept) for _, kept in sealed])
                    told(connection, sealed)
            except IntegrityError:
                return False
        return True

    def done(self, asked: Sequence[Asked], told: Told) -> None:
        """Their seals lie beside the recordings: they are sealed, their checkpoints served.

        Tells of what was kept before, by somebody who may have been killed before telling it.
        """
        before = [(each.session, each.kept) for each in asked if each.kept is not None]
        marked = [each.session.id for each in asked if each.prefix is not None]
        with renamed(), self._database.write() as connection:
            if before:
                told(connection, before)
            connection.execute(_seal_sessions, {"numbers": [each.session.id for each in asked]})
            if marked:
                connection.execute(_forget, {"numbers": marked})

    def unsealed(self, limit: int, after: int = 0) -> list[int]:
        """Sessions that are over and not sealed, the oldest first; those after `after`."""
        statement = (
            select(sessions.c.id)
            .where(is_unsealed, ~is_live, sessions.c.id > after)
            .order_by(sessions.c.id)
            .limit(limit)
        )
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def count_unsealed(self) -> int:
        """How many sessions are over and not sealed."""
        statement = select(func.count()).where(is_unsealed, ~is_live)
        with renamed(), self._database.read() as connection:
            return connection.execute(statement).scalar_one()

    # Checkpoints of what grows

    def mark(self, marked: Sequence[Prefix]) -> None:
        """Keep how far these recordings have come, in one transaction, each in place of before.

        One that is over meanwhile is left out.
        """
        with renamed(), self._database.write() as connection:
            for start in range(0, len(marked), _BATCH):
                _mark(connection, marked[start : start + _BATCH])

    def prefix(self, session: int) -> Prefix | None:
        """The checkpoint of a session."""
        with renamed(), self._database.read() as connection:
            row = connection.execute(select(prefixes).where(_p.session == session)).first()
        return None if row is None else _prefix(row)

    def hold(self, session: int, held: Held) -> None:
        """Keep what became of a session's checkpoint; the first word stays."""
        statement = update(prefixes).where(_p.session == session, _p.held.is_(None))
        with renamed(), self._database.write() as connection:
            connection.execute(statement.values(held=held.value))

    def _some(self, condition: ColumnElement[bool]) -> list[Kept]:
        statement = select(seals).where(condition).order_by(_s.number)
        with renamed(), self._database.read() as connection:
            return [_kept(row) for row in connection.execute(statement)]

    def _one(self, statement: Select[tuple[object, ...]]) -> Kept | None:
        with renamed(), self._database.read() as connection:
            row = connection.execute(statement).first()
            return None if row is None else _kept(row)


def _kept(row: Row[tuple[object, ...]], named: str = "") -> Kept:
    """Raises TypeError where a text is none: a database keeps what it is given."""
    number, session, manifest, signature, sha256, at = (
        getattr(row, f"{named}{column.name}") for column in _s
    )
    for text in (manifest, signature, sha256):
        if not isinstance(text, str):
            raise TypeError("a seal is text")
    return Kept(number, session, manifest, signature, sha256, at)


def _values(kept: Kept) -> dict[str, object]:
    return {column.name: getattr(kept, column.name) for column in _s}


def _prefix(row: Row[tuple[object, ...]], named: str = "") -> Prefix:
    session, at, size, sha256, sent_size, sent_sha256, held = (
        getattr(row, f"{named}{column.name}") for column in _p
    )
    known = None if held is None else Held(held)
    shown, sent = Beginning(size, sha256), Beginning(sent_size, sent_sha256)
    return Prefix(session, at, shown, sent, known)


def _as_asked(row: Row[tuple[object, ...]]) -> Asked:
    kept = None if row.seal_number is None else _kept(row, "seal_")
    prefix = None if row.prefix_session is None else _prefix(row, "prefix_")
    return Asked(session_of(row), kept, prefix)


def _mark(connection: Connection, marked: Sequence[Prefix]) -> None:
    numbers = [each.session for each in marked]
    live = select(sessions.c.id).where(sessions.c.id.in_(numbers), is_live)
    going_on = set(connection.execute(live).scalars())
    rows = [_marked(each) for each in marked if each.session in going_on]
    if rows:
        connection.execute(delete(prefixes).where(_p.session.in_(going_on)))
        connection.execute(insert(prefixes), rows)


def _marked(prefix: Prefix) -> dict[str, object]:
    return {
        "session": prefix.session,
        "at": prefix.at,
        "size": prefix.shown.size,
        "sha256": prefix.shown.sha256,
        "sent_size": prefix.sent.size,
        "sent_sha256": prefix.sent.sha256,
    }
