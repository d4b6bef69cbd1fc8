"""The ledger as values: what the CAs were asked to sign, what they signed, what was kept of it.

Nothing here knows a key or a database. The serial of a certificate is the number of its line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bastion.errors import Unavailable


class Kind(StrEnum):
    """Which CA signed: for a contractor's key, or for one connection to a target."""

    USER = "user"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Draft:
    """A certificate that is about to be signed; its serial comes from the ledger.

    `user` is whom it is for, or the account that tries a target; `grants` are the ids that it
    counts for. `connection` and `host` belong to a target's.
    """

    kind: Kind
    user: str
    grants: frozenset[int]
    signed_at: datetime
    source: str | None = None
    connection: int | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """What a CA signed: `line` as it stands in a `-cert.pub` file, `blob` its wire form.

    `sha256` is the hex digest of `blob`, `fingerprint` OpenSSH's of the key it is for.
    """

    line: str
    blob: bytes
    sha256: str
    serial: int
    key_id: str
    fingerprint: str
    principals: tuple[str, ...]
    valid_after: datetime
    valid_before: datetime


Signing = Callable[[int], Signed]
"""Makes a certificate with that serial. Raises Unavailable, SerialTaken."""


class SerialTaken(Unavailable):
    """Whoever signs has signed something else with that serial; `next` would do.

    So it is when a line was taken back after its certificate was made: its serial comes again.
    """

    def __init__(self, sentence: str, following: int) -> None:
        super().__init__(sentence)
        self.next = following


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole line of the ledger, for those who read it back."""

    serial: int
    kind: Kind
    user: str
    fingerprint: str
    sha256: str
    key_id: str
    principals: tuple[str, ...]
    grants: frozenset[int]
    valid_after: datetime
    valid_before: datetime
    signed_at: datetime
    source: str | None = None
    connection: int | None = None
    host: str | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    revoke_reason: str | None = None
