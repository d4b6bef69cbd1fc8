"""The log of events: the statements. Each takes a connection and gives back values.

An event is written in the transaction of what it tells of: both, or neither. Reading takes one
index that fits and, at a million events, looks at no more rows than it has to.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    bindparam,
    func,
    insert,
    select,
    tuple_,
    type_coerce,
    union,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import InternalTraversal

from bastion.events import Chain, Event, Happened, Head, What, following
from bastion.tables import cursors as places
from bastion.tables import events, heads

MOST_ROWS = 1000

_e, _h, _c = events.c, heads.c, places.c
_newest = select(_e.id, _e.hash).order_by(_e.id.desc()).limit(1)
_head = select(heads).where(_h.node == bindparam("of_node"), _h.boot == bindparam("of_boot"))
_insert = insert(events)
_insert_head = insert(heads)
_move_head = update(heads).where(_h.node == bindparam("of_node"), _h.boot == bindparam("of_boot"))

# As they lie: a time or details that can't be read must not keep the others from being read.
_as_kept = {"at": type_coerce(_e.at, String), "details": type_coerce(_e.details, String)}
all_rows = select(*(_as_kept.get(c.name, c).label(c.name) for c in events.c))
"""All events as rows that `read_event` reads."""


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
    """Keep what happened as the next event of `chain`. The transaction must be a writing one."""
    return append_all(connection, chain, [(happened, now)])[0]


def append_all(
    connection: Connection, chain: Chain, told: Sequence[tuple[Happened, datetime]]
) -> list[Event]:
    """Keep several, in their order, as the next events of `chain`; far cheaper than one by one."""
    if not told:
        return []
    newest = connection.execute(_newest).first()
    after = None if newest is None else (int(newest.id), str(newest.hash))
    before = _head_of(connection, chain)
    kept = list(_linked(chain, before, told, after))
    connection.execute(_insert, [_columns(event) for event in kept])
    moved = {"seq": kept[-1].seq, "hash": kept[-1].hash}
    if before is None:
        connection.execute(_insert_head, moved | {"node": chain.node, "boot": chain.boot})
    else:
        connection.execute(_move_head, moved | {"of_node": chain.node, "of_boot": chain.boot})
    return kept


def _linked(
    chain: Chain,
    head: Head | None,
    told: Iterable[tuple[Happened, datetime]],
    after: tuple[int, str] | None,
) -> Iterable[Event]:
    first = 1 if after is None else after[0] + 1
    for number, (happened, at) in enumerate(told, first):
        event = following(number, chain, head, happened, at, after=after)
        head = Head(chain, event.seq, event.hash)
        yield event


# Reading


def all_columns() -> Select[Any]:
    """What `read_event` takes, of all rows."""
    return all_rows


def get(connection: Connection, number: int) -> Event | None:
    """The event of that number."""
    row = connection.execute(all_rows.where(_e.id == number)).first()
    return None if row is None else read_event(row)


def find(
    connection: Connection, wanted: Wanted, limit: int = MOST_ROWS, before: int | None = None
) -> list[Event]:
    """The newest first, at most `limit`; for the next page, `before` is the last one's id.

    Where only the time narrows it, the newest by their times; otherwise by their numbers. These
    differ where a clock was set back.
    """
    limit = max(0, min(limit, MOST_ROWS))
    if _only_time(wanted):
        statement = _in_time(all_rows, wanted, before).order_by(_e.at.desc(), _e.id.desc())
        return [read_event(row) for row in connection.execute(statement.limit(limit))]
    ids = connection.execute(_ids(wanted, limit, before)).scalars().all()
    statement = all_rows.where(_e.id.in_(ids)).order_by(_e.id.desc())
    return [read_event(row) for row in connection.execute(statement)]


def after(
    connection: Connection, number: int, wanted: Wanted | None = None, limit: int = MOST_ROWS
) -> list[Event]:
    """Those that came after the event `number`, oldest first, at most `limit`."""
    statement = all_rows.where(_e.id > number, *_conditions(wanted or Wanted(), None))
    return [read_event(row) for row in connection.execute(statement.order_by(_e.id).limit(limit))]


def last(connection: Connection) -> int:
    """The number of the newest event, 0 where there is none."""
    return connection.execute(select(func.max(_e.id))).scalar() or 0


def hashes(connection: Connection, after: int, upto: int) -> Iterator[str]:
    """The hashes of the events after the number `after`, up to `upto`, in their order; streamed."""
    statement = select(_e.hash).where(_e.id > after, _e.id <= upto).order_by(_e.id)
    with connection.execute(statement.execution_options(yield_per=MOST_ROWS)) as found:
        yield from found.scalars()


def read_event(row: Row[Any]) -> Event:
    """The event in a row; one that can't be read is given back as `event.unreadable`."""
    try:
        what, at, details = What(row.what), _time(row.at), orjson.loads(row.details)
        if not isinstance(details, dict):
            raise ValueError("details are an object")
    except (ValueError, TypeError):
        return _unreadable(row)
    return Event(
        id=row.id,
        chain=Chain(row.node, row.boot),
        seq=row.seq,
        at=at,
        happened=Happened(
            what=what,
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
            details=details,
        ),
        prev=row.prev,
        hash=row.hash,
    )


def _unreadable(row: Row[Any]) -> Event:
    happened = Happened(What.EVENT_UNREADABLE, "unknown", "unknown")
    chain = Chain(str(row.node), str(row.boot))
    nothing = datetime.min.replace(tzinfo=UTC)
    return Event(row.id, chain, 0, nothing, happened, str(row.prev), str(row.hash))


