"""Jumps as values: a connection through the bastion, the facts its first door needs, a kill.

Nothing here knows a network or a database.
"""

from dataclasses import dataclass
from datetime import datetime

from bastion.grants import Certificate, Grant
from bastion.inventory import Host, User


@dataclass(frozen=True, slots=True)
class DoorFacts:
    """What door 1 is decided from, as it stood at one moment.

    `user` is None where the name is unknown or the key is not (or no longer) enrolled for it;
    `host` where the inventory has no such name. `grants` are all of the user's that cover the host
    and are not over, or where there is none, the latest that are; `certificates` are the newest
    of that key's. `latest_time` is the latest wall time that was ever kept: a clock behind it has
    been set back.
    """

    user: User | None
    host: Host | None
    grants: tuple[Grant, ...]
    certificates: tuple[Certificate, ...]
    latest_time: datetime | None


@dataclass(frozen=True, slots=True)
class Jump:
    """A connection `C-<id>`: one user's way to one host, by the certificate of that serial."""

    id: int
    user: str
    fingerprint: str
    certificate: int | None
    source: str
    host: str
    login: str | None
    client_version: str
    started_at: datetime
    ended_at: datetime | None = None

    def __str__(self) -> str:
        return f"C-{self.id}"


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody passed a door of the jump `C-<connection>`: in, as a login, or out (None)."""

    connection: int
    at: datetime
    login: str | None = None


@dataclass(frozen=True, slots=True)
class Kill:
    """Somebody wants the live session `S-<session>` cut."""

    id: int
    session: int
    by: str
    reason: str
    at: datetime
