"""What a target answers: SFTP's responses as values, from bytes and to bytes. Pure.

draft-ietf-secsh-filexfer-02, section 7. `parse_answer` never raises: what a target may not say is
a Malformed. Nothing may follow a response's last field.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from bastion.sftp.fields import NOTHING, Attrs, Buffer, Reader, Short, write_attrs, write_text
from bastion.sftp.packets import Malformed, framed

_VERSION, _STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _REPLY = 2, 101, 102, 103, 104, 105, 201

_START = struct.Struct(">BI")
_LENGTH = struct.Struct(">I")
_DATA_START = struct.Struct(">IBII")


class Code(IntEnum):
    """The code of a status (section 7)."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8


_MEANINGS = {
    Code.OK: "done",
    Code.EOF: "end of file",
    Code.NO_SUCH_FILE: "no such file",
    Code.PERMISSION_DENIED: "permission denied",
    Code.BAD_MESSAGE: "bad message",
    Code.OP_UNSUPPORTED: "operation unsupported",
}


@dataclass(frozen=True, slots=True)
class Version:
    """A target's first packet: its version, and its extensions with theirs."""

    version: int
    extensions: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """How a request went. A code that nobody has defined is a failure."""

    id: int
    code: Code
    message: bytes = b""

    @property
    def meaning(self) -> str:
        """The code in words."""
        return _MEANINGS.get(self.code, "failure")

    @property
    def failed(self) -> bool:
        """Whether it says that something was not done."""
        return self.code is not Code.OK


@dataclass(frozen=True, slots=True)
class Handle:
    """Something is open: this stands for it."""

    id: int
    handle: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """What was read."""

    id: int
    data: Buffer


@dataclass(frozen=True, slots=True)
class Entry:
    """One name, the line that `ls -l` shows of it, and its attributes."""

    name: bytes
    line: bytes = b""
    attrs: Attrs = NOTHING


@dataclass(frozen=True, slots=True)
class Names:
    """The entries of a directory, or one path."""

    id: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """A file's attributes."""

    id: int
    attrs: Attrs


@dataclass(frozen=True, slots=True)
class Reply:
    """What an extension answers; `body` is of the extension's own shape."""

    id: int
    body: bytes


Answer = Status | Handle | Data | Names | Attributes | Reply


def parse_answer(packet: Buffer) -> Version | Answer | Malformed:
    """What a target's packet (without its length) says."""
    reader = Reader(packet)
    number: int | None = None
    try:
        kind = reader.u8()
        number = reader.u32()
        if kind == _VERSION:
            return Version(number, reader.pairs())
        return _parse(kind, number, reader)
    except Short as short:
        return Malformed(number, f"The target's answer is not what it should be: {short}.")


def _parse(kind: int, number: int, reader: Reader) -> Answer:
    answer: Answer
    match kind:
        case 103:
            answer = Data(number, reader.data())
        case 101:
            return _status(number, reader)
        case 102:
            answer = Handle(number, reader.handle())
        case 104:
            answer = Names(number, _entries(reader))
        case 105:
            answer = Attributes(number, reader.attrs())
        case 201:
            answer = Reply(number, reader.rest())
        case _:
            raise Short(f"type {kind}")
    reader.end()
    return answer


def _status(number: int, reader: Reader) -> Status:
    """Servers before version 3 told no message, and some do not still."""
    code, message = reader.u32(), b""
    if reader.left:
        message = reader.text()
    if reader.left:
        reader.text()
    reader.end()
    known = code in Code.__members__.values()
    return Status(number, Code(code) if known else Code.FAILURE, message)


def _entries(reader: Reader) -> tuple[Entry, ...]:
    count = reader.u32()
    if count > reader.left // 12:
        raise Short("more names are promised than come")
    return tuple(Entry(reader.path(), reader.text(), reader.attrs()) for _ in range(count))


def write_version(version: Version) -> bytes:
    """A server's first packet, with its length."""
    pairs = b"".join(write_text(text) for pair in version.extensions for text in pair)
    return framed(_START.pack(_VERSION, version.version) + pairs)


def write_answer(answer: Answer, number: int | None = None) -> bytes:
    """A response, with its length; under another id than its own, if one is given."""
    number = answer.id if number is None else number
    match answer:
        case Data(_, data):
            return _DATA_START.pack(9 + len(data), _DATA, number, len(data)) + data
        case Status(_, code, message):
            body = _LENGTH.pack(code) + write_text(message) + write_text(b"")
            return framed(_START.pack(_STATUS, number) + body)
        case Handle(_, handle):
            return framed(_START.pack(_HANDLE, number) + write_text(handle))
        case Names(_, entries):
            told = b"".join(map(_entry, entries))
            return framed(_START.pack(_NAME, number) + _LENGTH.pack(len(entries)) + told)
        case Attributes(_, attrs):
            return framed(_START.pack(_ATTRS, number) + write_attrs(attrs))
        case Reply(_, body):
            return framed(_START.pack(_REPLY, number) + body)


def _entry(entry: Entry) -> bytes:
    return write_text(entry.name) + write_text(entry.line) + write_attrs(entry.attrs)