def _time(kept: str | datetime) -> datetime:
    """SQLite gives back the text of a time, without its zone, which is UTC."""
    at = kept if isinstance(kept, datetime) else datetime.fromisoformat(kept)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


# Heads, and how far somebody has come


def all_heads(connection: Connection) -> list[Head]:
    """Where each chain ends."""
    return [_as_head(row) for row in connection.execute(select(heads).order_by(_h.node, _h.boot))]


def node_of(connection: Connection, boot: str) -> str | None:
    """The machine that the chain of a process was told on."""
    return connection.execute(select(_h.node).where(_h.boot == boot).limit(1)).scalar()


def cursor(connection: Connection, name: str) -> int | None:
    """How far `name` has come; None where it has not begun."""
    return connection.execute(select(_c.event).where(_c.name == name)).scalar()


def cursors_of(connection: Connection, prefix: str) -> dict[str, int]:
    """How far each has come whose name begins with `prefix`, without it."""
    found = connection.execute(select(places).where(_c.name.startswith(prefix, autoescape=True)))
    return {row.name.removeprefix(prefix): row.event for row in found}


def moved_at(connection: Connection, name: str) -> datetime | None:
    """When `name` came as far as it has."""
    return connection.execute(select(_c.at).where(_c.name == name)).scalar()


def move_cursor(connection: Connection, name: str, event: int, now: datetime) -> None:
    """Keep that `name` has come as far as `event`."""
    moved = {"event": event, "at": now}
    if connection.execute(update(places).where(_c.name == name).values(moved)).rowcount == 0:
        connection.execute(insert(places).values(name=name, **moved))


def _head_of(connection: Connection, chain: Chain) -> Head | None:
    row = connection.execute(_head, {"of_node": chain.node, "of_boot": chain.boot}).first()
    return None if row is None else _as_head(row)


def _as_head(row: Row[Any]) -> Head:
    return Head(Chain(row.node, row.boot), row.seq, row.hash)


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


# Which rows, and by which index


def _only_time(wanted: Wanted) -> bool:
    timed = wanted.since is not None or wanted.until is not None
    return timed and wanted == Wanted(since=wanted.since, until=wanted.until)


def _in_time(statement: Select[Any], wanted: Wanted, before: int | None) -> Select[Any]:
    if wanted.since is not None:
        statement = statement.where(_e.at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(_e.at < wanted.until)
    if before is not None:
        then = select(_e.at).where(_e.id == before).scalar_subquery()
        statement = statement.where(tuple_(_e.at, _e.id) < tuple_(then, before))
    return statement


def _ids(wanted: Wanted, limit: int, before: int | None) -> Any:  # noqa: ANN401 (a statement)
    """The numbers of a page: the newest of each of the ways to find some, put together."""
    ways = _ways(wanted)
    if len(ways) < 2:
        return _branch(wanted, ways[0] if ways else None, limit, before)
    branches = [_branch(wanted, way, limit, before).subquery() for way in ways]
    found = union(*(select(branch.c.id) for branch in branches)).subquery()
    return select(found.c.id).order_by(found.c.id.desc()).limit(limit)


def _ways(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What an index finds at once, the narrowest that is wanted; none where no index fits."""
    for column, number in (
        (_e.session, wanted.session),
        (_e.request, wanted.request),
        (_e.connection, wanted.connection),
        (_e.grant, wanted.grant),
    ):
        if number is not None:
            return [column == number]
    if wanted.user is not None:
        return [_e.user == wanted.user, _e.actor == wanted.user]
    if wanted.host is not None:
        return [_e.host == wanted.host]
    if wanted.login is not None and not wanted.what:
        return [_e.login == wanted.login]
    return [_e.what == what.value for what in sorted(wanted.what or ())]


def _branch(
    wanted: Wanted, way: ColumnElement[bool] | None, limit: int, before: int | None
) -> Select[Any]:
    statement = select(_e.id).where(*_conditions(wanted, way))
    if before is not None:
        statement = statement.where(_e.id < before)
    return statement.order_by(_e.id.desc()).limit(limit)


def _conditions(wanted: Wanted, way: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    """All that is wanted; only `way` may be looked up in an index."""
    told = [] if way is None else [way]
    for column, value in (
        (_e.host, wanted.host),
        (_e.login, wanted.login),
        (_e.request, wanted.request),
        (_e.grant, wanted.grant),
        (_e.connection, wanted.connection),
        (_e.session, wanted.session),
    ):
        if value is not None:
            told.append(_looked_at(column) == value)
    if wanted.what is not None:
        told.append(_looked_at(_e.what).in_(sorted(what.value for what in wanted.what)))
    if wanted.user is not None:
        told.append((_looked_at(_e.user) == wanted.user) | (_looked_at(_e.actor) == wanted.user))
    if wanted.since is not None:
        told.append(_looked_at(_e.at) >= wanted.since)
    if wanted.until is not None:
        told.append(_looked_at(_e.at) < wanted.until)
    return told


def _looked_at(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column of a row that was found otherwise: SQLite uses no index behind a `+`.

    Left to itself it takes an index of a column that fits half of all rows. PostgreSQL knows how
    many rows a value has, and chooses for itself.
    """
    return _LookedAt(column)


class _LookedAt(ColumnElement[Any]):
    """A column that no index is used for, where that has to be said."""

    inherit_cache = True
    _traverse_internals = [("column", InternalTraversal.dp_clauseelement)]  # noqa: RUF012 (its own)

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column
        self.type = column.type


@compiles(_LookedAt)
def _plainly(element: _LookedAt, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401
    return compiler.process(element.column, **how)


@compiles(_LookedAt, "sqlite")
def _without_index(element: _LookedAt, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401
    return f"+{compiler.process(element.column, **how)}"
