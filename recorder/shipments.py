"""What became of recordings in the object store: the statements.

Values in, values out; it blocks.
"""

from datetime import datetime

from sqlalchemy import func, or_, select, update

from recorder.index import Database, renamed
from recorder.index_tables import is_kept, is_live, is_uncompacted, is_unshipped, sessions
from recorder.session import Shipment

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
