"""The rules as values: `policy.toml`, read as a whole or refused with one sentence.

Who may ask for what, what it takes, and how the grant is limited. What the rules say to somebody
who asks is `ruling`'s; who may agree is `approvals`'. A mistake names the file, the line, what is
wrong and the mend, so that nobody has to guess which rules are in force.
"""

import hashlib
from collections.abc import Iterator
from collections.abc import Set as Set_
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from bastion import names
from bastion.addresses import parse_network
from bastion.durations import LONGEST, parse_duration
from bastion.errors import BadInput, Misconfigured
from bastion.files import Files, parse_files
from bastion.forwards import Forward, parse_forward
from bastion.inventory import Selector, User, parse_selector
from bastion.patterns import Pattern
from bastion.templates import Template, parse_template
from bastion.text_files import LIMIT
from bastion.toml_model import Part, parse, text
from bastion.toml_places import Places
from bastion.windows import Window, parse_window

Network: TypeAlias = IPv4Network | IPv6Network

MOST_RULES = 500
"""Rules in a file."""

MOST = 200
"""People, hosts, logins, commands or networks of one rule."""


class Kind(StrEnum):
    """How a rule names people."""

    EVERYBODY = "everybody"
    USER = "user"
    GROUP = "group"
    LABEL = "label"


@dataclass(frozen=True, slots=True)
class Party:
    """People, as a rule names them: everybody, a user, a group, or whom a label of the host names.

    `name` is the user's, the group's or the label's key.
    """

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        signs = {Kind.EVERYBODY: "*", Kind.USER: "", Kind.GROUP: "@", Kind.LABEL: "label:"}
        return signs[self.kind] + self.name

    def means(self, user: User) -> bool:
        """Whether `user` is among them; whom a label means, only a host can say."""
        if self.kind is Kind.GROUP:
            return self.name in user.groups
        return self.kind is Kind.EVERYBODY or (self.kind is Kind.USER and self.name == user.name)


class Mode(StrEnum):
    """What may be done by a rule. A shell includes any command, but no files and no forwards."""

    SHELL = "shell"
    COMMAND = "command"
    SFTP = "sftp"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True)
class Need:
    """So many people have to agree, each of one of `sources`."""

    sources: tuple[Party, ...]
    count: int = 1

    def __str__(self) -> str:
        names = [f"the host's {p.name}" if p.kind is Kind.LABEL else str(p) for p in self.sources]
        listed = ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else names[0]
        if self.count == 1 and len(names) == 1 and self.sources[0].kind is not Kind.GROUP:
            return listed
        return f"{'one' if self.count == 1 else self.count} of {listed}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, in the words of `docs/policy.md`.

    `logins`, `commands`, `files` and `forwards` are None where any will do. `needs` are all to be
    met, by distinct people, who show a hardware key (`hardware_approvers`) and signed in no longer
    ago than `approver_login`. `automatic`, `operators` and `emergency` are the ways without an
    approval. A session in which nothing moves for `idle` ends.
    """

    name: str
    who: tuple[Party, ...]
    hosts: tuple[Selector, ...]
    modes: frozenset[Mode]
    logins: frozenset[str] | None = None
    commands: frozenset[Template] | None = None
    files: tuple[Files, ...] | None = None
    forwards: tuple[Forward, ...] | None = None
    longest: timedelta = LONGEST
    needs: tuple[Need, ...] = ()
    hardware_approvers: bool = False
    approver_login: timedelta | None = None
    automatic: bool = False
    operators: bool = False
    emergency: bool = False
    reason: Pattern | None = None
    ticket: Pattern | None = None
    window: Window | None = None
    sources: tuple[Network, ...] = ()
    watch: bool = False
    hardware: bool = False
    idle: timedelta | None = None

    def is_for(self, user: User) -> bool:
        """Whether `user` is one of those who may ask."""
        return any(party.means(user) for party in self.who)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, in their order. `version` is the SHA-256 of the text, in hex."""

    version: str
    rules: tuple[Rule, ...]
    text: str

    def idle(self, name: str | None) -> timedelta | None:
        """For how long nothing may move in a session by the rule of that name; None: no word."""
        return next((rule.idle for rule in self.rules if rule.name == name), None)


def parse_rules(content: str, file: str | Path) -> Rules:
    """The rules in `content`, which stands in `file`. Raises Misconfigured."""
    encoded = content.encode(errors="surrogateescape")
    if len(encoded) > LIMIT:
        raise Misconfigured(f"{file} is longer than {LIMIT} bytes: is it the right file?")
    written = parse(_File, content, file).rule
    seen: set[str] = set()
    for number, rule in enumerate(written):
        for key, wrong, said in _mistakes(rule, seen):
            if wrong:
                line = Places(content).line(("rule", number, key))
                raise Misconfigured(f"{file}, line {line}: rule {rule.name!r}: {said}")
        seen.add(rule.name.casefold())
    version = hashlib.sha256(encoded).hexdigest()
    return Rules(version, tuple(map(_rule, written)), content)


# The door: what a person may write. Texts become values here, or a mistake.


def _who(text: str) -> Party:
    if text == "*":
        return Party(Kind.EVERYBODY)
    if text.startswith("label:"):
        raise BadInput("A label of the host can say who approves, not who asks: name users.")
    return _party(text)


def _approver(text: str) -> Party:
    if text == "*":
        raise BadInput("Not everybody can approve: name users, @groups or a label:KEY.")
    if text.startswith("label:"):
        return Party(Kind.LABEL, names.group_name(text.removeprefix("label:")))
    return _party(text)


