"""The events about one grant: the statements. Each takes a connection and gives back values.

They are found by all that the grant is tied to, and never by what is another grant's: a jump may
carry sessions of several.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, String, or_, select, type_coerce

from bastion.events import Event, What
from bastion.store.events import all_columns, read_event
from bastion.tables import events

BATCH = 500
"""Numbers in one statement."""

_e = events.c
_SERIALS = frozenset({What.CERTIFICATE_SIGNED, What.CERTIFICATE_REVOKED})


@dataclass(frozen=True, slots=True)
class Circle:
    """What a grant is tied to: numbers of requests, sessions, connections and certificates.

    `policies` are the versions of the rules that it was judged by. Where it is `narrowed`, what is
    of another session or connection is left out.
    """

    grant: int
    user: str
    requests: frozenset[int]
    sessions: frozenset[int]
    connections: frozenset[int]
    serials: frozenset[int]
    policies: frozenset[str]
    narrowed: bool = False


def numbers(connection: Connection, circle: Circle, upto: int) -> list[int]:
    """The numbers of its events, up to `upto`, in their order."""
    found: set[int] = set()
    for condition in _conditions(circle):
        statement = select(_e.id).where(condition, _e.id <= upto)
        found.update(connection.execute(statement).scalars())
    found.update(_told_in_details(connection, circle, upto))
    return sorted(found)


def with_numbers(connection: Connection, wanted: Sequence[int]) -> list[Event]:
    """The events with these numbers, at most `BATCH`, in their order."""
    rows = all_columns().where(_e.id.in_(wanted[:BATCH])).order_by(_e.id)
    return [read_event(row) for row in connection.execute(rows)]


def _conditions(circle: Circle) -> Iterator[ColumnElement[bool]]:
    own = _e.grant == circle.grant
    anybodys = or_(own, _e.grant.is_(None))
    if not circle.narrowed:
        yield own
    else:
        bare = _e.session.is_(None)
        yield own & bare & _e.connection.is_(None)
        anybodys &= or_(bare, _e.session.in_(circle.sessions))
    for column, tied in (
        (_e.request, circle.requests),
        (_e.session, circle.sessions),
        (_e.connection, circle.connections),
    ):
        for some in _batches(tied):
            yield column.in_(some) & anybodys


def _told_in_details(connection: Connection, circle: Circle, upto: int) -> Iterator[int]:
    """Certificates of the user's, and versions of the rules, stand in no column."""
    signed = select(_e.id, _details()).where(
        _e.what.in_([what.value for what in _SERIALS]),
        _e.user == circle.user,
        _e.connection.is_(None),
        _e.id <= upto,
    )
    yield from _telling(connection, signed, "serial", circle.serials)
    ruled = select(_e.id, _details()).where(_e.what == What.RULES_CHANGED.value, _e.id <= upto)
    yield from _telling(connection, ruled, "version", circle.policies)


def _details() -> ColumnElement[str]:
    return type_coerce(_e.details, String).label("details")


def _telling(
    connection: Connection, statement: Select[Any], name: str, wanted: Collection[object]
) -> Iterator[int]:
    with connection.execute(statement.execution_options(yield_per=1000)) as rows:
        for number, details in rows:
            try:
                told = orjson.loads(details).get(name)
            except (ValueError, TypeError, AttributeError):
                continue
            if isinstance(told, int | str) and told in wanted:
                yield number


def _batches(wanted: Collection[int]) -> Iterator[list[int]]:
    rest = iter(sorted(wanted))
    while part := list(islice(rest, BATCH)):
        yield part
