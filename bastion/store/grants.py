"""Grants: the statements. Each takes a connection and gives back values.

Who a grant lets in where is judged in Python (`Grant.covers`); SQL narrows by what it can index.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    bindparam,
    false,
    func,
    insert,
    or_,
    select,
    type_coerce,
    union_all,
    update,
)

from bastion.errors import Conflict, NotFound
from bastion.grants import Grant, State
from bastion.inventory import Host
from bastion.store import values
from bastion.tables import grants

MOST_LIVE = 500
"""Grants of one user that are not over: door 1 reads them all, so there is a limit."""

LATEST_OVER = 16
"""Ended ones, and as many revoked ones, that door 1 may read too, to say what happened."""

MOST_ROWS = 1000
"""A list is no longer than this; `before` gives the next page."""

_g = grants.c
_mine = _g.user == bindparam("user")
_hosts_of_user = select(_g.id, _g.hosts).where(_mine)
_standing = _g.revoked_at.is_(None)
_live = _standing & (_g.ends_at > bindparam("now"))
_over = _standing & (_g.ends_at <= bindparam("now"))
_ended = _hosts_of_user.where(_over).order_by(_g.ends_at.desc()).limit(LATEST_OVER)
_revoked = _hosts_of_user.where(~_standing).order_by(_g.revoked_at.desc()).limit(LATEST_OVER)
_live_hosts = _hosts_of_user.where(_live)
_latest_over_hosts = union_all(select(_ended.subquery()), select(_revoked.subquery()))
_count_live = select(func.count()).select_from(grants).where(_mine, _live)
_not_over = select(grants).where(_mine, _live)
_with_id = select(grants).where(_g.id == bindparam("id"))
_with_ids = select(grants).where(_g.id.in_(bindparam("ids", expanding=True))).order_by(_g.id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which grants a list is about; what is None does not narrow it.

    `host` is one that is covered. `states` are judged at the moment `at`. `unreviewed` are those
    of break-glass that nobody has looked at since.
    """

    user: str | None = None
    host: Host | None = None
    login: str | None = None
    states: frozenset[State] = frozenset(State)
    at: datetime | None = None
    unreviewed: bool = False

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
    """A user's that cover `host`: all that are not over at `now`.

    Where there is none, the latest that are over: then there is an end to tell of.
    """
    if host is None:
        return ()
    for statement in (_live_hosts, _latest_over_hosts):
        meant = _covering(connection.execute(statement, {"user": user, "now": now}), host)
        if meant:
            return tuple(with_ids(connection, meant).values())
    return ()


def not_over(connection: Connection, user: str, now: datetime) -> tuple[Grant, ...]:
    """All of a user's grants that are scheduled or active at `now`."""
    rows = connection.execute(_not_over, {"user": user, "now": now})
    return tuple(_grant(row) for row in rows)


def covering(connection: Connection, host: Host, now: datetime) -> list[Grant]:
    """All grants that are scheduled or active at `now` and cover `host`."""
    statement = select(_g.id, _g.hosts).where(_standing, _g.ends_at > now)
    return list(with_ids(connection, _covering(connection.execute(statement), host)).values())


def with_ids(connection: Connection, ids: Collection[int]) -> dict[int, Grant]:
    """Those of `ids` that exist, as they stand now, by their numbers."""
    found: dict[int, Grant] = {}
    rest = iter(sorted(ids))
    while part := list(islice(rest, MOST_ROWS)):
        for row in _rows_of(connection, part):
            found[row.id] = _grant(row)
    return found


def _rows_of(connection: Connection, ids: list[int]) -> Iterable[Row[Any]]:
    """A list is written into its statement each time, so a single number has one of its own."""
    if len(ids) == 1:
        return connection.execute(_with_id, {"id": ids[0]})
    return connection.execute(_with_ids, {"ids": ids})


def _covering(rows: Iterable[Row[Any]], host: Host) -> list[int]:
    """The numbers of those whose selectors mean `host`: most do not, and need not be read whole."""
    return [
        row.id for row in rows if any(each.matches(host) for each in values.selectors(row.hosts))
    ]


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


def extend(connection: Connection, number: int, until: datetime, now: datetime) -> Grant:
    """A grant that is not over ends at `until` instead, if that is later.

    Raises NotFound; Conflict where it is over.
    """
    statement = (
        update(grants)
        .where(_g.id == number, _live, _g.ends_at < until)
        .values(ends_at=until)
        .returning(grants)
    )
    row = connection.execute(statement, {"now": now}).first()
    if row is None:
        raise _why_not(number, get(connection, number))
    return _grant(row)