def _party(text: str) -> Party:
    if text.startswith("@"):
        return Party(Kind.GROUP, names.group_name(text[1:]))
    return Party(Kind.USER, names.user_name(text))


def _login(text: str) -> str:
    return text if text == "*" else names.login_name(text)


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise BadInput(f"{text[:40]!a} can't be allowed: {_MODES} can.") from None


def _days(text: str) -> str:
    return parse_window(text, None, None).words()[0]


def _hours(text: str) -> str:
    return parse_window(None, text, None).words()[1]


def _zone(text: str) -> str:
    return parse_window("mon", None, text).zone


_MODES = "shell, command, sftp or forward"
_WAYS = 'approvals = [{ from = ["@leads"] }], or automatic, operators or emergency = true'
_Most = Field(min_length=1, max_length=MOST)
_Flag = Annotated[bool, Field(strict=True)]
_Lasting = Annotated[timedelta, text(parse_duration)]
_Matched = Annotated[Pattern, text(Pattern)]


class _Need(Part):
    """An element of `approvals`."""

    sources: Annotated[
        tuple[Annotated[Party, text(_approver)], ...],
        Field(alias="from", min_length=1, max_length=50),
    ]
    count: Annotated[int, Field(strict=True, ge=1, le=20)] = 1


class _Rule(Part):
    """A `[[rule]]`."""

    name: Annotated[str, text(lambda line: names.free_text(line, "name", 80))]
    who: Annotated[tuple[Annotated[Party, text(_who)], ...], _Most]
    hosts: Annotated[tuple[Annotated[Selector, text(parse_selector)], ...], _Most]
    logins: Annotated[tuple[Annotated[str, text(_login)], ...], _Most]
    allow: Annotated[tuple[Annotated[Mode, text(_mode)], ...], Field(min_length=1, max_length=4)]
    commands: Annotated[tuple[Annotated[Template, text(parse_template)], ...], _Most] | None = None
    files: Annotated[tuple[Annotated[Files, text(parse_files)], ...], _Most] | None = None
    forwards: Annotated[tuple[Annotated[Forward, text(parse_forward)], ...], _Most] | None = None
    longest: _Lasting = LONGEST
    approvals: Annotated[tuple[_Need, ...], Field(min_length=1, max_length=10)] | None = None
    approver_keys: Literal["hardware"] | None = None
    approver_login: _Lasting | None = None
    automatic: _Flag = False
    operators: _Flag = False
    emergency: _Flag = False
    reason: _Matched | None = None
    ticket: _Matched | None = None
    days: Annotated[str, text(_days)] | None = None
    hours: Annotated[str, text(_hours)] | None = None
    tz: Annotated[str, text(_zone)] | None = None
    sources: Annotated[tuple[Annotated[Network, text(parse_network)], ...], _Most] | None = None
    watch: _Flag = False
    keys: Literal["hardware"] | None = None
    idle: _Lasting | None = None


class _File(Part):
    """All of `policy.toml`."""

    rule: Annotated[tuple[_Rule, ...], Field(max_length=MOST_RULES)] = ()


def _mistakes(rule: _Rule, seen: Set_[str]) -> Iterator[tuple[str, bool, str]]:
    """What keys can mean together that is nothing: the key to blame, whether it is so, a sentence.

    `seen` are the names of the rules before, case folded.
    """
    ways = rule.approvals or rule.automatic or rule.operators or rule.emergency
    yield "name", rule.name.casefold() in seen, "another one has this name: people are told it."
    yield "", not ways, f"nobody gets anything by it: add {_WAYS}."
    both = rule.automatic and rule.approvals is not None
    yield "automatic", both, "automatic = true asks for no approvals: take one of the two away."
    beside = rule.commands is not None and Mode.SHELL in rule.allow
    yield "commands", beside, 'commands limit nothing beside a shell: write allow = ["command"].'
    for key, mode in _LIMITED.items():
        idle = getattr(rule, key) is not None and mode not in rule.allow
        unsaid = f'{key} mean nothing without "{mode}" in allow: add it, or leave {key} out.'
        yield key, idle and not beside, unsaid
    alone = rule.days is None and rule.hours is None
    yield "tz", rule.tz is not None and alone, "tz means nothing without days or hours: add one."
    for key in ("approver_keys", "approver_login"):
        idle = getattr(rule, key) is not None and rule.approvals is None
        yield key, idle, f"{key} means nothing without approvals: add them, or leave it out."


_LIMITED = {"commands": Mode.COMMAND, "files": Mode.SFTP, "forwards": Mode.FORWARD}


def _rule(part: _Rule) -> Rule:
    limited = part.days is not None or part.hours is not None
    return Rule(
        name=part.name,
        who=part.who,
        hosts=part.hosts,
        modes=frozenset(part.allow),
        logins=None if "*" in part.logins else frozenset(part.logins),
        commands=None if part.commands is None else frozenset(part.commands),
        files=part.files,
        forwards=part.forwards,
        longest=part.longest,
        needs=tuple(Need(need.sources, need.count) for need in part.approvals or ()),
        hardware_approvers=part.approver_keys is not None,
        approver_login=part.approver_login,
        automatic=part.automatic,
        operators=part.operators,
        emergency=part.emergency,
        reason=part.reason,
        ticket=part.ticket,
        window=parse_window(part.days, part.hours, part.tz) if limited else None,
        sources=part.sources or (),
        watch=part.watch,
        hardware=part.keys is not None,
        idle=part.idle,
    )
