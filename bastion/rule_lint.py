"""What is odd about the rules, beside the people and hosts that there are: pure.

An error is a rule by which nobody gets anything as things stand; a warning is one that gives more
or less than it seems to; a remark is worth knowing.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bastion.approvals import NOBODY, Bench, barred_from, in_words
from bastion.cautions import cautions
from bastion.durations import LONGEST, format_duration
from bastion.inventory import Host, Role, User
from bastion.looks import Way, listed
from bastion.rules import Kind, Mode, Party, Rule, Rules
from bastion.shadows import shadows
from bastion.watchers import may_not_watch

LONG = timedelta(days=1)
"""More than this is long for an emergency."""


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    REMARK = "remark"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd about `rule` (empty: about all of them): what it is, and the mend."""

    rule: str
    severity: Severity
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class _World:
    """What the rules are held against: everybody by name, those who are open, groups, hosts."""

    everybody: dict[str, User]
    users: tuple[User, ...]
    groups: frozenset[str]
    hosts: tuple[Host, ...]
    now: datetime


def lint(
    rules: Rules, users: Iterable[User], hosts: Iterable[Host], now: datetime
) -> list[Finding]:
    """What is odd, rule by rule. `users` and `hosts` are all that there are."""
    everybody = {user.name: user for user in users}
    is_open = tuple(user for user in everybody.values() if user.may_sign_in(now))
    groups = frozenset(group for user in everybody.values() for group in user.groups)
    world = _World(everybody, is_open, groups, tuple(hosts), now)
    if not rules.rules:
        what = "There is no rule, so nobody gets anything."
        return [Finding("", Severity.WARNING, what, "Write one: docs/policy.md has examples.")]
    found: list[Finding] = []
    for number, rule in enumerate(rules.rules):
        found += _shadowed(rule, rules.rules[:number], world)
        for look in _LOOKS:
            found += look(rule, world)
    return found


def _error(rule: Rule, what: str, mend: str) -> Finding:
    return Finding(rule.name, Severity.ERROR, what, mend)


def _warning(rule: Rule, what: str, mend: str) -> Finding:
    return Finding(rule.name, Severity.WARNING, what, mend)


def _shadowed(rule: Rule, before: Sequence[Rule], world: _World) -> Iterator[Finding]:
    said = {
        Way.REQUEST: rule.automatic or bool(rule.needs),
        Way.OPERATOR: rule.operators,
        Way.EMERGENCY: rule.emergency,
    }
    ways = [way for way, speaks in said.items() if speaks]
    by = {
        way: earlier.name
        for way in ways
        for earlier in reversed(before)
        if shadows(earlier, rule, way, world.hosts)
    }
    mend = "Put it before that one, or take it away."
    if len(by) == len(ways):
        names = listed(dict.fromkeys(map(repr, by.values())), "and")
        yield _error(rule, f"It never decides: {names} before it takes all of it.", mend)
        return
    for way, name in by.items():
        yield _warning(rule, f"It never decides for the way {way}: {name!r} before it does.", mend)


def _who(rule: Rule, world: _World) -> Iterator[Finding]:
    for party in rule.who:
        yield from _unknown(rule, party, world)
    if not any(rule.is_for(user) for user in world.users):
        mend = "Invite them, put them into the group, or name others."
        yield _error(rule, "It is for nobody whose account is open.", mend)
    approving = {party for need in rule.needs for party in need.sources}
    both = [party for party in rule.who if party.kind is Kind.GROUP and party in approving]
    if both:
        what = f"{listed(both, 'and')} may both ask and approve: each for the others."
        yield Finding(
            rule.name, Severity.REMARK, what, "Name other approvers, if that is too near."
        )


def _unknown(rule: Rule, party: Party, world: _World) -> Iterator[Finding]:
    """A user or a group that is not there, or closed."""
    if party.kind is Kind.USER:
        user = world.everybody.get(party.name)
        if user is None:
            mend = _meant(party.name, world.everybody) or "Invite them: bastion-admin user add."
            yield _warning(rule, f"There is no user {party.name}.", mend)
        elif not user.may_sign_in(world.now):
            mend = f"bastion-admin user enable {party.name}, or take the name out."
            yield _warning(rule, f"The account {party.name} is closed.", mend)
    if party.kind is Kind.GROUP and party.name not in world.groups:
        mend = (
            _meant(party.name, world.groups) or f"bastion-admin user set NAME --group {party.name}"
        )
        yield _warning(rule, f"Nobody is in the group {party}.", mend)


