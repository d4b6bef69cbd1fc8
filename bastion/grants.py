"""Grants and certificates as values: who may reach what, as whom, doing what, until when.

State is derived from the time that is handed in, never stored. All times are aware and UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address

from bastion.files import Files
from bastion.forwards import Forward
from bastion.inventory import Host, Selector
from bastion.templates import Template
from bastion.windows import Window


class State(StrEnum):
    """Where a grant stands at a moment."""

    SCHEDULED = "scheduled"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Allows:
    """What may be done: a shell (and with it any exec), or command lines; files; forwards.

    Each is allowed where it is named: a shell brings no files and no forwards with it.
    """

    shell: bool = False
    commands: tuple[Template, ...] = ()
    sftp: tuple[Files, ...] = ()
    forwards: tuple[Forward, ...] = ()

    def __post_init__(self) -> None:
        if not (self.shell or self.commands or self.sftp or self.forwards):
            raise ValueError("a grant that allows nothing is no grant")


@dataclass(frozen=True, slots=True)
class Grant:
    """An access that somebody approved: `G-<id>`.

    `hosts` are selectors, `logins` accounts on the targets. It holds from `starts_at` to
    `ends_at` (exclusive), and where it has a `window` only while that is open. `sources` are the
    networks it may be used from; none means any. `hardware` lets in by hardware keys only, `watch`
    only while an auditor watches.

    `request` is what it came from, `rule` what allowed it, in the `policy` of that version (hex);
    with `override` no rule was asked. `emergency` is break-glass: open for review until
    `reviewed_at`.
    """

    id: int
    user: str
    hosts: tuple[Selector, ...]
    logins: frozenset[str]
    allows: Allows
    starts_at: datetime
    ends_at: datetime
    reason: str
    ticket: str | None = None
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    granted_by: str = ""
    approved_by: tuple[str, ...] = ()
    granted_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    revoke_reason: str | None = None
    window: Window | None = None
    request: int | None = None
    rule: str | None = None
    policy: str | None = None
    override: bool = False
    emergency: bool = False
    watch: bool = False
    hardware: bool = False
    reviewed_at: datetime | None = None
    reviewed_by: str | None = None
    review_comment: str | None = None

    def __post_init__(self) -> None:
        if not self.hosts or not self.logins or self.starts_at >= self.ends_at:
            raise ValueError("a grant names hosts and logins, and ends after it begins")

    def __str__(self) -> str:
        return f"G-{self.id}"

    def state(self, now: datetime) -> State:
        """Where it stands at `now`: it begins at `starts_at`, and is over at `ends_at` itself.

        Outside its window it is scheduled, or expired where the window does not open again.
        """
        if self.revoked_at is not None and self.revoked_at <= now:
            return State.REVOKED
        opens_at = self.opens_at(now)
        if opens_at is None:
            return State.EXPIRED
        return State.SCHEDULED if now < opens_at else State.ACTIVE

    @property
    def over_at(self) -> datetime:
        """When it was over, or will be."""
        return min(self.ends_at, self.revoked_at or self.ends_at)

    def usable(self, now: datetime) -> bool:
        """Whether it opens a door at `now`. Revoked is revoked, whatever the clock said then."""
        return self.revoked_at is None and self.state(now) is State.ACTIVE

    def opens_at(self, now: datetime) -> datetime | None:
        """From when on it can be used: `now`, or later; None where it never can again."""
        begins = max(now, self.starts_at)
        if self.window is not None and begins < self.ends_at:
            begins = self.window.opens_at(begins)
        return begins if begins < self.ends_at else None

    def closes_at(self, now: datetime) -> datetime:
        """When a session that is open at `now` ends: with the window, or with the grant."""
        if self.window is None or not self.window.open_at(now):
            return self.ends_at
        return min(self.ends_at, self.window.closes_at(now))

    def covers(self, host: Host) -> bool:
        """Whether one of its selectors means `host`."""
        return any(selector.matches(host) for selector in self.hosts)

    def usable_from(self, source: str) -> bool:
        """Whether the client's address `source` is in its networks. What can't be read is not."""
        if not self.sources:
            return True
        try:
            address = ip_address(source)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self.sources)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A line of the ledger: a user certificate that was signed for a contractor.

    `sha256` is the hex digest of the whole certificate (wire form), `fingerprint` that of the key
    it is for, `grants` the ids that it counts for. It is good in `[valid_after, valid_before)`.
    """

    serial: int
    user: str
    fingerprint: str
    sha256: str
    grants: frozenset[int]
    valid_after: datetime
    valid_before: datetime
    revoked_at: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Whether it counts at `now`."""
        return self.revoked_at is None and self.valid_after <= now < self.valid_before


def covered(certificates: Sequence[Certificate], now: datetime) -> frozenset[int]:
    """The ids of all grants that a live one of `certificates` counts for."""
    return frozenset().union(*(c.grants for c in certificates if c.live(now)))
