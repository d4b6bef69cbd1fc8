"""Checking: all of a backup is looked at before anything is written. Its list of hashes has to be
signed, and every member has to be what the list says, no more and no less.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from bastion.authority.sshsig import Fault, verify
from bastion.errors import BadInput
from bastion.inventory import PublicKey
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
    sums_of,
)
from cli.backup.pouring import draw
from cli.backup.unpacking import Unpacking
from recorder.age import Identity

LONGEST: Final = {ABOUT: 1 << 20, SUMS: 1 << 30, SIGNATURE: 1 << 14}
"""Bytes of what is kept in memory."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup that is whole: its sums by name, their own SHA-256, who signed them."""

    about: About
    sums: dict[str, str]
    sha256: str
    signed_by: PublicKey
    size: int

    def has(self, name: str) -> bool:
        """Whether it has a member that is called so, or lies below that."""
        return any(each.startswith(name) for each in self.sums)


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
        self.into.hashes[self.entry.name] = self.digest.hexdigest()
        self.into.size += self.entry.size
        if self.text is not None:
            self.into.texts[self.entry.name] = bytes(self.text)


@dataclass(slots=True)
class _Looking:
    hashes: dict[str, str] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    size: int = 0

    def take(self, entry: Entry) -> _Hashing:
        most = LONGEST.get(entry.name)
        if most is not None and entry.size > most:
            raise BadInput(f"its {entry.name} is longer than {most} bytes")
        return _Hashing(entry, self, None if most is None else bytearray())


def check(file: BinaryIO, identity: Identity | None, trusted: Sequence[PublicKey]) -> Checked:
    """The backup in `file`, read to its end. Without `trusted` keys it may be signed by its own.

    Raises BadInput with what is wrong, as words that stand behind its name.
    """
    looking = _Looking()
    unpacking = Unpacking(looking.take)
    draw(file, unpacking, identity)
    unpacking.finish()
    for name in (ABOUT, SETTINGS, POLICY, SUMS, SIGNATURE):
        if name not in looking.hashes:
            raise BadInput(f"it has no {name}")
    about, text = read_about(looking.texts[ABOUT]), looking.texts[SUMS]
    signature = looking.texts[SIGNATURE].decode("ascii", "replace")
    found = verify(signature, NAMESPACE, text, tuple(trusted or about.seal_keys))
    if isinstance(found, Fault):
        raise BadInput(f"the signature over its hashes {found}")
    sums = sums_of(text)
    _demand_same(sums, looking.hashes)
    _demand_said(about, sums)
    return Checked(about, sums, looking.hashes[SUMS], found, looking.size)


def _demand_same(listed: dict[str, str], lying: dict[str, str]) -> None:
    there = lying.keys() - {SUMS, SIGNATURE}
    for name in sorted(listed.keys() - there):
        raise BadInput(f"{name} is missing in it")
    for name in sorted(there - listed.keys()):
        raise BadInput(f"{name} was added to it")
    for name in sorted(listed):
        if listed[name] != lying[name]:
            raise BadInput(f"{name} in it was changed")


def _demand_said(about: About, sums: dict[str, str]) -> None:
    keys = any(name.startswith(KEYS) for name in sums)
    if keys != about.keys or (DATABASE in sums) != (about.schema is not None):
        raise BadInput(f"it has not what its {ABOUT} says")