def review(connection: Connection, number: int, by: str, comment: str, now: datetime) -> Grant:
    """Close the review of a break-glass grant. Raises NotFound, Conflict."""
    statement = (
        update(grants)
        .where(_g.id == number, _g.emergency, _g.reviewed_at.is_(None))
        .values(reviewed_at=now, reviewed_by=by, review_comment=comment)
        .returning(grants)
    )
    row = connection.execute(statement).first()
    if row is not None:
        return _grant(row)
    grant = get(connection, number)
    if grant is None:
        raise NotFound(f"There is no grant G-{number}.")
    if not grant.emergency:
        raise Conflict(f"{grant} was not given by break-glass: there is nothing to review.")
    raise Conflict(f"{grant} was reviewed by {grant.reviewed_by} already.")


def _why_not(number: int, grant: Grant | None) -> NotFound | Conflict:
    if grant is None:
        return NotFound(f"There is no grant G-{number}.")
    if grant.revoked_at is not None:
        return Conflict(f"{grant} was revoked by {grant.revoked_by} already.")
    return Conflict(f"{grant} is over already.")


def _narrowed(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    """All that SQL can tell, so that few rows are made into values; `Wanted.takes` judges them."""
    if wanted.user is not None:
        statement = statement.where(_g.user == wanted.user)
    if wanted.unreviewed:
        statement = statement.where(_g.emergency, _g.reviewed_at.is_(None))
    if wanted.host is not None:
        statement = statement.where(_may_cover(wanted.host))
    if wanted.login is not None:
        statement = statement.where(_names(_g.logins, wanted.login))
    if wanted.at is not None and wanted.states != frozenset(State):
        some = (_may_be(state, wanted.at) for state in sorted(wanted.states))
        statement = statement.where(or_(false(), *some))
    return statement


def _may_cover(host: Host) -> ColumnElement[bool]:
    """A selector that names it, or one that does not name hosts."""
    kept = type_coerce(_g.hosts, Text)
    named = (_names(_g.hosts, name) for name in sorted(host.names))
    return or_(kept.contains("*"), kept.contains("?"), _names(_g.hosts, "labels"), *named)


def _may_be(state: State, at: datetime) -> ColumnElement[bool]:
    """Whether a grant is in this state at that time; where it has a window, whether it may be."""
    revoked = _g.revoked_at.is_not(None) & (_g.revoked_at <= at)
    if state is State.REVOKED:
        return revoked
    windowed = type_coerce(_g.window, Text) != "null"
    if state is State.EXPIRED:
        return ~revoked & ((_g.ends_at <= at) | windowed)
    begun = (_g.starts_at <= at) if state is State.ACTIVE else (_g.starts_at > at) | windowed
    return ~revoked & (_g.ends_at > at) & begun


def _names(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether a column of JSON has this string somewhere."""
    return type_coerce(column, Text).contains(orjson.dumps(text).decode(), autoescape=True)


def _streamed(connection: Connection, statement: Select[Any]) -> Iterator[Grant]:
    with connection.execution_options(yield_per=MOST_ROWS).execute(statement) as rows:
        for row in rows:
            yield _grant(row)


def _columns(grant: Grant, now: datetime) -> dict[str, object]:
    return {
        "user": grant.user,
        **values.columns_of(grant),
        "starts_at": grant.starts_at,
        "ends_at": grant.ends_at,
        "reason": grant.reason,
        "ticket": grant.ticket,
        "granted_by": grant.granted_by,
        "approved_by": list(grant.approved_by),
        "granted_at": now,
        "request": grant.request,
        "rule": grant.rule,
        "policy": grant.policy,
        "override": grant.override,
        "emergency": grant.emergency,
        "watch": grant.watch,
        "hardware": grant.hardware,
    }


def _grant(row: Row[Any]) -> Grant:
    return Grant(
        id=row.id,
        user=row.user,
        hosts=values.selectors(row.hosts),
        logins=frozenset(row.logins),
        allows=values.allows(row.allows),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        ticket=row.ticket,
        sources=values.networks(row.sources),
        granted_by=row.granted_by,
        approved_by=tuple(row.approved_by),
        granted_at=row.granted_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        revoke_reason=row.revoke_reason,
        window=values.window(row.window),
        request=row.request,
        rule=row.rule,
        policy=row.policy,
        override=row.override,
        emergency=row.emergency,
        watch=row.watch,
        hardware=row.hardware,
        reviewed_at=row.reviewed_at,
        reviewed_by=row.reviewed_by,
        review_comment=row.review_comment,
    )
