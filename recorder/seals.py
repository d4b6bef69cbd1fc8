"""Seals and checkpoints in the database: the statements. Values in, values out; it blocks.

Seals are numbered from 1 and leave nothing out: whoever is first to keep the next one has it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from recorder.index import Database, renamed
from recorder.index_tables import is_live, is_unsealed, prefixes, seals, sessions
from recorder.manifest import Held

_BATCH = 500
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

    def newest(self) -> Kept | None:
        """The one with the highest number."""
        return self._one(select(seals).order_by(_s.number.desc()).limit(1))

    def of(self, session: int) -> Kept | None:
        """The seal of a session."""
        return self._one(select(seals).where(_s.session == session))

    def at(self, number: int) -> Kept | None:
        """The seal with this number."""
        return self._one(select(seals).where(_s.number == number))

    def of_all(self, sessions: Collection[int]) -> dict[int, Kept]:
        """The seals of these sessions, by session."""
        with renamed(), self._database.read() as connection:
            rows = connection.execute(select(seals).where(_s.session.in_(sessions)))
            return {row.session: _kept(row) for row in rows}

    def all(self) -> Iterator[Kept]:
        """All of them in the order of their numbers, read by and by."""
        last = None
        while True:
            statement = select(seals).order_by(_s.number).limit(_BATCH)
            with renamed(), self._database.read() as connection:
                after = statement if last is None else statement.where(_s.number > last)
                page = [_kept(row) for row in connection.execute(after)]
            if not page:
                return
            yield from page
            last = page[-1].number

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

    def _one(self, statement: Select[tuple[object, ...]]) -> Kept | None:
        with renamed(), self._database.read() as connection:
            row = connection.execute(statement).first()
            return None if row is None else _kept(row)


def _kept(row: Row[tuple[object, ...]]) -> Kept:
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
