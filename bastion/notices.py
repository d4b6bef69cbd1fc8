"""Notices as values: what is told, to whom, and who wants to hear which. Pure.

A `Notice` is worded once and knows no channel; a `Message` is a notice for one receiver, as it is
kept and sent; an `Answer` is what the other side said. What people typed stands in a notice's
fields only as `quoted` lets it through. Where notices come from is in `tidings` (events) and
`reminders` (time), what they look like on their way in `letters`.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Self, TypeAlias, cast

import orjson

from bastion.inventory import Role, User

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"

PROGRAM: Final = "ssh bastion"
"""What approvers type before a verb."""

APPROVERS: Final = "approvers"
REQUESTER: Final = "requester"
"""Words that stand for people where mail addresses are listed."""

LONGEST: Final = 1500
"""Characters of one field; what is longer is cut, and ends with `…`."""


class Group(StrEnum):
    """What a notice is about: a channel may want some of these only."""

    REQUESTS = "requests"
    DECISIONS = "decisions"
    ENDS = "ends"
    EMERGENCIES = "emergencies"
    FAILURES = "failures"
    ADMINISTRATION = "administration"


@dataclass(frozen=True, slots=True)
class Audience:
    """The people behind the words `approvers` and `requester`, by name.

    Everybody with one of `roles` is among the approvers too.
    """

    approvers: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()
    requester: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be told: at most once to each channel for a `key`.

    `title` is one line, `fields` are names with values to be shown below it, `lines` commands that
    answer it; `data` is the same for programs. An `urgent` one goes to every channel, whatever it
    wants; an `unanswered` one also to those that want only what nobody has answered.
    """

    key: str
    type: str
    group: Group
    at: datetime
    title: str
    fields: tuple[tuple[str, str], ...]
    lines: tuple[str, ...] = ()
    data: Mapping[str, Json] = field(default_factory=dict)
    audience: Audience = Audience()
    urgent: bool = False
    unanswered: bool = False

    def body(self, channel: str, to: str | None = None) -> dict[str, Json]:
        """As it is kept for one receiver, with the id that the message has at every try."""
        body: dict[str, Json] = {
            "type": self.type,
            "at": moment(self.at),
            "title": self.title,
            "fields": [list(pair) for pair in self.fields],
            "lines": list(self.lines),
            "data": dict(self.data) if to is None else {},  # mail is for people
            "urgent": self.urgent,
            "to": to,
        }
        kept = orjson.dumps([channel, self.key, body], option=orjson.OPT_SORT_KEYS)
        return {**body, "id": f"msg_{hashlib.sha256(kept).hexdigest()[:32]}"}


@dataclass(frozen=True, slots=True)
class Message:
    """A notice on its way to one receiver; `to` is an address where it is mail."""

    id: str
    type: str
    at: datetime
    title: str
    fields: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    data: Mapping[str, Json]
    urgent: bool = False
    to: str | None = None

    @classmethod
    def read(cls, body: Mapping[str, Json]) -> Self:
        """The message that was kept as `Notice.body`."""
        fields = cast(Iterable[Sequence[str]], body["fields"])
        return cls(
            id=str(body["id"]),
            type=str(body["type"]),
            at=datetime.fromisoformat(str(body["at"])),
            title=str(body["title"]),
            fields=tuple((name, value) for name, value in fields),
            lines=tuple(cast(Iterable[str], body["lines"])),
            data=cast(Mapping[str, Json], body["data"]),
            urgent=bool(body["urgent"]),
            to=cast(str | None, body["to"]),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of sending: `said` is the other side's word, or what went wrong.

    `refused` means this message, where others may well be taken; `wait` is how long the other side
    asked to be left alone.
    """

    ok: bool
    said: str
    refused: bool = False
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A channel as far as choosing is concerned: what it wants, and for mail to whom it goes.

    `to` are addresses and the words `approvers` and `requester`; None where it is no mail. With
    `escalate` it hears only what nobody has answered.
    """

    channel: str
    groups: frozenset[Group] = frozenset(Group)
    escalate: bool = False
    to: tuple[str, ...] | None = None

    def wants(self, notice: Notice) -> bool:
        """Whether the channel is to be told."""
        if notice.urgent:
            return True
        return notice.unanswered if self.escalate else notice.group in self.groups

    def receivers(
        self, notice: Notice, users: Collection[User], now: datetime
    ) -> tuple[str | None, ...]:
        """Each address once, in order; where it is no mail, the one receiver has none."""
        if self.to is None:
            return (None,)
        found: list[str] = []
        for word in self.to:
            if word in (APPROVERS, REQUESTER):
                found += _addresses(_meant(word, notice.audience, users), now)
            else:
                found.append(word)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is not kept yet. `key` is unique on its channel."""

    channel: str
    key: str
    body: Mapping[str, Json]


def drafts(
    notice: Notice, subscriptions: Iterable[Subscription], users: Collection[User], now: datetime
) -> list[Draft]:
    """What is to be kept of a notice: a message for each receiver on each channel."""
    return [
        Draft(each.channel, _key(notice.key, to), notice.body(each.channel, to))
        for each in subscriptions
        if each.wants(notice)
        for to in each.receivers(notice, users, now)
    ]


def trial(channel: str, by: str, now: datetime) -> Notice:
    """What is sent to see whether a channel works. Every time it is another message."""
    return Notice(
        key=f"trial {moment(now)}",
        type="trial",
        group=Group.ADMINISTRATION,
        at=now,
        title=f"A test message for the channel {plain(channel, 63)}: nothing has happened",
        fields=(("by", plain(by, 80)),),
        data={"title": "A test message: nothing has happened"},
    )


def plain(text: object, limit: int = LONGEST) -> str:
    """`text` as one printable line of at most `limit` characters.

    Controls, line ends, marks that turn the direction and unpaired surrogates become blanks.
    """
    line = "".join(each if each.isprintable() else " " for each in str(text)[: limit * 2])
    line = " ".join(line.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def quoted(text: str | None, limit: int = LONGEST) -> str:
    """What a person typed, as `plain`, and so that no mail or chat program makes a link of it."""
    return plain((text or "").replace("://", "[:]//"), limit)


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names with commas; a long list is cut, and says how many more there are."""
    words = [plain(name, 120) for name in names]
    more = len(words) - most
    shown = ", ".join(words[:most])
    return f"{shown} and {more} more" if more > 0 else shown


def moment(at: datetime) -> str:
    """A time for programs (RFC 3339, UTC)."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _key(key: str, to: str | None) -> str:
    return key if to is None else f"{key} {hashlib.sha256(to.encode()).hexdigest()[:16]}"


def _meant(word: str, audience: Audience, users: Collection[User]) -> Iterable[User]:
    if word == REQUESTER:
        return (user for user in users if user.name == audience.requester)
    return (
        user for user in users if user.name in audience.approvers or user.roles & audience.roles
    )


def _addresses(users: Iterable[User], now: datetime) -> Iterable[str]:
    """Of those whose account is open. An address in the records is one that mail can be sent to."""
    return (user.email for user in users if user.email and user.may_sign_in(now))
