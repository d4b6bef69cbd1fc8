"""What somebody asks of the rules, and each look at one key of one rule. Pure.

`ruling` puts the looks together: the first rule that passes them all decides.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bastion.containment import networks_within, selector_within, window_within
from bastion.durations import format_duration
from bastion.grants import Allows
from bastion.inventory import Host, Selector, User
from bastion.rules import Mode, Network, Rule
from bastion.windows import Window

SHOWN = 3
"""How many of several things a sentence names."""


class Way(StrEnum):
    """How somebody comes to an access."""

    REQUEST = "request"
    OPERATOR = "operator"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Asking:
    """A question to the rules: may `user` have this, in this way?

    Without a `window` or `sources` of its own it takes those of the rule. `starts_at` is None
    where it begins whenever it is given.
    """

    user: User
    hosts: tuple[Selector, ...]
    logins: frozenset[str]
    allows: Allows
    duration: timedelta
    way: Way = Way.REQUEST
    reason: str | None = None
    ticket: str | None = None
    window: Window | None = None
    sources: tuple[Network, ...] = ()
    starts_at: datetime | None = None


class Key(StrEnum):
    """What of a rule is looked at, in this order, by its key in the file."""

    WAY = "way"
    WHO = "who"
    HOSTS = "hosts"
    LOGINS = "logins"
    ALLOW = "allow"
    COMMANDS = "commands"
    FILES = "files"
    FORWARDS = "forwards"
    LONGEST = "longest"
    HOURS = "hours"
    SOURCES = "sources"


@dataclass(frozen=True, slots=True)
class Case:
    """The question, beside the hosts that each selector of it names exactly, if it does."""

    asking: Asking
    hosts: tuple[tuple[Selector, tuple[Host, ...] | None], ...]


def case_of(asking: Asking, hosts: Sequence[Host]) -> Case:
    """The question, with what the inventory, `hosts`, has of it."""
    named: dict[str, list[Host]] = {s.pattern or "": [] for s in asking.hosts if s.exact}
    for host in hosts:
        if host.name in named or not named.keys().isdisjoint(host.aliases):
            for name in named.keys() & host.names:
                named[name].append(host)
    return Case(
        asking, tuple((s, tuple(named[s.pattern or ""]) if s.exact else None) for s in asking.hosts)
    )


def ways(rule: Rule) -> frozenset[Way]:
    """The ways in which it gives anything."""
    return frozenset(way for way in Way if opens_way(rule, way))


def opens_way(rule: Rule, way: Way) -> bool:
    """Whether it gives anything in this way. What takes no consent, an operator may give too."""
    if way is Way.EMERGENCY:
        return rule.emergency
    return rule.automatic or bool(rule.needs) or (way is Way.OPERATOR and rule.operators)


def host_fits(rule: Rule, selector: Selector, named: tuple[Host, ...] | None) -> bool:
    """Whether the rule opens all that `selector` means. What is not there, no rule opens."""
    if named == ():
        return False
    for wide in rule.hosts:  # noqa: SIM110 - half the time of any(), for each rule
        if selector_within(selector, wide, named):
            return True
    return False


# What is looked at. Each look takes the rule and the case.


def _hosts_fit(rule: Rule, case: Case) -> bool:
    for selector, named in case.hosts:  # noqa: SIM110 - as above
        if not host_fits(rule, selector, named):
            return False
    return True


def _logins_fit(rule: Rule, case: Case) -> bool:
    return rule.logins is None or case.asking.logins <= rule.logins


def _modes_fit(rule: Rule, case: Case) -> bool:
    lacking = modes(case.asking.allows) - rule.modes
    return not lacking or (lacking == {Mode.COMMAND} and Mode.SHELL in rule.modes)


def _commands_fit(rule: Rule, case: Case) -> bool:
    wide = rule.commands
    if Mode.SHELL in rule.modes or wide is None:
        return True
    asked = case.asking.allows.commands
    return all(one in wide or any(one.within(other) for other in wide) for one in asked)


def _files_fit(rule: Rule, case: Case) -> bool:
    asked, wide = case.asking.allows.sftp, rule.files
    return wide is None or all(any(one.within(other) for other in wide) for one in asked)


def _forwards_fit(rule: Rule, case: Case) -> bool:
    asked, wide = case.asking.allows.forwards, rule.forwards
    return wide is None or all(any(one.within(other) for other in wide) for one in asked)


def _hours_fit(rule: Rule, case: Case) -> bool:
    """Own hours lie in the rule's; where the start is known, some hours are left until the end."""
    asking = case.asking
    if asking.window is not None and not window_within(asking.window, rule.window):
        return False
    if rule.window is None or asking.starts_at is None:
        return True
    return rule.window.opens_at(asking.starts_at) < asking.starts_at + asking.duration


