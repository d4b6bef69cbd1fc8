"""What the log of events tells of sessions and of their seals: the statements."""

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from bastion.events import Event, What
from bastion.store.events import all_rows, read_event
from bastion.tables import events

_e = events.c


def about_sessions(
    connection: Connection, sessions: Collection[int]
) -> frozenset[tuple[int, What]]:
    """Which events there are of these sessions: their number, and what it tells."""
    statement = select(_e.session, _e.what).where(_e.session.in_(sessions)).distinct()
    kinds = {what.value for what in What}
    return frozenset((n, What(w)) for n, w in connection.execute(statement) if w in kinds)


def seals_told(connection: Connection, sessions: Collection[int]) -> list[Event]:
    """The events of these sessions that tell of their seals, oldest first."""
    sealed = all_rows.where(_e.session.in_(sessions), _e.what == What.RECORDING_SEALED.value)
    return [read_event(row) for row in connection.execute(sealed.order_by(_e.id))]


def seals_after(connection: Connection, number: int) -> int:
    """How many events after the event `number` tell of seals."""
    sealed = select(func.count()).where(_e.id > number, _e.what == What.RECORDING_SEALED.value)
    return connection.execute(sealed).scalar_one()


def sessions_begun(connection: Connection, after: int, limit: int) -> list[tuple[int, int]]:
    """Events after the event `after` that tell of a session's begin: number and session."""
    begun = select(_e.id, _e.session).where(
        _e.id > after, _e.what == What.SESSION_STARTED.value, _e.session.is_not(None)
    )
    rows = connection.execute(begun.order_by(_e.id).limit(limit))
    return [(row.id, row.session) for row in rows]
