"""The log of events: the statements. Each takes a connection and gives back values.

An event is written in the transaction of what it tells of: both, or neither.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, update

from bastion.events import Chain, Details, Event, Happened, Head, What, following
from bastion.tables import events, heads

MOST_ROWS = 1000

_e, _h = events.c, heads.c
_newest = select(_e.id, _e.hash).order_by(_e.id.desc()).limit(1)
_head = select(heads).where(_h.node == bindparam("of_node"), _h.boot == bindparam("of_boot"))
_insert = insert(events)
_insert_head = insert(heads)
_move_head = update(heads).where(_h.node == bindparam("of_node"), _h.boot == bindparam("of_boot"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a list is about; what is None does not narrow it. `since <= at < until`.

    `user` is whoever acted or whom it was about.
    """

    what: frozenset[What] | None = None
    user: str | None = None
    host: str | None = None
    login: str | None = None
    request: int | None = None
    grant: int | None = None
    connection: int | None = None
    session: int | None = None
    since: datetime | None = None
    until: datetime | None = None


def append(connection: Connection, chain: Chain, happened: Happened, now: datetime) -> Event:
    """Keep what happened as the next event of `chain`. The transaction must be a writing one.

    The first of a chain says which event was the newest of all when it began, so that chains
    hang together.
    """
    newest = connection.execute(_newest).first()
    head = _head_of(connection, chain)
    if head is None and newest is not None:
        after: dict[str, Details] = {**happened.details, "after": [newest.id, newest.hash]}
        happened = replace(happened, details=after)
    number = 1 if newest is None else newest.id + 1
    event = following(number, chain, head, happened, now)
    connection.execute(_insert, _columns(event))
    if head is None:
        begun = {"node": chain.node, "boot": chain.boot, "seq": event.seq, "hash": event.hash}
        connection.execute(_insert_head, begun)
    else:
        moved = {"seq": event.seq, "hash": event.hash}
        connection.execute(_move_head, moved | {"of_node": chain.node, "of_boot": chain.boot})
    return event


def find(
    connection: Connection, wanted: Wanted, limit: int = MOST_ROWS, before: int | None = None
) -> list[Event]:
    """The newest first, at most `limit`; for the next page, `before` is the last one's id."""
    statement = _narrowed(select(events), wanted).order_by(_e.id.desc())
    if before is not None:
        statement = statement.where(_e.id < before)
    rows = connection.execute(statement.limit(max(0, min(limit, MOST_ROWS))))
    return [read_event(row) for row in rows]


def after(
    connection: Connection, number: int, wanted: Wanted | None = None, limit: int = MOST_ROWS
) -> list[Event]:
    """Those that came after the event `number`, oldest first, at most `limit`."""
    statement = _narrowed(select(events), wanted or Wanted()).where(_e.id > number)
    return [read_event(row) for row in connection.execute(statement.order_by(_e.id).limit(limit))]


def last(connection: Connection) -> int:
    """The number of the newest event, 0 where there is none."""
    return connection.execute(select(func.max(_e.id))).scalar() or 0


def whole(connection: Connection) -> Iterator[Event]:
    """All events in the order of their numbers, streamed."""
    statement = select(events).order_by(_e.id)
    with connection.execution_options(yield_per=MOST_ROWS).execute(statement) as rows:
        for row in rows:
            yield read_event(row)


def read_event(row: Row[Any]) -> Event:
    """The event in a row."""
    return Event(
        id=row.id,
        chain=Chain(row.node, row.boot),
        seq=row.seq,
        at=row.at,
        happened=Happened(
            what=What(row.what),
            actor=row.actor,
            source=row.source,
            account=row.account,
            user=row.user,
            host=row.host,
            login=row.login,
            request=row.request,
            grant=row.grant,
            connection=row.connection,
            session=row.session,
            why=row.why,
            details=cast(Mapping[str, Details], row.details),
        ),
        prev=row.prev,
        hash=row.hash,
    )


def _head_of(connection: Connection, chain: Chain) -> Head | None:
    row = connection.execute(_head, {"of_node": chain.node, "of_boot": chain.boot}).first()
    return None if row is None else Head(chain, row.seq, row.hash)


def _columns(event: Event) -> dict[str, object]:
    told = event.happened
    return {
        "id": event.id,
        "node": event.chain.node,
        "boot": event.chain.boot,
        "seq": event.seq,
        "at": event.at,
        "what": told.what.value,
        "actor": told.actor,
        "source": told.source,
        "account": told.account,
        "user": told.user,
        "host": told.host,
        "login": told.login,
        "request": told.request,
        "grant": told.grant,
        "connection": told.connection,
        "session": told.session,
        "why": told.why,
        "details": dict(told.details),
        "prev": event.prev,
        "hash": event.hash,
    }


def _narrowed(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    for column, value in (
        (_e.host, wanted.host),
        (_e.login, wanted.login),
        (_e.request, wanted.request),
        (_e.grant, wanted.grant),
        (_e.connection, wanted.connection),
        (_e.session, wanted.session),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.what is not None:
        statement = statement.where(_e.what.in_(sorted(wanted.what)))
    if wanted.user is not None:
        statement = statement.where((_e.user == wanted.user) | (_e.actor == wanted.user))
    if wanted.since is not None:
        statement = statement.where(_e.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(_e.at < wanted.until)
    return statement