def _meant(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f"Do you mean {close[0]}?" if close else ""


def _hosts(rule: Rule, world: _World) -> Iterator[Finding]:
    idle = [s for s in rule.hosts if not any(s.matches(host) for host in world.hosts)]
    mend = "bastion-admin host list shows what there is."
    if len(idle) == len(rule.hosts):
        yield _error(rule, "No host is meant by it.", mend)
        return
    for selector in idle:
        yield _warning(rule, f"No host is meant by {selector}.", mend)


def _approvers(rule: Rule, world: _World) -> Iterator[Finding]:
    """Those who are named as approvers and can't approve."""
    for party in dict.fromkeys(party for need in rule.needs for party in need.sources):
        yield from _unknown(rule, party, world)
        meant = [user for user in world.users if party.means(user)]
        if meant and not any(Role.APPROVER in user.roles for user in meant):
            what = f"Nobody of {party} has the role approver."
            yield _warning(rule, what, "bastion-admin user set NAME --role approver")


def _enough(rule: Rule, world: _World) -> Iterator[Finding]:
    """Whether enough people could approve, for each who may ask and each host."""
    asking = [user for user in world.users if rule.is_for(user)]
    places = _places(rule, world)
    if not rule.needs or not asking or not places:
        return
    short = [(name, host) for host, bench in places for name in _stuck(bench, asking, world)]
    if not short:
        return
    people = dict.fromkeys(name for name, _ in short)
    where = dict.fromkeys(host for _, host in short if host)
    takes = f"it takes {in_words(rule.needs)}"
    mend = "Name more approvers, give the role approver, or ask for fewer."
    if len(short) == len(asking) * len(places):
        yield _error(rule, f"Too few could ever approve: {takes}.", mend)
    elif where and len(short) == len(asking) * len(where):
        what = f"Too few could ever approve on {listed(where, 'and')}: {takes}."
        yield _warning(rule, what, mend)
    else:
        what = f"Too few others could approve what {listed(people)} may ask for: {takes}."
        yield _warning(rule, what, mend)


def _stuck(bench: Bench, asking: Iterable[User], world: _World) -> Iterator[str]:
    """Those whom all others together could not give what they ask for."""
    able = {
        user.name: user
        for user in world.users
        if Role.APPROVER in user.roles
        and bench.counts(user, world.now)
        and (not bench.hardware or any(key.hardware for key in user.keys))
    }
    enough: dict[frozenset[str], bool] = {}
    for user in asking:
        enrolled_by = () if user.enrolled_by is None else (user.enrolled_by,)
        left_out = able.keys() & barred_from(user, enrolled_by).keys()
        key = frozenset(left_out)
        if key not in enough:
            others = [able[name] for name in able.keys() - key]
            enough[key] = not bench.unmet(others, world.now)
        if not enough[key]:
            yield user.name


def _places(rule: Rule, world: _World) -> list[tuple[str, Bench]]:
    """Who may approve, once for each host that it makes a difference on."""
    keys = {p.name for need in rule.needs for p in need.sources if p.kind is Kind.LABEL}
    meant = [host for host in world.hosts if any(s.matches(host) for s in rule.hosts)]
    if not keys:
        return [("", Bench(rule.needs, (), {}, rule.hardware_approvers))] if meant else []
    differing: dict[frozenset[tuple[str, str]], Host] = {}
    for host in meant:
        differing.setdefault(frozenset(pair for pair in host.labels if pair[0] in keys), host)
    return [
        (host.name, Bench(rule.needs, (host,), {}, rule.hardware_approvers))
        for host in differing.values()
    ]


def _hardware(rule: Rule, world: _World) -> Iterator[Finding]:
    asking = [user for user in world.users if rule.is_for(user)]
    if rule.hardware and asking and not any(k.hardware for u in asking for k in u.keys):
        what = "It takes a hardware key, and nobody whom it is for has one."
        yield _error(rule, what, "bastion-admin user key add NAME FILE (ssh-keygen -t ed25519-sk)")


def _watchers(rule: Rule, world: _World) -> Iterator[Finding]:
    """Whether there is somebody to watch each who may ask."""
    if not rule.watch:
        return
    asking = [user for user in world.users if rule.is_for(user)]
    alone = [user.name for user in asking if not _anybody_watches(user, world)]
    mend = "Give somebody else the role: bastion-admin user set NAME --role auditor"
    if alone and len(alone) == len(asking):
        yield _error(rule, "Somebody has to watch, and there is nobody who could.", mend)
    elif alone:
        yield _warning(rule, f"There is nobody who could watch {listed(alone)}.", mend)


def _anybody_watches(user: User, world: _World) -> bool:
    return any(may_not_watch(each, user.name, NOBODY, world.now) is None for each in world.users)


def _commands(rule: Rule, _: _World) -> Iterator[Finding]:
    if Mode.SHELL in rule.modes or Mode.COMMAND not in rule.modes:
        return
    if rule.commands is None:
        mend = 'Name them with commands = […], or write allow = ["shell"].'
        yield _warning(rule, "It allows any command, a shell among them.", mend)
    for template in sorted(rule.commands or (), key=str):
        for caution in cautions(template):
            yield _warning(rule, caution.what, caution.mend)


def _unlimited(rule: Rule, _: _World) -> Iterator[Finding]:
    keys = ("automatic", "operators", "emergency")
    alone = [key for key in keys if getattr(rule, key)]
    if alone and rule.longest == LONGEST:
        what = f"It gives access alone ({listed(alone, 'and')}), for any length of time."
        yield _warning(rule, what, 'Add a limit, as in longest = "8h".')
    elif rule.emergency and rule.longest > LONG:
        what = f"{format_duration(rule.longest)} is long for an emergency."
        yield _warning(rule, what, 'Write longest = "1h", and let them extend it.')
    anybody = any(party.kind is Kind.EVERYBODY for party in rule.who)
    if anybody and (rule.automatic or rule.emergency):
        what = "Everybody who has an account gets it without being asked."
        yield _warning(rule, what, "Name users or @groups.")


_LOOKS = (_who, _hosts, _approvers, _enough, _hardware, _watchers, _commands, _unlimited)
