"""The fields of a packet (draft-ietf-secsh-filexfer-02, section 3 and 5): read and written. Pure.

A field that is short, too long or holds a NUL where a name stands raises Short; who parses a
packet makes a value of it, so that nothing raises outside.
"""

import struct
from dataclasses import dataclass

Buffer = bytes | memoryview

LONGEST_PATH = 4096
"""Bytes of a path: Linux takes no longer one (PATH_MAX)."""

LONGEST_HANDLE = 256
"""Bytes of a handle (section 6.3)."""

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_PAIR = struct.Struct(">II")

SIZE, OWNERS, PERMISSIONS, TIMES = 1, 2, 4, 8
EXTENDED = 0x8000_0000

TYPE_MASK, DIRECTORY, REGULAR, LINK = 0o170000, 0o040000, 0o100000, 0o120000


class Short(Exception):
    """A field is not what it should be. It never leaves who parses a packet."""


@dataclass(frozen=True, slots=True)
class Attrs:
    """The attributes of a file (section 5); None for what is not told.

    `size` in bytes, `owners` are uid and gid, `times` are atime and mtime in seconds since 1970.
    """

    size: int | None = None
    owners: tuple[int, int] | None = None
    permissions: int | None = None
    times: tuple[int, int] | None = None
    extended: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def is_directory(self) -> bool | None:
        """None where the target does not say."""
        return self._is(DIRECTORY)

    @property
    def is_link(self) -> bool | None:
        """None where the target does not say."""
        return self._is(LINK)

    def _is(self, kind: int) -> bool | None:
        return None if self.permissions is None else self.permissions & TYPE_MASK == kind


NOTHING = Attrs()
"""No attribute is told, or set."""


class Reader:
    """Reads fields from a packet, one after another. Raises Short."""

    __slots__ = ("_at", "_view")

    def __init__(self, packet: Buffer, at: int = 0):
        self._view = memoryview(packet)
        self._at = at

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return len(self._view) - self._at

    def u8(self) -> int:
        """A number of 8 bits."""
        return self._take(1)[0]

    def u32(self) -> int:
        """A number of 32 bits."""
        return int(_U32.unpack_from(self._take(4))[0])

    def u64(self) -> int:
        """A number of 64 bits."""
        return int(_U64.unpack_from(self._take(8))[0])

    def data(self) -> memoryview:
        """A string as it lies in the packet, not copied."""
        return self._take(self.u32())

    def text(self) -> bytes:
        """A string that may hold anything."""
        return bytes(self.data())

    def path(self) -> bytes:
        """A name or a path: no NUL, not longer than one can be."""
        path = self.text()
        if len(path) > LONGEST_PATH or b"\0" in path:
            raise Short("a path is too long, or holds a NUL")
        return path

    def handle(self) -> bytes:
        """A handle."""
        handle = self.text()
        if len(handle) > LONGEST_HANDLE:
            raise Short("a handle is too long")
        return handle

    def attrs(self) -> Attrs:
        """Attributes. Flags that nobody has defined make the rest unreadable."""
        flags = self.u32()
        if flags & ~(SIZE | OWNERS | PERMISSIONS | TIMES | EXTENDED):
            raise Short("attributes that nobody has defined")
        return Attrs(
            size=self.u64() if flags & SIZE else None,
            owners=self._two() if flags & OWNERS else None,
            permissions=self.u32() if flags & PERMISSIONS else None,
            times=self._two() if flags & TIMES else None,
            extended=self._counted() if flags & EXTENDED else (),
        )

    def pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        """Pairs of strings to the end of the packet."""
        found = []
        while self.left:
            found.append((self.text(), self.text()))
        return tuple(found)

    def rest(self) -> bytes:
        """All that is left."""
        return bytes(self._take(self.left))

    def end(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise Short("something follows")

    def _two(self) -> tuple[int, int]:
        return self.u32(), self.u32()

    def _counted(self) -> tuple[tuple[bytes, bytes], ...]:
        count = self.u32()
        if count > self.left // 8:
            raise Short("more is promised than comes")
        return tuple((self.text(), self.text()) for _ in range(count))

    def _take(self, count: int) -> memoryview:
        start = self._at
        if count > len(self._view) - start:
            raise Short("it ends too early")
        self._at = start + count
        return self._view[start : self._at]


def write_text(value: Buffer) -> bytes:
    """A string with its length."""
    return _U32.pack(len(value)) + value


def write_attrs(attrs: Attrs) -> bytes:
    """Attributes, as `Reader.attrs` reads them."""
    flags, parts = 0, []
    if attrs.size is not None:
        flags |= SIZE
        parts.append(_U64.pack(attrs.size))
    if attrs.owners is not None:
        flags |= OWNERS
        parts.append(_PAIR.pack(*attrs.owners))
    if attrs.permissions is not None:
        flags |= PERMISSIONS
        parts.append(_U32.pack(attrs.permissions))
    if attrs.times is not None:
        flags |= TIMES
        parts.append(_PAIR.pack(*attrs.times))
    if attrs.extended:
        flags |= EXTENDED
        parts.append(_U32.pack(len(attrs.extended)))
        parts += [write_text(text) for pair in attrs.extended for text in pair]
    return _U32.pack(flags) + b"".join(parts)
