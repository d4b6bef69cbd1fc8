"""What a client asks of a target: SFTP's requests as values, from bytes and to bytes. Pure.

draft-ietf-secsh-filexfer-02, section 6, and OpenSSH's PROTOCOL, section 4. Requests are told
apart by their shape, and within a shape by their verb. `parse_request` never raises: what can't be
read is a Malformed, what is not known an Unknown. Nothing may follow a request's last field.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag, StrEnum

from bastion.sftp.fields import NOTHING, Attrs, Buffer, Reader, Short, write_attrs, write_text

VERSION = 3
"""The version that is spoken, whatever a client names."""

EXTENDED = 200


class Flags(IntFlag):
    """How a file is opened (section 6.3)."""

    READ = 1
    WRITE = 2
    APPEND = 4
    CREAT = 8
    TRUNC = 16
    EXCL = 32


class Verb(StrEnum):
    """A request by its name: the draft's, or an extension's as it goes over the wire."""

    INIT = "init"
    OPEN = "open"
    CLOSE = "close"
    READ = "read"
    WRITE = "write"
    LSTAT = "lstat"
    FSTAT = "fstat"
    SETSTAT = "setstat"
    FSETSTAT = "fsetstat"
    OPENDIR = "opendir"
    READDIR = "readdir"
    REMOVE = "remove"
    MKDIR = "mkdir"
    RMDIR = "rmdir"
    REALPATH = "realpath"
    STAT = "stat"
    RENAME = "rename"
    READLINK = "readlink"
    SYMLINK = "symlink"
    POSIX_RENAME = "posix-rename@openssh.com"
    STATVFS = "statvfs@openssh.com"
    FSTATVFS = "fstatvfs@openssh.com"
    HARDLINK = "hardlink@openssh.com"
    FSYNC = "fsync@openssh.com"
    LSETSTAT = "lsetstat@openssh.com"
    LIMITS = "limits@openssh.com"
    EXPAND_PATH = "expand-path@openssh.com"
    COPY_DATA = "copy-data"
    USERS_GROUPS = "users-groups-by-id@openssh.com"


_TYPES = {
    Verb.INIT: 1, Verb.OPEN: 3, Verb.CLOSE: 4, Verb.READ: 5, Verb.WRITE: 6, Verb.LSTAT: 7,
    Verb.FSTAT: 8, Verb.SETSTAT: 9, Verb.FSETSTAT: 10, Verb.OPENDIR: 11, Verb.READDIR: 12,
    Verb.REMOVE: 13, Verb.MKDIR: 14, Verb.RMDIR: 15, Verb.REALPATH: 16, Verb.STAT: 17,
    Verb.RENAME: 18, Verb.READLINK: 19, Verb.SYMLINK: 20,
}  # fmt: skip
_VERBS = {number: verb for verb, number in _TYPES.items() if verb is not Verb.INIT}

EXTENSIONS = frozenset(verb.value.encode() for verb in Verb if verb not in _TYPES)
"""The names of the extensions that are known; what else a target offers is not passed on."""

_START = struct.Struct(">BI")
_LENGTH = struct.Struct(">I")
_READ = struct.Struct(">QI")
_OFFSET = struct.Struct(">Q")
_COPY = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class Malformed:
    """What is no packet; `id` where so much could be read."""

    id: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A request that is not known: a type, or an extension by its name."""

    id: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Init:
    """The client's first packet. Its extensions are not passed on."""

    version: int


@dataclass(frozen=True, slots=True)
class Open:
    """Open a file, as `flags` say, with `attrs` if it is made."""

    id: int
    path: bytes
    flags: Flags
    attrs: Attrs


@dataclass(frozen=True, slots=True)
class OnPath:
    """A request about one path; `attrs` for mkdir, setstat and lsetstat, else none are set."""

    verb: Verb
    id: int
    path: bytes
    attrs: Attrs = NOTHING


@dataclass(frozen=True, slots=True)
class OnTwo:
    """A request about two paths: from `old` comes `new`.

    For a symlink `old` is what it leads to and comes first on the wire: OpenSSH reversed the
    draft's order, and everybody follows (PROTOCOL, 4.1).
    """

    verb: Verb
    id: int
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class OnHandle:
    """A request about something open; `attrs` for fsetstat."""

    verb: Verb
    id: int
    handle: bytes
    attrs: Attrs = NOTHING


@dataclass(frozen=True, slots=True)
class Read:
    """Read up to `length` bytes from `offset` on."""

    id: int
    handle: bytes
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write `data` at `offset`."""

    id: int
    handle: bytes
    offset: int
    data: Buffer


@dataclass(frozen=True, slots=True)
class CopyData:
    """Copy on the target from one open file to another; `length` 0 means to the end."""

    id: int
    source: bytes
    source_offset: int
    length: int
    sink: bytes
    sink_offset: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A request about no file: `limits` and the names of users and groups, with its body."""

    verb: Verb
    id: int
    body: bytes = b""


Request = Open | OnPath | OnTwo | OnHandle | Read | Write | CopyData | Plain

_WITH_ATTRS = frozenset({Verb.MKDIR, Verb.SETSTAT, Verb.LSETSTAT, Verb.FSETSTAT})


def parse_request(packet: Buffer) -> Init | Request | Unknown | Malformed:
    """What a client's packet (without its length) says."""
    reader = Reader(packet)
    number: int | None = None
    try:
        kind = reader.u8()
        number = reader.u32()
        if kind == _TYPES[Verb.INIT]:
            return Init(number)
        return _parse(kind, number, reader)
    except Short as short:
        return Malformed(number, f"A packet's fields are not what they should be: {short}.")


