"""What may be in a backup: the names, how each member begins, what describes it all. Pure.

A member begins with a block of 512 bytes as `tar` has it, ustar with GNU's form of large numbers:
no header may be longer than that, so nothing that is read can ask for memory.
"""

import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bastion.authority.public_keys import read_public_key
from bastion.errors import BadInput
from bastion.inventory import PublicKey

NAMESPACE: Final = "backup@bastion"
"""Of the signature (SSHSIG)."""

FORMAT: Final = 1
ABOUT, SUMS, SIGNATURE = "backup.json", "SHA256SUMS", "SHA256SUMS.sig"
SETTINGS, POLICY, DATABASE = "bastion.toml", "policy.toml", "bastion.db"
KEYS, RECORDINGS = "keys/", "recordings/"

MODE: Final = 0o600
BLOCK: Final = tarfile.BLOCKSIZE

_TOP = re.compile(r"bastion-[0-9]{8}T[0-9]{6}Z", re.ASCII)
_FILE = (
    r"S-[0-9]{1,18}(-[0-9]{1,2})?"
    r"\.(cast(\.zst|\.zst\.age)?|sent|manifest(\.sig)?|tombstone(\.sig)?)"
)
RECORDING: Final = re.compile(_FILE, re.ASCII)
_NAME = re.compile(
    r"backup\.json|SHA256SUMS(\.sig)?|bastion\.toml|policy\.toml|bastion\.db"
    r"|keys/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
    rf"|recordings/([0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}}/)?{_FILE}",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """The begin of a member: its name below the one directory, and how many bytes follow."""

    name: str
    size: int

    @property
    def padding(self) -> int:
        """Bytes that fill its last block."""
        return -self.size % BLOCK


@dataclass(frozen=True, slots=True)
class About:
    """What a backup says of itself. `seal_keys` are the public halves that may have signed it."""

    made_at: datetime
    node: str
    schema: str | None
    keys: bool
    recordings: bool
    seal_keys: tuple[PublicKey, ...]


def top(at: datetime) -> str:
    """The one directory that everything lies in."""
    return f"bastion-{at:%Y%m%dT%H%M%SZ}"


def header(directory: str, entry: Entry, at: datetime) -> bytes:
    """The block that a member begins with."""
    if not may_be(entry.name):
        raise ValueError(f"{entry.name} can't be in a backup")
    info = tarfile.TarInfo(f"{directory}/{entry.name}")
    info.size, info.mode, info.mtime = entry.size, MODE, int(at.timestamp())
    return info.tobuf(tarfile.GNU_FORMAT)


def read_header(block: bytes) -> Entry:
    """What a block begins. Raises BadInput for what is not one of ours."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError):
        raise BadInput("it is damaged, or no backup of a bastion") from None
    directory, _, name = info.name.partition("/")
    if info.type != tarfile.REGTYPE or info.size < 0:
        raise BadInput(f"it has {info.name[:90]!a}, which is no plain file")
    if _TOP.fullmatch(directory) is None or not may_be(name):
        raise BadInput(f"it has {info.name[:90]!a}, which no backup has")
    return Entry(name, info.size)


def may_be(name: str) -> bool:
    """Whether a member may have this name."""
    return _NAME.fullmatch(name) is not None


def sums_text(sums: Mapping[str, str]) -> bytes:
    """What `sha256sum -c` reads."""
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(sums.items())).encode()


def written(about: About, lines: tuple[str, ...]) -> bytes:
    """`about` as JSON; `lines` are its keys'."""
    shape = {
        "format": FORMAT,
        "made_at": about.made_at.isoformat(),
        "node": about.node,
        "schema": about.schema,
        "keys": about.keys,
        "recordings": about.recordings,
        "seal_keys": list(lines),
    }
    return json.dumps(shape, indent=2).encode() + b"\n"


def read_about(text: bytes) -> About:
    """What it says of itself. Raises BadInput."""
    try:
        shape = json.loads(text)
        if shape["format"] != FORMAT:
            raise BadInput("it is of another form: restore it with the version that made it")
        at = datetime.fromisoformat(shape["made_at"])
        lines = tuple(read_public_key(line) for line in shape["seal_keys"][:1000])
        schema = None if shape["schema"] is None else str(shape["schema"])
        keys, recordings = bool(shape["keys"]), bool(shape["recordings"])
        return About(at, str(shape["node"]), schema, keys, recordings, lines)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(f"its {ABOUT} can't be read") from None
