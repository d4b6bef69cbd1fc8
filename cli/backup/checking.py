"""Checking: all of a backup is looked at before anything is written. Its list of hashes has to be
signed, and every member has to be what the list says, no more and no less.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from bastion.authority.sshsig import Fault, verify_hashed
from bastion.errors import BadInput
from bastion.inventory import PublicKey
from cli.backup.listed import Listed
from cli.backup.members import (
    ABOUT,
    DATABASE,
    KEYS,
    NAMESPACE,
    POLICY,
    SETTINGS,
    SIGNATURE,
    SUMS,
    About,
    Entry,
    read_about,
)
from cli.backup.pouring import draw
from cli.backup.unpacking import Taker, Unpacking
from recorder.age import Identity

LONGEST: Final = {ABOUT: 1 << 20, SIGNATURE: 1 << 14}
"""Bytes of what is kept in memory."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup that is whole: the SHA-256 of its members by name, the list's own (hex), who signed
    that."""

    about: About
    sums: dict[str, bytes]
    sha256: str
    signed_by: PublicKey
    size: int


@dataclass(slots=True)
class _Hashing:
    """Takes a member: its hash, and where it is wanted its text."""

    entry: Entry
    into: "_Looking"
    text: bytearray | None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        if self.text is not None:
            self.text += data

    def close(self) -> None:
        if self.entry.name != SIGNATURE:
            self.into.unlisted[self.entry.name] = self.digest.digest()
        if self.text is not None:
            self.into.texts[self.entry.name] = bytes(self.text)


@dataclass(slots=True)
class _Looking:
    """What is known of all that has come past: the list comes behind what it lists."""

    unlisted: dict[str, bytes] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    listed: Listed | None = None
    size: int = 0

    def take(self, entry: Entry) -> Taker:
        most = LONGEST.get(entry.name)
        if most is not None and entry.size > most:
            raise BadInput(f"its {entry.name} is longer than {most} bytes")
        self.size += entry.size
        if self.listed is not None and entry.name != SIGNATURE:
            raise BadInput(f"{entry.name} was added to it, behind its list of hashes")
        if entry.name == SUMS:
            self.listed = Listed(self.unlisted)
            return self.listed
        return _Hashing(entry, self, None if most is None else bytearray())

    def has(self, name: str) -> bool:
        """Whether it has a member that is called so."""
        listed = {} if self.listed is None else self.listed.sums
        return name in self.unlisted or name in listed or name in self.texts


def check(file: BinaryIO, identity: Identity | None, trusted: Sequence[PublicKey]) -> Checked:
    """The backup in `file`, read to its end. Without `trusted` keys it may be signed by its own.

    Raises BadInput with what is wrong, as words that stand behind its name.
    """
    looking = _Looking()
    unpacking = Unpacking(looking.take)
    draw(file, unpacking, identity)
    unpacking.finish()
    for name in (ABOUT, SETTINGS, POLICY, SIGNATURE):
        if not looking.has(name):
            raise BadInput(f"it has no {name}")
    if looking.listed is None:
        raise BadInput(f"it has no {SUMS}")
    about, listed = read_about(looking.texts[ABOUT]), looking.listed
    signature = looking.texts[SIGNATURE].decode("ascii", "replace")
    hashed = {name: digest.digest() for name, digest in listed.hashes.items()}
    found = verify_hashed(signature, NAMESPACE, hashed, tuple(trusted or about.seal_keys))
    if isinstance(found, Fault):
        raise BadInput(f"the signature over its hashes {found}")
    listed.demand_same()
    _demand_said(about, listed.sums)
    return Checked(about, listed.sums, hashed["sha256"].hex(), found, looking.size)


def _demand_said(about: About, sums: dict[str, bytes]) -> None:
    keys = any(name.startswith(KEYS) for name in sums)
    if keys != about.keys or (DATABASE in sums) != (about.schema is not None):
        raise BadInput(f"it has not what its {ABOUT} says")
