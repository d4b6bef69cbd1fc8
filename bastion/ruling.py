"""What the rules say to somebody who asks: pure. (A first, plain form; to be replaced whole.)"""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from bastion.grants import Allows
from bastion.inventory import Host, Selector, User
from bastion.rules import Mode, Need, Rule, Rules
from bastion.windows import Window


class Way(StrEnum):
    """How somebody comes to an access."""

    REQUEST = "request"
    OPERATOR = "operator"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Asking:
    """A question to the rules."""

    user: User
    hosts: tuple[Selector, ...]
    logins: frozenset[str]
    allows: Allows
    duration: timedelta
    way: Way = Way.REQUEST
    reason: str | None = None
    ticket: str | None = None
    window: Window | None = None
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """Yes, by `rule`, with these needs and limits; `missing` has to be said before."""

    rule: Rule
    version: str
    needs: tuple[Need, ...]
    window: Window | None
    sources: tuple[IPv4Network | IPv6Network, ...]
    watch: bool
    hardware: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """No."""

    sentence: str


def rule_for(rules: Rules, asking: Asking, hosts: Sequence[Host]) -> Ruling | Refusal:
    """The first rule that fits decides."""
    for rule in rules.rules:
        if _fits(rule, asking, hosts):
            needs = () if rule.operators and asking.way is Way.OPERATOR else rule.needs
            if asking.way is Way.EMERGENCY:
                needs = ()
            return Ruling(
                rule,
                rules.version,
                needs,
                asking.window or rule.window,
                asking.sources or rule.sources,
                rule.watch,
                rule.hardware,
            )
    return Refusal("No rule allows that.")


def _fits(rule: Rule, asking: Asking, hosts: Sequence[Host]) -> bool:
    way = {
        Way.REQUEST: rule.automatic or bool(rule.needs),
        Way.OPERATOR: rule.operators or bool(rule.needs),
        Way.EMERGENCY: rule.emergency,
    }[asking.way]
    modes = {Mode.SHELL} if asking.allows.shell else {Mode.COMMAND}
    return (
        way
        and rule.is_for(asking.user)
        and (rule.logins is None or asking.logins <= rule.logins)
        and bool(modes <= rule.modes or Mode.SHELL in rule.modes)
        and asking.duration <= rule.longest
        and all(_within(rule, selector, hosts) for selector in asking.hosts)
    )


def _within(rule: Rule, selector: Selector, hosts: Sequence[Host]) -> bool:
    if any(str(each) == "*" or each == selector for each in rule.hosts):
        return True
    meant = [host for host in hosts if selector.matches(host)]
    exact = selector.exact and all(any(e.matches(h) for e in rule.hosts) for h in meant)
    pattern = selector.pattern or ""
    return exact or any(fnmatch.fnmatchcase(pattern, e.pattern or "") for e in rule.hosts)
