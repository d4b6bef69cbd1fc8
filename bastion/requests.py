"""Requests and approvals as values: what somebody asked for, who agreed, what came of it.

State is derived from the time that is handed in: a request that nobody decides goes stale by
itself. All times are aware and UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from bastion.grants import Allows
from bastion.inventory import Selector
from bastion.windows import Window


class Standing(StrEnum):
    """Where a request stands at a moment."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    CANCELLED = "cancelled"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody agreed. `duration` is a shorter one than was asked for, where one was said.

    `fingerprint` is the key that signed in, if one did; `policy` the version of the rules that
    it was judged by; `machines` is what stood behind the hosts' names (`inventory.machines`).
    """

    by: str
    at: datetime
    duration: timedelta | None = None
    comment: str | None = None
    source: str = "local"
    fingerprint: str | None = None
    policy: str | None = None
    machines: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """An access that somebody asked for: `R-<id>`. It is for `user`; `asked_by` asked.

    It begins at `starts_at`, or when it is approved, and lasts `duration`. Where `extends` is a
    grant's number it asks for that one to last `duration` longer. `emergency` is break-glass:
    given at once, reviewed afterwards. `sponsor` vouched for the user then. `decision` is APPROVED,
    DENIED or CANCELLED once there is one; `grant` what came of it.
    """

    id: int
    user: str
    asked_by: str
    hosts: tuple[Selector, ...]
    logins: frozenset[str]
    allows: Allows
    duration: timedelta
    reason: str
    asked_at: datetime
    stale_at: datetime
    starts_at: datetime | None = None
    ticket: str | None = None
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    window: Window | None = None
    extends: int | None = None
    emergency: bool = False
    source: str = "local"
    sponsor: str | None = None
    rule: str | None = None
    policy: str | None = None
    approvals: tuple[Approval, ...] = ()
    decision: Standing | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    comment: str | None = None
    grant: int | None = None

    def __post_init__(self) -> None:
        if not self.hosts or not self.logins or self.duration <= timedelta():
            raise ValueError("a request names hosts and logins, and lasts for some time")

    def __str__(self) -> str:
        return f"R-{self.id}"

    def standing(self, now: datetime) -> Standing:
        """Where it stands at `now`."""
        if self.decision is not None:
            return self.decision
        return Standing.STALE if now >= self.stale_at else Standing.PENDING

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who agreed so far, in order."""
        return tuple(approval.by for approval in self.approvals)
