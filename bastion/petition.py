"""From what somebody wishes to what is asked of the rules, written down, and at last granted.

Pure: the same words on the way from a `Wish` to a `Request` and from there to a `Grant`, so that
what was approved is what was asked, or less; and what is asked, where a grant is to last longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from bastion.actor import Actor
from bastion.denials import clock
from bastion.durations import LONGEST, format_duration
from bastion.errors import BadInput, Conflict
from bastion.events import Details
from bastion.granting import SLOW, Granted, Proposal, judge, under
from bastion.grants import Allows, Grant
from bastion.inventory import Host, Selector, User
from bastion.requests import Approval, Request
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


def demand_possible(wish: Wish, now: datetime) -> None:
    """Raises BadInput where it would begin in the past, or after everybody's time."""
    if wish.starts_at is None:
        return
    if wish.starts_at < now - SLOW:
        raise BadInput(f"The start, {clock(wish.starts_at)}, is past: leave it out to begin now.")
    if wish.starts_at > now + LONGEST:
        raise BadInput(f"The start, {clock(wish.starts_at)}, is more than ten years away.")


def details_of(wish: Wish, policy: str) -> dict[str, Details]:
    """What was asked for, as the log of events has it, and the version of the rules."""
    return {
        "hosts": [str(selector) for selector in wish.hosts],
        "logins": sorted(wish.logins),
        "shell": wish.allows.shell,
        "commands": [str(command) for command in wish.allows.commands],
        "sftp": [str(files) for files in wish.allows.sftp],
        "forwards": [str(forward) for forward in wish.allows.forwards],
        "seconds": int(wish.duration.total_seconds()),
        "emergency": wish.emergency,
        "policy": policy,
    }


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

    Its hours and networks are those that the rule gives it today: whoever agrees, agrees to these.
    Nobody can decide it `lifetime` from `now` on.
    """
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
        sources=grant.sources,
        window=grant.window,
        emergency=wish.emergency,
        source=actor.source,
        rule=grant.rule,
        policy=grant.policy,
    )


def shorter(request: Request, duration: timedelta | None) -> timedelta | None:
    """What an approver says instead of the time that was asked for. Raises BadInput if longer."""
    if duration is None or duration == request.duration:
        return None
    if duration <= timedelta():
        raise BadInput("An approval for no time at all is none: deny it instead.")
    if duration > request.duration:
        asked = format_duration(request.duration)
        raise BadInput(f"{request} asks for {asked}: an approval may be shorter, never longer.")
    return duration


def agreement(
    actor: Actor,
    policy: str,
    machines: str,
    now: datetime,
    *,
    duration: timedelta | None = None,
    comment: str | None = None,
) -> Approval:
    """Somebody's yes, as it is kept. `policy` is the version of the rules."""
    return Approval(
        by=actor.name,
        at=now,
        duration=duration,
        comment=comment,
        source=actor.source,
        fingerprint=None if actor.key is None else actor.key.fingerprint,
        policy=policy,
        machines=machines,
    )


# To last longer


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


def demand_within(grant: Grant, ruling: Ruling) -> None:
    """Raises Conflict where a grant is wider than what the rule would give today.

    Hours and networks of its own lie within the rule's, or there would be no ruling. But where it
    has none it would go on without what the rule has come to want, as it stays the same grant.
    """
    hours = ruling.window is not None and not ruling.window.always
    lacks = {
        "hours": hours and grant.window is None,
        "networks": bool(ruling.sources) and not grant.sources,
        "a hardware key": ruling.hardware and not grant.hardware,
        "somebody who watches": ruling.watch and not grant.watch,
    }
    for what, lacking in lacks.items():
        if lacking:
            limits = f"the rule {ruling.rule.name!r} limits it to {what}"
            raise Conflict(f"{grant} is wider than the rules are today, as {limits}: ask anew.")


def lengthening(
    grant: Grant,
    duration: timedelta,
    reason: str,
    ruling: Ruling,
    *,
    by: Actor,
    sponsor: str | None,
    now: datetime,
    lifetime: timedelta,
) -> Request:
    """The request that `grant` may last `duration` longer; it is stale when the grant is over."""
    return Request(
        id=0,
        user=grant.user,
        asked_by=by.name,
        hosts=grant.hosts,
        logins=grant.logins,
        allows=grant.allows,
        duration=duration,
        reason=reason,
        asked_at=now,
        stale_at=min(now + lifetime, grant.ends_at),
        ticket=grant.ticket,
        sources=grant.sources,
        window=grant.window,
        extends=grant.id,
        source=by.source,
        sponsor=sponsor,
        rule=ruling.rule.name,
        policy=ruling.version,
    )
