"""Seals and checkpoints in the database: the statements. Values in, values out; it blocks.

Seals are numbered from 1 and leave nothing out: whoever is first to keep the next one has it.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from recorder.database import Database, renamed, tolerantly
from recorder.index_tables import is_live, is_unsealed, prefixes, seals, sessions
from recorder.manifest import Held

_BATCH = 500
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_s, _p = seals.c, prefixes.c


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


class Seals:
    """The seals of one archive. Raises IndexUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Seals

    def place(self) -> tuple[int, str | None]:
        """The next number, and the hash that its manifest has to name: None for the first.

        And behind one whose hash can't be read: that is for `verify` to find, and stops no sealing.
        """
        newest = self.newest_number()
        kept = self.read([newest]).get(newest)
        known = kept is not None and _SHA256.fullmatch(kept.sha256) is not None
        return newest + 1, kept.sha256 if kept is not None and known else None

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

    def keep(self, kept: Kept) -> bool:
        """Keep a seal; False where its number is taken, or the session has one already."""
        values = {column.name: getattr(kept, column.name) for column in _s}
        with renamed():
            try:
                with self._database.write() as connection:
                    connection.execute(insert(seals), values)
            except IntegrityError:
                return False
        return True

    def done(self, session: int) -> None:
        """The seal lies beside the recording: the session is sealed, its checkpoint served."""
        with renamed(), self._database.write() as connection:
            sealed = update(sessions).where(sessions.c.id == session).values(sealed=True)
            connection.execute(sealed)
            connection.execute(delete(prefixes).where(_p.session == session))

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
        if row is None:
            return None
        held = None if row.held is None else Held(row.held)
        shown = Beginning(row.size, row.sha256)
        return Prefix(row.session, row.at, shown, Beginning(row.sent_size, row.sent_sha256), held)

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


def _kept(row: Row[tuple[object, ...]]) -> Kept:
    """Raises TypeError where a text is none: a database keeps what it is given."""
    for text in (row.manifest, row.signature, row.sha256):
        if not isinstance(text, str):
            raise TypeError("a seal is text")
    return Kept(row.number, row.session, row.manifest, row.signature, row.sha256, row.at)


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
