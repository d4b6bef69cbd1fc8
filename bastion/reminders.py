"""Reminders: notices that only time brings, made from the state at a moment. Pure.

Each has a key that says which moment is meant, so that it is told once however often, and by
however many processes, it is made. What was missed is made later, but not what has passed by.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from bastion.denials import clock
from bastion.durations import format_duration
from bastion.grants import Grant, State
from bastion.notices import PROGRAM, Audience, Group, Notice, moment
from bastion.particulars import (
    Awaited,
    about_grant,
    about_request,
    decide_lines,
    everybody,
    grant_data,
    request_data,
    told,
    whom,
)
from bastion.requests import Request, Standing

DAYS = 30
"""So often is an unreviewed break-glass brought up again."""

_STRETCHES = 1000
"""Closings of a window that are looked at to find the last one."""


@dataclass(frozen=True, slots=True)
class Timing:
    """After how long a request that waits is brought up again, and then to others too; how long
    before its end a grant is told of; how often an unreviewed break-glass is."""

    remind: timedelta = timedelta(minutes=15)
    escalate: timedelta = timedelta(hours=1)
    before_end: timedelta = timedelta(minutes=15)
    review: timedelta = timedelta(days=1)


def of_grant(grant: Grant, since: datetime, now: datetime, timing: Timing) -> Iterator[Notice]:
    """What is to be said of a grant at `now`, where all that ended up to `since` was told."""
    state = grant.state(now)
    if state is State.ACTIVE:
        yield from _ending(grant, now, timing.before_end)
    if state is State.EXPIRED and grant.ends_at > since:
        yield from _ended(grant, since)
    if grant.emergency and grant.reviewed_at is None:
        yield from _unreviewed(grant, now, timing.review)


def of_request(
    request: Request, awaited: Awaited, since: datetime, now: datetime, timing: Timing
) -> Iterator[Notice]:
    """What is to be said at `now` of a request that nobody has decided."""
    standing = request.standing(now)
    if standing is Standing.PENDING:
        yield from _waiting(request, awaited, now, timing)
    elif standing is Standing.STALE and request.stale_at > since:
        yield _stale(request, awaited)


def last_close(grant: Grant, since: datetime) -> datetime:
    """When a grant is over for good: its end, or the last close of its window before that.

    `since` is a moment before.
    """
    at = max(since, grant.starts_at)
    for _ in range(_STRETCHES if grant.window is not None else 0):
        opens_at = grant.opens_at(at)
        if opens_at is None:
            return at
        at = grant.closes_at(opens_at)
    return grant.ends_at


def _ending(grant: Grant, now: datetime, before: timedelta) -> Iterator[Notice]:
    """Nothing for one that was never longer than that, nor for a window that opens again."""
    closes_at = grant.closes_at(now)
    began = max(grant.starts_at, grant.granted_at or grant.starts_at)
    if closes_at - now > before or closes_at - began <= before:
        return
    if grant.state(closes_at) is State.EXPIRED:
        yield _of_grant(
            grant,
            f"ending {moment(closes_at)}",
            Group.ENDS,
            f"{grant} of {grant.user} ends at {clock(closes_at)}",
            at=now,
            line=f"{PROGRAM} extend {grant} --for 1h",
        )


def _ended(grant: Grant, since: datetime) -> Iterator[Notice]:
    over = last_close(grant, min(since, grant.ends_at))
    if over <= since and grant.window is not None:
        return  # its window closed for the last time before: that was told then
    yield _of_grant(
        grant,
        f"ended {moment(grant.ends_at)}",
        Group.ENDS,
        f"{grant} of {grant.user} is over since {clock(over)}",
        at=over,
        line=_review(grant) if grant.emergency and grant.reviewed_at is None else None,
    )


def _unreviewed(grant: Grant, now: datetime, every: timedelta) -> Iterator[Notice]:
    times = (now - (grant.granted_at or grant.starts_at)) // every
    if 1 <= times <= DAYS:
        yield _of_grant(
            grant,
            f"unreviewed {times}",
            Group.EMERGENCIES,
            f"{grant}, the break-glass of {grant.user}, has not been reviewed yet",
            at=now,
            line=_review(grant),
        )


def _review(grant: Grant) -> str:
    return f"{PROGRAM} review {grant}"


def _of_grant(
    grant: Grant, said: str, group: Group, title: str, *, at: datetime, line: str | None
) -> Notice:
    """`said` begins with what it is about, and goes on with which moment is meant."""
    stage, emergency = said.partition(" ")[0], group is Group.EMERGENCIES
    return Notice(
        key=f"{grant} {said}",
        type=f"grant.{stage}",
        group=group,
        at=at,
        title=title,
        fields=about_grant(grant),
        lines=() if line is None else (line,),
        data={"title": title, "request": None, "grant": grant_data(grant)},
        audience=everybody() if emergency else whom(grant),
        unanswered=emergency,
    )


def _waiting(request: Request, awaited: Awaited, now: datetime, timing: Timing) -> Iterator[Notice]:
    """Counted from the last who agreed: then it waits for somebody else."""
    agreed = len(request.approvals)
    moved = request.approvals[-1].at if agreed else request.asked_at
    waited = format_duration(timedelta(minutes=max(1, (now - moved) // timedelta(minutes=1))))
    if now - moved >= timing.escalate:
        title = f"{request} of {request.user} is UNANSWERED for {waited}"
        yield _of_request(request, awaited, f"unanswered {agreed}", title, at=now)
    elif now - moved >= timing.remind:
        title = f"{request} of {request.user} still waits, for {waited} now"
        yield _of_request(request, awaited, f"waiting {agreed}", title, at=now)


def _of_request(
    request: Request, awaited: Awaited, said: str, title: str, *, at: datetime
) -> Notice:
    stage = said.partition(" ")[0]
    return Notice(
        key=f"{request} {said}",
        type=f"request.{stage}",
        group=Group.REQUESTS,
        at=at,
        title=title,
        fields=(*about_request(request), *told(("waits for", ", ".join(awaited.phrases)))),
        lines=decide_lines(request),
        data={"title": title, "request": request_data(request), "grant": None},
        audience=Audience(frozenset(awaited.people)),
        unanswered=stage == "unanswered",
    )


def _stale(request: Request, awaited: Awaited) -> Notice:
    title = f"{request} of {request.user} has gone stale: nobody decided in time"
    return Notice(
        key=f"{request} stale",
        type="request.stale",
        group=Group.DECISIONS,
        at=request.stale_at,
        title=title,
        fields=about_request(request),
        data={"title": title, "request": request_data(request), "grant": None},
        audience=Audience(frozenset((*request.approvers, *awaited.people)), requester=request.user),
    )
