"""Tombstones in the database: the statements. Values in, values out; it blocks.

Whether a recording may go is decided elsewhere, in the transaction that lays its tombstone
(`lay`). From then on it counts as gone; its files are taken away, and then it is finished.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Select, insert, select, update

from recorder.database import Database, renamed, tolerantly
from recorder.index_tables import is_unfinished, sessions, tombstones

_BATCH = 500
_t = tombstones.c


@dataclass(frozen=True, slots=True)
class Laid:
    """A tombstone as it is kept: what was signed, and the armoured signature.

    `finished` is whether the files are away.
    """

    session: int
    text: str
    signature: str
    sha256: str
    at: datetime
    finished: bool = False


def lay(connection: Connection, laid: Laid) -> None:
    """Lay a tombstone and let the session's row say so, within a writing transaction.

    Raises ValueError where the session is not one that is over, or has a tombstone.
    """
    over = (sessions.c.id == laid.session, ~sessions.c.ended_at.is_(None))
    gone = update(sessions).where(*over, sessions.c.let_go_at.is_(None)).values(let_go_at=laid.at)
    if connection.execute(gone).rowcount != 1:
        raise ValueError("it is not over, or was let go already")
    if connection.execute(select(_t.session).where(_t.session == laid.session)).first() is not None:
        raise ValueError("it has a tombstone already")
    values = {column.name: getattr(laid, column.name) for column in _t}
    connection.execute(insert(tombstones), values)


class Tombstones:
    """The tombstones of one archive. Raises IndexUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, session: int) -> Laid | None:
        """The tombstone of a session."""
        found = self._page(select(tombstones).where(_t.session == session))
        return found[0] if found else None

    def of_all(self, sessions: Collection[int]) -> dict[int, Laid | None]:
        """The tombstones of these sessions, by session; None is one that can't be read."""

        def fetched(some: Collection[int]) -> dict[int, Laid | None]:
            page = self._page(select(tombstones).where(_t.session.in_(some)))
            return {laid.session: laid for laid in page}

        return tolerantly(fetched, sessions, self.numbers)

    def numbers(self, after: int | None = None, limit: int = _BATCH) -> list[int]:
        """The sessions that have one, in their order, at most `limit`; those after `after`."""
        statement = select(_t.session).order_by(_t.session).limit(limit)
        if after is not None:
            statement = statement.where(_t.session > after)
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def unfinished(self, after: int = 0, limit: int = _BATCH) -> list[int]:
        """The sessions whose files may be there still, at most `limit`; those after `after`."""
        statement = select(_t.session).where(is_unfinished, _t.session > after)
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement.order_by(_t.session).limit(limit)).scalars())

    def finish(self, session: int) -> None:
        """Keep that a session's files are away."""
        statement = update(tombstones).where(_t.session == session).values(finished=True)
        with renamed(), self._database.write() as connection:
            connection.execute(statement)

    def _page(self, statement: Select[tuple[object, ...]]) -> list[Laid]:
        with renamed(), self._database.read() as connection:
            return [_laid(row) for row in connection.execute(statement)]


def _laid(row: Row[tuple[object, ...]]) -> Laid:
    """Raises TypeError where a text is none: a database keeps what it is given."""
    for text in (row.text, row.signature, row.sha256):
        if not isinstance(text, str):
            raise TypeError("a tombstone is text")
    return Laid(row.session, row.text, row.signature, row.sha256, row.at, row.finished)
