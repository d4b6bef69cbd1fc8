"""What the rules say to somebody who asks: yes with what it takes, or no. Pure.

Rules are tried in order; the first that fits in everything decides. A no is one calm sentence that
names what the nearest rule wanted, but nothing about hosts that no rule opens to whoever asks:
those sound like hosts that are not there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bastion.durations import format_duration
from bastion.inventory import Host
from bastion.looks import (
    KEYS,
    LOOKS,
    Asking,
    Case,
    Key,
    Way,
    case_of,
    commands,
    host_fits,
    listed,
    modes,
)
from bastion.rules import Mode, Need, Network, Rule, Rules
from bastion.windows import Window

__all__ = [
    "Asking",
    "Check",
    "Key",
    "Refusal",
    "Ruling",
    "Step",
    "Way",
    "explain",
    "needs",
    "rule_for",
]


@dataclass(frozen=True, slots=True)
class Ruling:
    """Yes, by `rule` of the rules' `version`, as soon as its `needs` are met.

    The grant has this `window` and these `sources`, may be used only while somebody watches
    (`watch`) and only with a hardware key (`hardware`). `missing` are sentences that say what else
    has to be given before.
    """

    rule: Rule
    version: str
    needs: tuple[Need, ...]
    window: Window | None
    sources: tuple[Network, ...]
    watch: bool
    hardware: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """No. `code` is what the nearest rule wanted otherwise, for the log."""

    sentence: str
    code: Key


@dataclass(frozen=True, slots=True)
class Check:
    """One look at one key of a rule: what the rule wants and what was asked, in words."""

    key: Key
    passed: bool
    wanted: str
    asked: str


@dataclass(frozen=True, slots=True)
class Step:
    """One rule and all that was looked at. The first whose checks all passed decides."""

    rule: str
    checks: tuple[Check, ...]
    decides: bool


def rule_for(rules: Rules, asking: Asking, hosts: Sequence[Host]) -> Ruling | Refusal:
    """What the rules say. `hosts` is the whole inventory."""
    case = case_of(asking, hosts)
    failed: list[tuple[int, Rule]] = []
    for rule in rules.rules:
        at = _failed(rule, case)
        if at is None:
            return _ruling(rule, rules.version, asking)
        failed.append((at, rule))
    return _refusal(case, failed)


def explain(rules: Rules, asking: Asking, hosts: Sequence[Host]) -> tuple[Step, ...]:
    """Every rule with every look at it, in the order in which `rule_for` looks."""
    case = case_of(asking, hosts)
    fits = [_failed(rule, case) is None for rule in rules.rules]
    return tuple(
        Step(
            rule.name,
            tuple(
                Check(key, test(rule, case), wanted(rule), asked(case))
                for key, test, wanted, asked in LOOKS
            ),
            fits[number] and not any(fits[:number]),
        )
        for number, rule in enumerate(rules.rules)
    )


def needs(rule: Rule, way: Way) -> tuple[Need, ...]:
    """Whose consent it takes in this way."""
    alone = {
        Way.REQUEST: rule.automatic,
        Way.OPERATOR: rule.operators or rule.automatic,
        Way.EMERGENCY: rule.emergency,
    }
    return () if alone[way] else rule.needs


def _failed(rule: Rule, case: Case) -> int | None:
    """The place of the first look that it fails; None where it fits."""
    for place, (_, test, _, _) in enumerate(LOOKS):
        if not test(rule, case):
            return place
    return None


def _ruling(rule: Rule, version: str, asking: Asking) -> Ruling:
    return Ruling(
        rule=rule,
        version=version,
        needs=needs(rule, asking.way),
        window=asking.window or rule.window,
        sources=asking.sources or rule.sources,
        watch=rule.watch,
        hardware=rule.hardware,
        missing=tuple(_missing(rule, asking)),
    )


def _missing(rule: Rule, asking: Asking) -> Iterable[str]:
    """A reason is always wanted, a ticket where the rule says so."""
    reason, ticket = (asking.reason or "").strip(), (asking.ticket or "").strip()
    if not reason:
        yield "The reason is missing: say --reason and a few words."
    elif rule.reason is not None and not rule.reason.found_in(reason):
        yield f"The reason has to have {rule.reason} in it: so says the rule {rule.name!r}."
    if rule.ticket is None:
        return
    if not ticket:
        yield f"The ticket is missing: say --ticket, in the form {rule.ticket}."
    elif not rule.ticket.matches(ticket):
        yield f"The ticket {ticket[:60]!a} has to have the form {rule.ticket}."


def _refusal(case: Case, failed: Sequence[tuple[int, Rule]]) -> Refusal:
    """The sentence of the nearest rules: those that fitted in most."""
    nearest = max((at for at, _ in failed), default=0)
    near = [rule for at, rule in failed if at == nearest]
    key, asking = KEYS[nearest], case.asking
    hosts = listed(asking.hosts, "and")
    wanted = _wanted(key, near)
    sentences = {
        Key.LOGINS: f"No rule lets {asking.user.name} log in to {hosts} as "
        f"{listed(sorted(asking.logins), 'and')}; {wanted} can be asked for.",
        Key.ALLOW: f"No rule gives {asking.user.name} {_refused(case, near)} on {hosts}; {wanted} "
        "can be asked for.",
        Key.COMMANDS: f"No rule lets {asking.user.name} run {commands(case)} on {hosts}; these "
        f"can be asked for: {wanted}.",
        Key.FILES: f"No rule gives {asking.user.name} those files on {hosts}; these can be asked "
        f"for: {wanted}.",
        Key.FORWARDS: f"No rule gives {asking.user.name} that forward on {hosts}; these can be "
        f"asked for: {wanted}.",
        Key.LONGEST: f"{format_duration(asking.duration)} is too long for {hosts}: {wanted}.",
        Key.HOURS: f"{hosts} can be used within these hours only: {wanted}.",
        Key.SOURCES: f"{hosts} can be used from these networks only: {wanted}.",
    }
    return Refusal(sentences.get(key) or _nothing(case, failed), key)


def _nothing(case: Case, failed: Sequence[tuple[int, Rule]]) -> str:
    """What is said of hosts that no rule opens in this way, be they there or not."""
    asking = case.asking
    mine = [rule for at, rule in failed if at >= KEYS.index(Key.HOSTS)]
    closed = [s for s, named in case.hosts if not any(host_fits(r, s, named) for r in mine)]
    hosts = listed(closed or asking.hosts, "and")
    if asking.way is Way.EMERGENCY:
        return (
            f"No rule lets {asking.user.name} take access to {hosts} in an emergency; ask for it "
            "(ssh bastion request)."
        )
    if asking.way is Way.OPERATOR:
        return f"No rule gives {asking.user.name} access to {hosts}."
    nothing = f"No rule gives {asking.user.name} access to {hosts}"
    return f"{nothing}; what can be asked for: ssh bastion hosts"


_KINDS = {
    Mode.SHELL: "a shell",
    Mode.COMMAND: "commands",
    Mode.SFTP: "files",
    Mode.FORWARD: "forwards",
}


def _refused(case: Case, near: Sequence[Rule]) -> str:
    """What was asked for, of what one of the nearest rules does not give."""
    asked = modes(case.asking.allows)
    lacking = next((left for rule in near if (left := asked - rule.modes)), asked)
    return listed([_KINDS[mode] for mode in Mode if mode in lacking], "and")


def _wanted(key: Key, near: Sequence[Rule]) -> str:
    """What the nearest rules would have taken, in words, the most useful of it."""
    if key is Key.LONGEST:
        return f"at most {format_duration(max(rule.longest for rule in near))}"
    parts = {
        Key.ALLOW: [_KINDS[mode] for mode in Mode if any(mode in rule.modes for rule in near)],
        Key.FILES: [str(files) for rule in near for files in rule.files or ()],
        Key.FORWARDS: [str(forward) for rule in near for forward in rule.forwards or ()],
        Key.LOGINS: [name for rule in near for name in sorted(rule.logins or ())],
        Key.COMMANDS: [str(c) for rule in near for c in sorted(rule.commands or (), key=str)],
        Key.HOURS: [str(rule.window) for rule in near],
        Key.SOURCES: [str(network) for rule in near for network in rule.sources],
    }
    return listed(list(dict.fromkeys(parts.get(key, []))))
