"""Requests and approvals: the statements. Each takes a connection and gives back values."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from bastion.errors import Conflict, NotFound
from bastion.requests import Approval, Request, Standing
from bastion.store import values
from bastion.tables import approvals, requests

MOST_PENDING = 20
"""Requests of one user that nobody has decided; more than that is a mistake, or worse."""

MOST_ROWS = 1000

_r, _a = requests.c, approvals.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests a list is about; what is None does not narrow it.

    `standings` are judged at the moment `at`.
    """

    user: str | None = None
    extends: int | None = None
    standings: frozenset[Standing] = frozenset(Standing)
    at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None


def get(connection: Connection, number: int) -> Request | None:
    """The request `R-<number>` with its approvals."""
    row = connection.execute(select(requests).where(_r.id == number)).first()
    return None if row is None else _requests(connection, [row])[0]


def find(
    connection: Connection, wanted: Wanted, limit: int = MOST_ROWS, before: int | None = None
) -> list[Request]:
    """The newest first, at most `limit`; for the next page, `before` is the last one's id."""
    statement = _narrowed(select(requests), wanted).order_by(_r.id.desc())
    if before is not None:
        statement = statement.where(_r.id < before)
    statement = statement.limit(max(0, min(limit, MOST_ROWS)))
    return _requests(connection, connection.execute(statement).all())


def add(connection: Connection, request: Request) -> Request:
    """The request with the number that it is given."""
    row = connection.execute(insert(requests).values(_columns(request)).returning(requests)).one()
    return _requests(connection, [row])[0]


def demand_room(connection: Connection, user: str, now: datetime) -> None:
    """Raises Conflict when more requests of one user wait than anybody means to."""
    waiting = Wanted(user, standings=frozenset({Standing.PENDING}), at=now)
    number = select(func.count()).select_from(requests)
    pending = connection.execute(_narrowed(number, waiting)).scalar_one()
    if pending > MOST_PENDING:
        raise Conflict(f"{MOST_PENDING} requests for {user} wait already: cancel some first.")


def demand_only(connection: Connection, grant: int, now: datetime) -> None:
    """Raises Conflict when it is asked already that this grant may last longer."""
    wanted = Wanted(extends=grant, standings=frozenset({Standing.PENDING}), at=now)
    for waiting in find(connection, wanted, limit=1):
        raise Conflict(f"{waiting} asks for that already, and waits.")


def approve(connection: Connection, number: int, approval: Approval) -> None:
    """Keep somebody's yes, in place of an earlier one of hers, if there is one.

    The caller has seen to it that an earlier one stands no more.
    """
    earlier = (_a.request == number) & (_a.by == approval.by)
    connection.execute(delete(approvals).where(earlier))
    duration = approval.duration
    row = {
        "request": number,
        "by": approval.by,
        "at": approval.at,
        "duration": None if duration is None else int(duration.total_seconds()),
        "comment": approval.comment,
        "source": approval.source,
        "fingerprint": approval.fingerprint,
        "policy": approval.policy,
        "machines": approval.machines,
    }
    connection.execute(insert(approvals), [row])


def decide(
    connection: Connection,
    number: int,
    decision: Standing,
    by: str,
    now: datetime,
    *,
    comment: str | None = None,
    grant: int | None = None,
) -> Request:
    """Decide a request that waits. Raises NotFound, Conflict."""
    statement = (
        update(requests)
        .where(_r.id == number, _r.decision.is_(None), _r.stale_at > now)
        .values(
            decision=decision.value, decided_by=by, decided_at=now, comment=comment, grant=grant
        )
        .returning(requests)
    )
    row = connection.execute(statement).first()
    if row is None:
        raise why_not(number, get(connection, number), now)
    return _requests(connection, [row])[0]


def why_not(number: int, request: Request | None, now: datetime) -> NotFound | Conflict:
    """Why a request can't be decided (any more), as a sentence."""
    if request is None:
        return NotFound(f"There is no request R-{number}.")
    standing = request.standing(now)
    if standing is Standing.STALE:
        return Conflict(f"{request} has gone stale, as nobody decided in time: ask anew.")
    if standing is Standing.CANCELLED:
        return Conflict(f"{request} was withdrawn by {request.decided_by}.")
    given = "" if request.grant is None else f" as G-{request.grant}"
    return Conflict(f"{request} was {standing}{given} already, by {request.decided_by}.")


def _narrowed(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.user is not None:
        statement = statement.where(_r.user == wanted.user)
    if wanted.extends is not None:
        statement = statement.where(_r.extends == wanted.extends)
    if wanted.since is not None:
        statement = statement.where(_r.asked_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(_r.asked_at < wanted.until)
    if wanted.at is None or wanted.standings == frozenset(Standing):
        return statement
    return statement.where(_standing(wanted.standings, wanted.at))


def _standing(standings: Collection[Standing], at: datetime) -> ColumnElement[bool]:
    undecided = _r.decision.is_(None)
    clauses: list[ColumnElement[bool]] = [_r.decision.in_([each.value for each in standings])]
    if Standing.PENDING in standings:
        clauses.append(undecided & (_r.stale_at > at))
    if Standing.STALE in standings:
        clauses.append(undecided & (_r.stale_at <= at))
    return or_(*clauses)


def _requests(connection: Connection, rows: Sequence[Row[Any]]) -> list[Request]:
    ids = [row.id for row in rows]
    given: dict[int, list[Approval]] = {number: [] for number in ids}
    if ids:
        statement = select(approvals).where(_a.request.in_(ids)).order_by(_a.id)
        for row in connection.execute(statement):
            given[row.request].append(_approval(row))
    return [_request(row, given[row.id]) for row in rows]


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        by=row.by,
        at=row.at,
        duration=None if row.duration is None else timedelta(seconds=row.duration),
        comment=row.comment,
        source=row.source,
        fingerprint=row.fingerprint,
        policy=row.policy,
        machines=row.machines,
    )


def _columns(request: Request) -> dict[str, object]:
    return {
        **values.columns_of(request),
        "user": request.user,
        "asked_by": request.asked_by,
        "duration": int(request.duration.total_seconds()),
        "starts_at": request.starts_at,
        "reason": request.reason,
        "ticket": request.ticket,
        "extends": request.extends,
        "emergency": request.emergency,
        "source": request.source,
        "sponsor": request.sponsor,
        "rule": request.rule,
        "policy": request.policy,
        "asked_at": request.asked_at,
        "stale_at": request.stale_at,
    }


def _request(row: Row[Any], given: Sequence[Approval]) -> Request:
    return Request(
        id=row.id,
        user=row.user,
        asked_by=row.asked_by,
        hosts=values.selectors(row.hosts),
        logins=frozenset(row.logins),
        allows=values.allows(row.allows),
        duration=timedelta(seconds=row.duration),
        reason=row.reason,
        asked_at=row.asked_at,
        stale_at=row.stale_at,
        starts_at=row.starts_at,
        ticket=row.ticket,
        sources=values.networks(row.sources),
        window=values.window(row.window),
        extends=row.extends,
        emergency=row.emergency,
        source=row.source,
        sponsor=row.sponsor,
        rule=row.rule,
        policy=row.policy,
        approvals=tuple(given),
        decision=None if row.decision is None else Standing(row.decision),
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        comment=row.comment,
        grant=row.grant,
    )
