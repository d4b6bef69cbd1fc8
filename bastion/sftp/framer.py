"""Whole packets out of bytes that come in any slices. Pure.

A packet is its length in 32 bits, then so many bytes (section 3). Bytes are joined at most once
for each packet that they begin, however small the slices are.
"""

import struct

from bastion.sftp.fields import Buffer
from bastion.sftp.packets import Malformed

LARGEST = 256 * 1024 + 64
"""Bytes of a packet: OpenSSH's limit (SFTP_MAX_MSG_LENGTH), and room for a header."""

_LENGTH = struct.Struct(">I")


class Framer:
    """Takes bytes and gives packets, without their lengths.

    After a length that no packet has, it gives one Malformed and nothing more, ever.
    """

    def __init__(self) -> None:
        self._parts: list[Buffer] = []
        self._held = 0
        self._needed = 4
        self._broken = False

    @property
    def truncated(self) -> bool:
        """Whether it waits in the midst of a packet: no good place for the bytes to end."""
        return self._held > 0

    def feed(self, data: Buffer) -> list[memoryview | Malformed]:
        """The packets that `data` completes."""
        if self._broken or not data:
            return []
        self._parts.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return []
        return self._split(b"".join(self._parts) if len(self._parts) > 1 else bytes(data))

    def _split(self, whole: bytes) -> list[memoryview | Malformed]:
        packets: list[memoryview | Malformed] = []
        view, at, needed = memoryview(whole), 0, 4
        while len(whole) - at >= 4:
            (length,) = _LENGTH.unpack_from(whole, at)
            if not 0 < length <= LARGEST:
                return [*packets, self._break(length)]
            needed = 4 + length
            if len(whole) - at < needed:
                break
            packets.append(view[at + 4 : at + needed])
            at, needed = at + needed, 4
        self._keep(whole[at:], needed)
        return packets

    def _keep(self, rest: bytes, needed: int) -> None:
        self._parts = [rest] if rest else []
        self._held, self._needed = len(rest), needed

    def _break(self, length: int) -> Malformed:
        self._broken = True
        self._keep(b"", 4)
        return Malformed(None, f"A packet of {length} bytes: 1 to {LARGEST} are taken.")
