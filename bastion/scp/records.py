"""The lines of the scp protocol as values, and back to bytes in one way only. Pure.

Neither side is believed: what comes is parsed, and what goes is written from values. A name never
holds what would end a line, or what a terminal would act on.
"""

import re
from dataclasses import dataclass

from bastion.errors import BadInput

LINE_LIMIT = 8192
"""The longest line that is read, in bytes, with its end."""

MESSAGE_LIMIT = 1000
"""The longest message that is sent, in bytes; the rest is cut."""

NAME_LIMIT = 255
"""Bytes of a name: no file system of a target takes more (NAME_MAX)."""

_ENTRY = re.compile(rb"([CD])([0-7]{4}) ([0-9]{1,19}) (.+)", re.DOTALL)
_TIMES = re.compile(rb"T([0-9]{1,19}) [0-9]{1,6} ([0-9]{1,19}) [0-9]{1,6}")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Entry:
    """`C` a file with `size` bytes to follow, or `D` a directory. `mode` is of permissions only."""

    directory: bool
    mode: int
    size: int
    name: bytes

    def encode(self) -> bytes:
        """The line."""
        kind = b"D" if self.directory else b"C"
        return b"%b%04o %d %b\n" % (kind, self.mode, self.size, self.name)


@dataclass(frozen=True, slots=True)
class Times:
    """`T`: when the next entry was modified, and read, in whole seconds since 1970.

    SFTP of version 3 has 32 bits for them, and no parts of a second.
    """

    modified: int
    read: int

    def encode(self) -> bytes:
        """The line."""
        return b"T%d 0 %d 0\n" % (self.modified, self.read)


@dataclass(frozen=True, slots=True)
class End:
    """`E`: the end of a directory."""

    def encode(self) -> bytes:
        """The line."""
        return b"E\n"


@dataclass(frozen=True, slots=True)
class Message:
    """A warning (1), or an error (2) after which its sender is gone."""

    level: int
    text: bytes

    def encode(self) -> bytes:
        """The line, cut, with nothing that a terminal would act on."""
        text = _CONTROL.sub(b"?", self.text[:MESSAGE_LIMIT])
        return bytes([self.level]) + text + b"\n"


Record = Entry | Times | End | Message


def presentable(name: bytes) -> bool:
    """Whether a name fits a line, a file system and a terminal."""
    return 0 < len(name) <= NAME_LIMIT and not _CONTROL.search(name)


def parse_record(line: bytes) -> Record:
    """What a source's line (without its `\\n`) says. Raises BadInput."""
    if line[:1] in {b"\1", b"\2"}:
        return Message(line[0], line[1:])
    if line == b"E":
        return End()
    if times := _TIMES.fullmatch(line):
        return Times(_within(times[1], 32), _within(times[2], 32))
    if entry := _ENTRY.fullmatch(line):
        return _entry(entry)
    raise BadInput("The client sent what is no line of the scp protocol.")


def _entry(match: re.Match[bytes]) -> Entry:
    kind, mode, size, name = match.groups()
    if b"/" in name or name in {b".", b".."}:
        raise BadInput("The client sent a name that leaves its directory.")
    if not presentable(name):
        raise BadInput("The client sent a name that is too long, or can't be shown.")
    return Entry(kind == b"D", int(mode, 8) & 0o777, _within(size, 63), name)


def _within(digits: bytes, bits: int) -> int:
    number = int(digits)
    if number >> bits:
        raise BadInput("The client sent a number that is out of range.")
    return number
