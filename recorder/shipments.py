"""What became of recordings in the object store: the statements.

Values in, values out; it blocks.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import false, func, or_, select, true, update

from recorder.database import Database, renamed
from recorder.index import MOST_ROWS
from recorder.index_tables import is_kept, is_live, is_uncompacted, is_unshipped, sessions
from recorder.session import Session, Shipment

_s = sessions.c


class Shipments:
    """The shipments of one archive. Raises IndexUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, settled: datetime, *, limit: int, after: int) -> list[int]:
        """Sessions that are sealed, were not let go, and of which nobody has said what became of
        them in the store: the oldest first, after the number `after`.

        Only those whose files have their last form, or that ended before `settled`.
        """
        statement = select(_s.id).where(
            is_unshipped,
            is_kept,
            _s.sealed,
            or_(~is_uncompacted, _s.ended_at < settled),
            _s.id > after,
        )
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement.order_by(_s.id).limit(limit)).scalars())

    def keep(self, session: int, shipment: Shipment) -> None:
        """Keep what became of one."""
        statement = update(sessions).where(_s.id == session).values(shipment=shipment.value)
        with renamed(), self._database.write() as connection:
            connection.execute(statement)

    def runners(self, before: datetime) -> list[str]:
        """Who carried sessions that were over by then, and that are not in the store."""
        statement = select(_s.runner).where(is_unshipped, is_kept, _s.ended_at < before)
        with renamed(), self._database.read() as connection:
            found = connection.execute(statement.distinct()).scalars()
            return [runner for runner in found if runner is not None]

    def of_runners(self, runners: Collection[str], before: datetime) -> list[int]:
        """The sessions of these, among them, the oldest first; a thousand at most."""
        of = (is_unshipped, is_kept, _s.ended_at < before, _s.runner.in_(runners))
        statement = select(_s.id).where(*of).order_by(_s.id).limit(MOST_ROWS)
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def adopt(self, session: Session, runner: str) -> bool:
        """Let that process carry a session that is over; False where another is faster."""
        same = (_s.id == session.id, _s.runner == session.runner, _s.sealed.is_(false()))
        unclosed = _s.sha256.is_(None) if session.recording.sha256 is None else true()
        statement = update(sessions).where(*same, unclosed).values(runner=runner)
        with renamed(), self._database.write() as connection:
            return connection.execute(statement).rowcount == 1

    def refused(self, limit: int) -> list[int]:
        """Sessions whose recordings the store has otherwise, or that were not fit for it."""
        states = [Shipment.OTHER.value, Shipment.CORRUPT.value]
        statement = select(_s.id).where(_s.shipment.in_(states), is_kept)
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement.order_by(_s.id).limit(limit)).scalars())

    def waiting(self) -> tuple[int, int, datetime | None]:
        """How many recordings that are over are not in the store, how many bytes those have, and
        since when the oldest is over."""
        size = func.coalesce(_s.compacted_size, _s.size)
        statement = select(func.count(), func.coalesce(func.sum(size), 0), func.min(_s.ended_at))
        with renamed(), self._database.read() as connection:
            row = connection.execute(statement.where(is_unshipped, is_kept, ~is_live)).one()
        return row[0], int(row[1]), row[2]
