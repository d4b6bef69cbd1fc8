"""Retention: how long recordings are kept, by rules about hosts; and holds, which keep them anyway.

Pure. The first rule that fits a host decides, as it was when the session began (`Past`); where none
fits, the default does. Nothing is let go by a rule that is not there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from bastion.durations import format_duration, parse_duration
from bastion.errors import BadInput
from bastion.inventory import Host, Selector

SHORTEST: Final = timedelta(days=1)
"""No recording is let go sooner: what is shorter was a slip."""

GRACE: Final = timedelta(days=1)
"""So long after rules were changed nothing goes by them, unless somebody insists."""

FOREVER: Final = "forever"


def parse_keep(text: str) -> timedelta | None:
    """How long to keep: `30d`, `365d`; None for `forever`, and where nothing is said.

    Raises BadInput.
    """
    if text.strip() in ("", FOREVER):
        return None
    keep = parse_duration(text)
    if keep < SHORTEST:
        raise BadInput(
            f"{text.strip()} is less than a day, and recordings are kept for a day at least: "
            "write days, as in 30d or 365d."
        )
    return keep


@dataclass(frozen=True, slots=True)
class Rule:
    """For which hosts, and how long after a session's end: `keep`, None for ever."""

    hosts: tuple[Selector, ...]
    keep: timedelta | None

    def __str__(self) -> str:
        hosts = ", ".join(map(str, self.hosts)) or "default"
        return f"{hosts}: {FOREVER if self.keep is None else format_duration(self.keep)}"

    def until(self, ended_at: datetime) -> datetime | None:
        """When a recording of a session that ended then may go; None for never."""
        if self.keep is None or ended_at > datetime.max.replace(tzinfo=ended_at.tzinfo) - self.keep:
            return None
        return ended_at + self.keep


@dataclass(frozen=True, slots=True)
class Retention:
    """All of it: what is kept where no rule fits, and the rules in their order."""

    keep: timedelta | None = None
    rules: tuple[Rule, ...] = ()

    @property
    def default(self) -> Rule:
        """What counts where no rule fits."""
        return Rule((), self.keep)

    @property
    def finite(self) -> bool:
        """Whether anything is ever let go."""
        return any(rule.keep is not None for rule in (*self.rules, self.default))

    def rule_for(self, host: Host | None) -> Rule:
        """The rule for a session on this host. Of a host that nobody knows, the longest."""
        if host is None:
            return self.longest
        fits = (rule for rule in self.rules if any(each.matches(host) for each in rule.hosts))
        return next(fits, self.default)

    @property
    def longest(self) -> Rule:
        """The rule that keeps for the longest time."""
        rules = (*self.rules, self.default)
        return max(rules, key=lambda rule: timedelta.max if rule.keep is None else rule.keep)

    def lines(self) -> list[str]:
        """The rules as people write them, one each, the default last."""
        return [str(rule) for rule in (*self.rules, self.default)]

    @property
    def version(self) -> str:
        """SHA-256 (hex) of the rules: the same for the same rules, however they were written."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()


class Fate(StrEnum):
    """What is to become of a recording."""

    LIVE = "live"
    KEPT = "kept"
    HELD = "held"
    DUE = "due"


def fate(rule: Rule, ended_at: datetime | None, now: datetime, *, held: bool) -> Fate:
    """What becomes of a recording by its rule. A hold counts whatever the rule says."""
    if ended_at is None:
        return Fate.LIVE
    if held:
        return Fate.HELD
    until = rule.until(ended_at)
    return Fate.DUE if until is not None and until <= now else Fate.KEPT


@dataclass(frozen=True, slots=True)
class Hold:
    """Somebody's word to keep a session, or all sessions of a grant: one of the two is set."""

    id: int
    session: int | None
    grant: int | None
    by: str
    reason: str
    at: datetime
    released_at: datetime | None = None
    released_by: str | None = None
    release_reason: str | None = None

    @property
    def name(self) -> str:
        """What is held: `S-31` or `G-7`."""
        return f"S-{self.session}" if self.session is not None else f"G-{self.grant}"


Version: TypeAlias = tuple[datetime, Host | None]
"""A host from this moment on; None where what was told of it is not known."""


@dataclass(frozen=True, slots=True)
class Past:
    """Hosts as they were: for each name what was told of it, the oldest first."""

    versions: Mapping[str, Sequence[Version]] = field(default_factory=dict)

    def host(self, name: str, at: datetime) -> Host | None:
        """The host as it was then; None where that is not known.

        A session can't have begun before its host was there: where the clock says so, the first
        version counts.
        """
        versions = self.versions.get(name, ())
        before = [host for moment, host in versions if moment <= at]
        return before[-1] if before else versions[0][1] if versions else None


@dataclass(frozen=True, slots=True)
class Leap:
    """The clock went from one moment to the other, and nothing was kept in between."""

    since: datetime
    until: datetime