def _sources_fit(rule: Rule, case: Case) -> bool:
    return networks_within(case.asking.sources, rule.sources)


_Test = Callable[[Rule, Case], bool]

LOOKS: tuple[tuple[Key, _Test, Callable[[Rule], str], Callable[[Case], str]], ...] = (
    (
        Key.WAY,
        lambda rule, case: opens_way(rule, case.asking.way),
        lambda rule: listed(sorted(ways(rule))),
        lambda case: case.asking.way,
    ),
    (
        Key.WHO,
        lambda rule, case: rule.is_for(case.asking.user),
        lambda rule: listed(rule.who),
        lambda case: listed(
            [case.asking.user.name, *(f"@{name}" for name in sorted(case.asking.user.groups))],
            "and",
        ),
    ),
    (
        Key.HOSTS,
        _hosts_fit,
        lambda rule: listed(rule.hosts),
        lambda case: listed(case.asking.hosts, "and"),
    ),
    (
        Key.LOGINS,
        _logins_fit,
        lambda rule: "any" if rule.logins is None else listed(sorted(rule.logins)),
        lambda case: listed(sorted(case.asking.logins), "and"),
    ),
    (
        Key.ALLOW,
        _modes_fit,
        lambda rule: listed(mode for mode in Mode if mode in rule.modes),
        lambda case: listed((m for m in Mode if m in modes(case.asking.allows)), "and"),
    ),
    (
        Key.COMMANDS,
        _commands_fit,
        lambda rule: "any" if rule.commands is None else listed(sorted(map(str, rule.commands))),
        lambda case: "any" if case.asking.allows.shell else commands(case),
    ),
    (
        Key.FILES,
        _files_fit,
        lambda rule: "any" if rule.files is None else listed(rule.files),
        lambda case: listed(case.asking.allows.sftp, "and") or "none",
    ),
    (
        Key.FORWARDS,
        _forwards_fit,
        lambda rule: "any" if rule.forwards is None else listed(rule.forwards),
        lambda case: listed(case.asking.allows.forwards, "and") or "none",
    ),
    (
        Key.LONGEST,
        lambda rule, case: case.asking.duration <= rule.longest,
        lambda rule: f"at most {format_duration(rule.longest)}",
        lambda case: format_duration(case.asking.duration),
    ),
    (
        Key.HOURS,
        _hours_fit,
        lambda rule: "any" if rule.window is None else str(rule.window),
        lambda case: "the rule's" if case.asking.window is None else str(case.asking.window),
    ),
    (
        Key.SOURCES,
        _sources_fit,
        lambda rule: listed(rule.sources) or "any",
        lambda case: listed(case.asking.sources, "and") or "the rule's",
    ),
)

KEYS = tuple(key for key, _, _, _ in LOOKS)


def modes(allows: Allows) -> frozenset[Mode]:
    """What is asked for, by its kinds. Beside a shell, command lines add nothing."""
    asked = {
        Mode.SHELL: allows.shell,
        Mode.COMMAND: bool(allows.commands) and not allows.shell,
        Mode.SFTP: bool(allows.sftp),
        Mode.FORWARD: bool(allows.forwards),
    }
    return frozenset(mode for mode, wanted in asked.items() if wanted)


def commands(case: Case) -> str:
    """The command lines that were asked for, in words."""
    return listed(sorted(map(str, case.asking.allows.commands)), "and")


def listed(things: Iterable[object], word: str = "or") -> str:
    """`a, b or c`; of many the first few and how many more."""
    texts = [str(thing) for thing in things]
    more = len(texts) - SHOWN
    if more > 1:
        texts = [*texts[:SHOWN], f"{more} more"]
    return f" {word} ".join(part for part in (", ".join(texts[:-1]), *texts[-1:]) if part)
