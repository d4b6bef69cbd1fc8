"""People, rules, requests, grants and certificates, as plain as can be: what `plain` talks about.

They share no code with what they stand for: no windows, no selectors. Times are whole seconds.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

Hours = tuple[int, int]
"""From one hour of every day to another, in UTC."""


@dataclass(frozen=True)
class PlainRule:
    """A rule. `needs` are pairs: who (names, and groups with an @), and how many of them."""

    who: frozenset[str]
    hosts: frozenset[str]
    longest: timedelta
    needs: tuple[tuple[frozenset[str], int], ...] = ()
    automatic: bool = False
    operators: bool = False
    emergency: bool = False
    hours: Hours | None = None
    inside: bool = False
    hardware: bool = False
    approvers_hardware: bool = False
    approvers_fresh: timedelta | None = None


@dataclass
class PlainPerson:
    """Somebody. `given` is who has ever enrolled which of her keys, those that are gone too."""

    name: str
    groups: set[str]
    approver: bool
    auditor: bool
    keys: set[str]
    given: set[tuple[str, str]] = field(default_factory=set)
    sponsor: str | None = None
    closed: bool = False


@dataclass
class PlainApproval:
    """A yes: by whom, with which key (None on the machine), under which rules, for how long.

    `machine` is the one that had the host's name then.
    """

    by: str
    key: str | None
    rules: int
    duration: timedelta
    machine: int


@dataclass
class PlainRequest:
    """What somebody asked for."""

    user: str
    host: str
    duration: timedelta
    stale_at: datetime
    start: datetime | None = None
    hours: Hours | None = None
    inside: bool = False
    asker: str | None = None
    sponsor: str | None = None
    extends: int | None = None
    emergency: bool = False
    approvals: list[PlainApproval] = field(default_factory=list)
    decision: str | None = None
    grant: int | None = None

    def standing(self, now: datetime) -> str:
        """Where it stands."""
        return self.decision or ("stale" if now >= self.stale_at else "pending")


@dataclass
class PlainGrant:
    """An access."""

    user: str
    host: str
    start: datetime
    end: datetime
    hours: Hours | None
    inside: bool
    hardware: bool
    emergency: bool
    approved_by: list[str]
    revoked: bool = False
    reviewed: bool = False

    def over(self, now: datetime) -> bool:
        """Revoked, or past its end."""
        return self.revoked or now >= self.end

    def usable(self, now: datetime) -> bool:
        """Whether it holds at this moment."""
        return self.start <= now and not self.over(now) and opens(self.hours, now) == now


@dataclass
class PlainCertificate:
    """What a key shows at the door."""

    key: str
    grants: set[int]
    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Doer:
    """Who does it: the person, the key that signed in, how long ago; or an account."""

    name: str
    key: str | None = None
    ago: timedelta = timedelta()
    operator: bool = False


def hardware(key: str | None) -> bool:
    """Keys in tokens are called so."""
    return key is not None and key.endswith("-sk")


def opens(hours: Hours | None, at: datetime) -> datetime:
    """The first moment from `at` on that lies in these hours."""
    if hours is None or hours[0] <= at.hour < hours[1]:
        return at
    morning = at.replace(hour=hours[0], minute=0, second=0)
    return morning if at < morning else morning + timedelta(days=1)


def within(narrow: Hours | None, wide: Hours | None) -> bool:
    """Whether the one lies in the other."""
    return wide is None or (narrow is not None and wide[0] <= narrow[0] and narrow[1] <= wide[1])
