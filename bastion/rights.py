"""The auditor's questions: who can reach this host, and what can this user reach. Pure.

By the rules as they stand; what was granted already is another question.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bastion.approvals import in_words
from bastion.durations import format_duration
from bastion.inventory import Host, User
from bastion.looks import Way
from bastion.rules import Mode, Rule, Rules
from bastion.shadows import as_much


@dataclass(frozen=True, slots=True)
class Right:
    """What `user` can have on `host` by one rule, in one way.

    `logins` and `commands` are `*` where any will do, `commands` empty beside a shell; `files`
    and `forwards` are empty where none are allowed. `consent` says who has to agree, or is empty.
    `limits` are phrases; `ticket` says that one is wanted.
    """

    user: str
    host: str
    rule: str
    way: Way
    logins: tuple[str, ...]
    modes: tuple[Mode, ...]
    commands: tuple[str, ...]
    files: tuple[str, ...]
    forwards: tuple[str, ...]
    longest: timedelta
    consent: str
    limits: tuple[str, ...]
    ticket: bool = False


def who_can(rules: Rules, host: Host, users: Iterable[User]) -> list[Right]:
    """Who of `users` can have something on `host`, in the order of their names."""
    return [
        right
        for user in sorted(users, key=lambda user: user.name)
        for right in _rights(_open_to(rules, user), user, host)
    ]


def what_can(rules: Rules, user: User, hosts: Iterable[Host]) -> list[Right]:
    """On which of `hosts` the user can have what, in the order of their names."""
    mine = _open_to(rules, user)
    return [
        right
        for host in sorted(hosts, key=lambda host: host.name)
        for right in _rights(mine, user, host)
    ]


def may_ask_for(rules: Rules, user: User, host: Host) -> bool:
    """Whether a rule lets the user have something on `host` without an operator's giving it."""
    return any(
        right.way is not Way.OPERATOR for right in _rights(_open_to(rules, user), user, host)
    )


def limits(rule: Rule) -> tuple[str, ...]:
    """What holds for every grant by a rule, in phrases."""
    found = [
        (rule.window is not None, f"within {rule.window}"),
        (bool(rule.sources), "from " + " or ".join(map(str, rule.sources))),
        (rule.watch, "while an auditor watches"),
        (rule.hardware, "with a hardware key"),
        (rule.idle is not None, f"idle for {format_duration(rule.idle or timedelta())} at most"),
        (rule.ticket is not None, f"with a ticket {rule.ticket}"),
        (rule.reason is not None, f"with a reason that has {rule.reason} in it"),
    ]
    return tuple(phrase for holds, phrase in found if holds)


def _open_to(rules: Rules, user: User) -> list[Rule]:
    return [rule for rule in rules.rules if rule.is_for(user)]


def _rights(mine: Sequence[Rule], user: User, host: Host) -> Iterator[Right]:
    """One for each rule and way, but for what an earlier rule decides in any case."""
    here = [rule for rule in mine if any(selector.matches(host) for selector in rule.hosts)]
    for way in (Way.REQUEST, Way.EMERGENCY, Way.OPERATOR):
        before: list[Rule] = []
        for rule in here:
            if _says(rule, way) and not any(as_much(earlier, rule) for earlier in before):
                before.append(rule)
                yield _right(rule, way, user, host)


def _says(rule: Rule, way: Way) -> bool:
    """Whether the rule speaks of this way in so many words."""
    if way is Way.REQUEST:
        return rule.automatic or bool(rule.needs)
    return rule.operators if way is Way.OPERATOR else rule.emergency


def _texts(things: Collection[object] | None) -> tuple[str, ...]:
    return ("*",) if things is None else tuple(sorted(map(str, things)))


def _right(rule: Rule, way: Way, user: User, host: Host) -> Right:
    commands: tuple[str, ...] = ()
    if Mode.SHELL not in rule.modes and Mode.COMMAND in rule.modes:
        commands = _texts(rule.commands)
    return Right(
        user=user.name,
        host=host.name,
        rule=rule.name,
        way=way,
        logins=("*",) if rule.logins is None else tuple(sorted(rule.logins)),
        modes=tuple(mode for mode in Mode if mode in rule.modes),
        commands=commands,
        files=_texts(rule.files) if Mode.SFTP in rule.modes else (),
        forwards=_texts(rule.forwards) if Mode.FORWARD in rule.modes else (),
        longest=rule.longest,
        consent=in_words(rule.needs) if way is Way.REQUEST else "",
        limits=limits(rule),
        ticket=rule.ticket is not None,
    )
