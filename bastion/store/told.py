"""What the log of events tells of sessions and of their seals: the statements."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from bastion.events import Chain, Event, Happened, What, bounded
from bastion.store.events import all_rows, read_event
from bastion.tables import events

_e = events.c
_sealed = select(_e.session).where(
    _e.session.in_(bindparam("sessions", expanding=True)),
    _e.what == What.RECORDING_SEALED.value,
)


def missing(
    connection: Connection, chain: Chain, told: Sequence[tuple[Happened, datetime]]
) -> list[tuple[Happened, datetime]]:
    """Those of these, in their order, that are not in `chain` yet, each with its own time."""
    there = all_rows.where(
        _e.at.in_({at for _, at in told}), _e.node == chain.node, _e.boot == chain.boot
    )
    rows = map(read_event, connection.execute(there))
    known = Counter(_mark(event.happened, event.at) for event in rows)
    rest = []
    for happened, at in told:
        mark = _mark(happened, at)
        if known[mark] > 0:
            known[mark] -= 1
        else:
            rest.append((happened, at))
    return rest


def _mark(happened: Happened, at: datetime) -> tuple[object, ...]:
    """What an event is known again by: nothing happens twice in one microsecond."""
    h = bounded(happened)
    return (at, h.what, h.actor, h.source, h.user, h.host, h.session, h.connection, h.why)


def seals_told(connection: Connection, sessions: Collection[int]) -> list[Event]:
    """The events of these sessions that tell of their seals, oldest first."""
    sealed = all_rows.where(_e.session.in_(sessions), _e.what == What.RECORDING_SEALED.value)
    return [read_event(row) for row in connection.execute(sealed.order_by(_e.id))]


def sealed_among(connection: Connection, sessions: Collection[int | None]) -> frozenset[int | None]:
    """Those of these sessions of whose seal an event tells."""
    return frozenset(connection.execute(_sealed, {"sessions": list(sessions)}).scalars())


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
