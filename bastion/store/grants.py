"""Grants: the statements. Each takes a connection and gives back values.

Who a grant lets in where is judged in Python (`Grant.covers`); SQL narrows by what it can index.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, union_all, update

from bastion.commands import Command
from bastion.errors import Conflict, NotFound
from bastion.grants import Allows, Grant, State
from bastion.inventory import Host, Selector
from bastion.tables import Json, grants

MOST_LIVE = 500
"""Grants of one user that are not over: door 1 reads them all, so there is a limit."""

LATEST_OVER = 32
"""Ended ones, and as many revoked ones, that door 1 may read too, to say what happened."""

MOST_ROWS = 1000
"""A list is no longer than this; `before` gives the next page."""

_g = grants.c
_of_user = select(grants).where(_g.user == bindparam("user"))
_standing = _g.revoked_at.is_(None)
_live = _standing & (_g.ends_at > bindparam("now"))
_over = _standing & (_g.ends_at <= bindparam("now"))
_ended = _of_user.where(_over).order_by(_g.ends_at.desc()).limit(LATEST_OVER)
_revoked = _of_user.where(~_standing).order_by(_g.revoked_at.desc()).limit(LATEST_OVER)
_not_over = _of_user.where(_live)
_latest_over = union_all(select(_ended.subquery()), select(_revoked.subquery()))
_count_live = select(func.count()).select_from(grants).where(_g.user == bindparam("user"), _live)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which grants a list is about; what is None does not narrow it.

    `host` is one that is covered. `states` are judged at the moment `at`.
    """

    user: str | None = None
    host: Host | None = None
    login: str | None = None
    states: frozenset[State] = frozenset(State)
    at: datetime | None = None

    def takes(self, grant: Grant) -> bool:
        """Whether `grant` is one of them."""
        return (
            (self.host is None or grant.covers(self.host))
            and (self.login is None or self.login in grant.logins)
            and (self.at is None or grant.state(self.at) in self.states)
        )


def get(connection: Connection, number: int) -> Grant | None:
    """The grant `G-<number>`."""
    row = connection.execute(select(grants).where(_g.id == number)).first()
    return None if row is None else _grant(row)


def find(
    connection: Connection, wanted: Wanted, limit: int = MOST_ROWS, before: int | None = None
) -> list[Grant]:
    """The newest first, at most `limit`; for the next page, `before` is the last one's id."""
    statement = _narrowed(select(grants).order_by(_g.id.desc()), wanted)
    if before is not None:
        statement = statement.where(_g.id < before)
    found = filter(wanted.takes, _streamed(connection, statement))
    return list(islice(found, max(0, min(limit, MOST_ROWS))))


def for_the_door(
    connection: Connection, user: str, host: Host | None, now: datetime
) -> tuple[Grant, ...]:
    """All of a user's that are not over at `now`.

    Where none of them covers `host`, the latest that are over too: then there is an end to tell of.
    """
    standing = not_over(connection, user, now)
    if host is None or any(grant.covers(host) for grant in standing):
        return standing
    rows = connection.execute(_latest_over, {"user": user, "now": now})
    return standing + tuple(_grant(row) for row in rows)


def not_over(connection: Connection, user: str, now: datetime) -> tuple[Grant, ...]:
    """All of a user's grants that are scheduled or active at `now`."""
    rows = connection.execute(_not_over, {"user": user, "now": now})
    return tuple(_grant(row) for row in rows)


def covering(connection: Connection, host: Host, now: datetime) -> list[Grant]:
    """All grants that are scheduled or active at `now` and cover `host`."""
    statement = select(grants).where(_standing, _g.ends_at > now).order_by(_g.id)
    return [grant for grant in _streamed(connection, statement) if grant.covers(host)]


def with_ids(connection: Connection, ids: Collection[int]) -> dict[int, Grant]:
    """Those of `ids` that exist, as they stand now."""
    found: dict[int, Grant] = {}
    rest = iter(ids)
    while part := list(islice(rest, MOST_ROWS)):
        for row in connection.execute(select(grants).where(_g.id.in_(part))):
            found[row.id] = _grant(row)
    return found


def add(connection: Connection, grant: Grant, now: datetime) -> Grant:
    """The grant with the number that it is given. Raises Conflict when its user has too many."""
    live = connection.execute(_count_live, {"user": grant.user, "now": now}).scalar_one()
    if live >= MOST_LIVE:
        raise Conflict(f"{grant.user} has {live} grants that are not over: revoke some first.")
    statement = insert(grants).values(_columns(grant, now)).returning(grants)
    return _grant(connection.execute(statement).one())


def revoke(connection: Connection, number: int, by: str, reason: str, now: datetime) -> Grant:
    """End a grant at `now`. Raises NotFound, or Conflict where it is over already."""
    statement = (
        update(grants)
        .where(_g.id == number, _live)
        .values(revoked_at=now, revoked_by=by, revoke_reason=reason)
        .returning(grants)
    )
    row = connection.execute(statement, {"now": now}).first()
    if row is None:
        raise _why_not(number, get(connection, number))
    return _grant(row)


def _why_not(number: int, grant: Grant | None) -> NotFound | Conflict:
    if grant is None:
        return NotFound(f"There is no grant G-{number}.")
    if grant.revoked_at is not None:
        return Conflict(f"{grant} was revoked by {grant.revoked_by} already.")
    return Conflict(f"{grant} is over already.")


def _narrowed(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    """Only what an index helps with; the rest is judged by `Wanted.takes`."""
    if wanted.user is not None:
        statement = statement.where(_g.user == wanted.user)
    if wanted.at is not None and not wanted.states & {State.EXPIRED, State.REVOKED}:
        statement = statement.where(_g.ends_at > wanted.at)
    return statement


def _streamed(connection: Connection, statement: Select[Any]) -> Iterator[Grant]:
    with connection.execution_options(yield_per=MOST_ROWS).execute(statement) as rows:
        for row in rows:
            yield _grant(row)


def _columns(grant: Grant, now: datetime) -> dict[str, object]:
    return {
        "user": grant.user,
        "hosts": [_selector_as_json(selector) for selector in grant.hosts],
        "logins": sorted(grant.logins),
        "allows": {
            "shell": grant.allows.shell,
            "commands": [list(command.argv) for command in grant.allows.commands],
        },
        "sources": [str(network) for network in grant.sources],
        "starts_at": grant.starts_at,
        "ends_at": grant.ends_at,
        "reason": grant.reason,
        "ticket": grant.ticket,
        "granted_by": grant.granted_by,
        "approved_by": list(grant.approved_by),
        "granted_at": now,
    }


def _selector_as_json(selector: Selector) -> Json:
    if selector.pattern is not None:
        return {"pattern": selector.pattern}
    return {"labels": [[key, value] for key, value in sorted(selector.labels)]}


def _selector(kept: dict[str, Any]) -> Selector:
    if "pattern" in kept:
        return Selector(pattern=kept["pattern"])
    return Selector(labels=frozenset((key, value) for key, value in kept["labels"]))


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        id=row.id,
        user=row.user,
        hosts=tuple(map(_selector, row.hosts)),
        logins=frozenset(row.logins),
        allows=Allows(
            shell=row.allows["shell"],
            commands=tuple(Command(tuple(argv)) for argv in row.allows["commands"]),
        ),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        ticket=row.ticket,
        sources=tuple(map(ip_network, row.sources)),
        granted_by=row.granted_by,
        approved_by=tuple(row.approved_by),
        granted_at=row.granted_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        revoke_reason=row.revoke_reason,
    )
