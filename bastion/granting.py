"""Whether a grant may be given, and what its giver should know: pure.

The user, the inventory and the time arrive as arguments. A refusal is an exception here, as it
ends the verb: nothing was written yet.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from bastion.cautions import cautions
from bastion.denials import clock
from bastion.durations import LONGEST
from bastion.errors import BadInput, NotFound, Refused
from bastion.grants import Allows, Grant
from bastion.inventory import Host, Selector, User
from bastion.names import free_text, login_name
from bastion.rules import Rules
from bastion.ruling import Asking, Refusal, Ruling, rule_for
from bastion.windows import Window

SLOW = timedelta(minutes=5)
"""A start that is past by no more than this was meant as now: typing takes time."""

MOST = 100
"""Hosts, logins or networks of one grant."""

MOST_COMMANDS = 1000
"""Command templates of one grant."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An access that somebody is about to give. Without `starts_at` it begins at once."""

    user: str
    hosts: tuple[Selector, ...]
    logins: frozenset[str]
    allows: Allows
    ends_at: datetime
    reason: str
    starts_at: datetime | None = None
    ticket: str | None = None
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    window: Window | None = None
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant, and what its giver should know about it, a sentence each."""

    grant: Grant
    warnings: tuple[str, ...] = ()


def judge(
    proposal: Proposal, user: User, hosts: Sequence[Host], giver: str, now: datetime
) -> Granted:
    """The grant that `proposal` would be, without a number. `hosts` is the whole inventory.

    Whether the rules allow it is not asked here. Raises BadInput, NotFound, Refused.
    """
    if not user.may_sign_in(now):
        raise Refused(f"The account {user.name} is closed: open it first, if it should be.")
    starts_at = _start(proposal, now)
    selectors = tuple(dict.fromkeys(_known(selector, hosts) for selector in proposal.hosts))
    _check_sizes(proposal)
    warnings = [
        *_about_hosts(selectors, hosts),
        *_about_commands(proposal.allows, selectors, hosts),
        *_about_forwards(proposal.allows),
        *_about_the_end(proposal, user),
        *_about_the_hours(proposal, starts_at),
    ]
    grant = Grant(
        id=0,
        user=user.name,
        hosts=selectors,
        logins=frozenset(map(login_name, proposal.logins)),
        allows=proposal.allows,
        starts_at=starts_at,
        ends_at=proposal.ends_at,
        reason=free_text(proposal.reason, "reason"),
        ticket=None if proposal.ticket is None else free_text(proposal.ticket, "ticket", 100),
        sources=proposal.sources,
        window=proposal.window,
        watch=proposal.watch,
        granted_by=giver,
        granted_at=now,
    )
    return Granted(grant, tuple(warnings))


def allowed(rules: Rules, asking: Asking, hosts: Sequence[Host]) -> Ruling:
    """What the rules say, where they allow it. Raises Refused, or BadInput for what is missing."""
    answer = rule_for(rules, asking, hosts)
    if isinstance(answer, Refusal):
        raise Refused(answer.sentence)
    if answer.missing:
        raise BadInput(" ".join(answer.missing))
    return answer


def under(ruling: Ruling, grant: Grant, *, emergency: bool = False) -> Grant:
    """The grant as the rule wants it, and with the rule's name."""
    return replace(
        grant,
        rule=ruling.rule.name,
        policy=ruling.version,
        watch=grant.watch or ruling.watch,
        hardware=grant.hardware or ruling.hardware,
        emergency=emergency,
    )


def _start(proposal: Proposal, now: datetime) -> datetime:
    starts_at = proposal.starts_at or now
    if starts_at < now - SLOW:
        raise BadInput(f"The start, {clock(starts_at)}, is past: leave it out to begin now.")
    starts_at = max(starts_at, now)
    if proposal.ends_at <= now:
        raise BadInput(f"The end, {clock(proposal.ends_at)}, is past already.")
    if proposal.ends_at <= starts_at:
        raise BadInput(f"It would end at {clock(proposal.ends_at)}, before it begins.")
    if proposal.ends_at - now > LONGEST:
        raise BadInput(f"The end, {clock(proposal.ends_at)}, is more than ten years away.")
    return starts_at


def _known(selector: Selector, hosts: Sequence[Host]) -> Selector:
    """The same by the host's own name: an alias may come to mean another host."""
    if not selector.exact:
        return selector
    for host in hosts:
        if selector.matches(host):
            return replace(selector, pattern=host.name)
    everything = sorted(name for host in hosts for name in host.names)
    close = difflib.get_close_matches(str(selector), everything, n=1)
    hint = f": do you mean {close[0]}?" if close else "."
    raise NotFound(f"There is no host {selector}{hint}")


def _check_sizes(proposal: Proposal) -> None:
    for what, number in (
        ("host", len(proposal.hosts)),
        ("login", len(proposal.logins)),
    ):
        if number == 0:
            raise BadInput(f"The grant names no {what}.")
    allows = proposal.allows
    parts = (proposal.hosts, proposal.logins, proposal.sources, allows.sftp, allows.forwards)
    if any(len(part) > MOST for part in parts):
        raise BadInput(f"The grant names more than {MOST} things of one kind: give several grants.")
    if len(allows.commands) > MOST_COMMANDS:
        raise BadInput(f"The grant names more than {MOST_COMMANDS} commands: use placeholders.")


def _about_hosts(selectors: Sequence[Selector], hosts: Sequence[Host]) -> list[str]:
    return [
        f"No host matches {selector} today."
        for selector in selectors
        if not any(selector.matches(host) for host in hosts)
    ]


def _about_commands(
    allows: Allows, selectors: Sequence[Selector], hosts: Sequence[Host]
) -> list[str]:
    """Commands need a known shell: only for those is the quoting of a command line certain."""
    if allows.shell or not allows.commands:
        return []
    exact = {str(selector) for selector in selectors if selector.exact}
    meant = [host for host in hosts if any(selector.matches(host) for selector in selectors)]
    blind = [host.name for host in meant if host.shell_type is None]
    if blind and (exact & set(blind) or len(blind) == len(meant)):
        raise Refused(
            f"Commands can't be granted on {blind[0]}, as its shell is not known: "
            f"bastion-admin host set {blind[0]} --shell-type bash, if that is what it has."
        )
    told = [f"Commands will not run on {name}, as its shell is not known." for name in blind]
    return told + [str(each) for template in allows.commands for each in cautions(template)]


def _about_forwards(allows: Allows) -> list[str]:
    """A port of the target itself may be anybody's service there, its sshd too."""
    return [
        f"{forward} leads to the host itself: whatever listens there can be reached, and SSH to "
        "its own sshd would be recorded as bytes only."
        for forward in allows.forwards
        if forward.local and forward.port in (None, 22)
    ]


def _about_the_hours(proposal: Proposal, starts_at: datetime) -> list[str]:
    """A window that does not open in its time would make a grant that is never good."""
    window = proposal.window
    if window is None:
        return []
    opens_at = window.opens_at(starts_at)
    if opens_at >= proposal.ends_at:
        raise BadInput(
            f"It would end at {clock(proposal.ends_at)}, before its hours ({window}) begin at "
            f"{clock(opens_at)}."
        )
    return [f"It can be used from {clock(opens_at)} on ({window})."] if opens_at > starts_at else []


def _about_the_end(proposal: Proposal, user: User) -> list[str]:
    if user.until is None or proposal.ends_at <= user.until:
        return []
    return [f"The account {user.name} ends before the grant does, at {clock(user.until)}."]
