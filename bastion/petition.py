"""From what somebody wishes to what is asked of the rules, written down, and at last granted.

Pure: the same words on the way from a `Wish` to a `Request` and from there to a `Grant`, so that
what was approved is what was asked, or less.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from bastion.actor import Actor
from bastion.durations import format_duration
from bastion.errors import BadInput, Conflict
from bastion.granting import SLOW, Granted, Proposal, judge, under
from bastion.grants import Allows, Grant
from bastion.inventory import Host, Selector, User
from bastion.policy import clock
from bastion.requests import Request
from bastion.ruling import Asking, Ruling, Way
from bastion.windows import Window


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for. Without `starts_at` it begins when it is approved."""

    user: str
    hosts: tuple[Selector, ...]
    logins: frozenset[str]
    allows: Allows
    duration: timedelta
    reason: str | None
    ticket: str | None = None
    starts_at: datetime | None = None
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    window: Window | None = None
    emergency: bool = False


def asking_for(wish: Wish, user: User) -> Asking:
    """The question to the rules."""
    return Asking(
        user=user,
        hosts=wish.hosts,
        logins=wish.logins,
        allows=wish.allows,
        duration=wish.duration,
        way=Way.EMERGENCY if wish.emergency else Way.REQUEST,
        reason=wish.reason,
        ticket=wish.ticket,
        window=wish.window,
        sources=wish.sources,
        starts_at=wish.starts_at,
    )


def extending(grant: Grant, duration: timedelta, user: User, reason: str, way: Way) -> Asking:
    """The question whether `grant` may last `duration` longer: all of its time counts."""
    return Asking(
        user=user,
        hosts=grant.hosts,
        logins=grant.logins,
        allows=grant.allows,
        duration=grant.ends_at + duration - grant.starts_at,
        way=way,
        reason=reason,
        ticket=grant.ticket,
        window=grant.window,
        sources=grant.sources,
        starts_at=grant.starts_at,
    )


def wished(request: Request) -> Wish:
    """What a request asked for."""
    return Wish(
        user=request.user,
        hosts=request.hosts,
        logins=request.logins,
        allows=request.allows,
        duration=request.duration,
        reason=request.reason,
        ticket=request.ticket,
        starts_at=request.starts_at,
        sources=request.sources,
        window=request.window,
        emergency=request.emergency,
    )


def granted(
    wish: Wish, ruling: Ruling, user: User, hosts: Sequence[Host], now: datetime
) -> Granted:
    """The grant that comes of a wish now, without a number. `hosts` is the whole inventory.

    Its time counts from now, or from the start that was asked for; where some of that is past
    by now, the rest is left. Raises BadInput, NotFound, Refused, Conflict.
    """
    starts_at = wish.starts_at or now
    ends_at = starts_at + wish.duration
    if ends_at <= now:
        raise Conflict(f"Its time was over at {clock(ends_at)}: ask anew.")
    proposal = Proposal(
        user=wish.user,
        hosts=wish.hosts,
        logins=wish.logins,
        allows=wish.allows,
        ends_at=ends_at,
        reason=wish.reason or "",
        starts_at=max(starts_at, now),
        ticket=wish.ticket,
        sources=ruling.sources,
        window=ruling.window,
    )
    judged = judge(proposal, user, hosts, user.name, now)
    return replace(judged, grant=under(ruling, judged.grant, emergency=wish.emergency))


def written(wish: Wish, grant: Grant, actor: Actor, now: datetime, lifetime: timedelta) -> Request:
    """The request as it is kept, in the words of the grant that would come of it.

    Nobody can decide it `lifetime` from `now` on. Raises BadInput.
    """
    if wish.starts_at is not None and wish.starts_at < now - SLOW:
        raise BadInput(f"The start, {clock(wish.starts_at)}, is past: leave it out to begin now.")
    return Request(
        id=0,
        user=wish.user,
        asked_by=actor.name,
        hosts=grant.hosts,
        logins=grant.logins,
        allows=wish.allows,
        duration=wish.duration,
        reason=grant.reason,
        asked_at=now,
        stale_at=now + lifetime,
        starts_at=wish.starts_at,
        ticket=grant.ticket,
        sources=wish.sources,
        window=wish.window,
        emergency=wish.emergency,
        source=actor.source,
        rule=grant.rule,
        policy=grant.policy,
    )


def shorter(request: Request, duration: timedelta | None) -> timedelta | None:
    """What an approver says instead of the time that was asked for. Raises BadInput if longer."""
    if duration is None or duration == request.duration:
        return None
    if duration > request.duration:
        asked = format_duration(request.duration)
        raise BadInput(f"{request} asks for {asked}: an approval may be shorter, never longer.")
    return duration