def _parse(kind: int, number: int, reader: Reader) -> Request | Unknown:
    verb: Verb | None = _VERBS.get(kind)
    if kind == EXTENDED:
        name = reader.text()
        if name not in EXTENSIONS:
            return Unknown(number, name)
        verb = Verb(name.decode())
    if verb is None:
        return Unknown(number, b"type %d" % kind)
    request = _PARSERS[verb](verb, number, reader)
    reader.end()
    return request


def _open(verb: Verb, number: int, reader: Reader) -> Open:
    path, flags = reader.path(), reader.u32()
    if flags & ~_ALL_FLAGS:
        raise Short("flags that nobody has defined")
    return Open(number, path, Flags(flags), reader.attrs())


_ALL_FLAGS = 0x3F


def _on_path(verb: Verb, number: int, reader: Reader) -> OnPath:
    path = reader.path()
    return OnPath(verb, number, path, reader.attrs() if verb in _WITH_ATTRS else NOTHING)


def _on_two(verb: Verb, number: int, reader: Reader) -> OnTwo:
    return OnTwo(verb, number, reader.path(), reader.path())


def _on_handle(verb: Verb, number: int, reader: Reader) -> OnHandle:
    handle = reader.handle()
    return OnHandle(verb, number, handle, reader.attrs() if verb in _WITH_ATTRS else NOTHING)


def _read(verb: Verb, number: int, reader: Reader) -> Read:
    return Read(number, reader.handle(), reader.u64(), reader.u32())


def _write(verb: Verb, number: int, reader: Reader) -> Write:
    return Write(number, reader.handle(), reader.u64(), reader.data())


def _copy(verb: Verb, number: int, reader: Reader) -> CopyData:
    source, source_offset, length = reader.handle(), reader.u64(), reader.u64()
    return CopyData(number, source, source_offset, length, reader.handle(), reader.u64())


def _plain(verb: Verb, number: int, reader: Reader) -> Plain:
    return Plain(verb, number, reader.rest())


_PARSERS: dict[Verb, Callable[[Verb, int, Reader], Request]] = {
    Verb.OPEN: _open, Verb.READ: _read, Verb.WRITE: _write, Verb.COPY_DATA: _copy,
    Verb.LIMITS: _plain, Verb.USERS_GROUPS: _plain,
    **dict.fromkeys((Verb.RENAME, Verb.SYMLINK, Verb.POSIX_RENAME, Verb.HARDLINK), _on_two),
    **dict.fromkeys(
        (Verb.CLOSE, Verb.FSTAT, Verb.FSETSTAT, Verb.READDIR, Verb.FSTATVFS, Verb.FSYNC), _on_handle
    ),
    **dict.fromkeys(
        (Verb.LSTAT, Verb.SETSTAT, Verb.OPENDIR, Verb.REMOVE, Verb.MKDIR, Verb.RMDIR,
         Verb.REALPATH, Verb.STAT, Verb.READLINK, Verb.STATVFS, Verb.LSETSTAT, Verb.EXPAND_PATH),
        _on_path,
    ),
}  # fmt: skip


def framed(packet: bytes) -> bytes:
    """A packet with its length before it."""
    return _LENGTH.pack(len(packet)) + packet


def write_init() -> bytes:
    """The first packet to a target, with its length."""
    return framed(_START.pack(_TYPES[Verb.INIT], VERSION))


def write_request(request: Request, number: int | None = None) -> bytes:
    """A request, with its length; under another id than its own, if one is given."""
    number = request.id if number is None else number
    match request:
        case Open(_, path, flags, attrs):
            body = write_text(path) + _LENGTH.pack(flags) + write_attrs(attrs)
            return _begun(Verb.OPEN, number, body)
        case OnPath(verb, _, path, attrs):
            return _begun(verb, number, write_text(path) + _attrs(verb, attrs))
        case OnTwo(verb, _, old, new):
            return _begun(verb, number, write_text(old) + write_text(new))
        case OnHandle(verb, _, handle, attrs):
            return _begun(verb, number, write_text(handle) + _attrs(verb, attrs))
        case Read(_, handle, offset, length):
            return _begun(Verb.READ, number, write_text(handle) + _READ.pack(offset, length))
        case Write(_, handle, offset, data):
            start = write_text(handle) + _READ.pack(offset, len(data))
            return b"".join((_LENGTH.pack(5 + len(start) + len(data)), _START.pack(6, number),
                             start, data))  # fmt: skip
        case CopyData(_, source, source_offset, length, sink, sink_offset):
            body = write_text(source) + _COPY.pack(source_offset, length)
            return _begun(
                Verb.COPY_DATA, number, body + write_text(sink) + _OFFSET.pack(sink_offset)
            )
        case Plain(verb, _, body):
            return _begun(verb, number, body)


def _attrs(verb: Verb, attrs: Attrs) -> bytes:
    return write_attrs(attrs) if verb in _WITH_ATTRS else b""


def _begun(verb: Verb, number: int, body: bytes) -> bytes:
    kind = _TYPES.get(verb)
    if kind is None:
        name = write_text(verb.value.encode())
        return framed(_START.pack(EXTENDED, number) + name + body)
    return framed(_START.pack(kind, number) + body)
