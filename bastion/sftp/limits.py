"""The limits that a target tells (PROTOCOL, 4.8), made no larger than ours. Pure."""

import struct

from bastion.sftp.framer import LARGEST
from bastion.sftp.opened import MOST

_LIMITS = struct.Struct(">4Q")

_OURS = (LARGEST, LARGEST - 1024, LARGEST - 1024, MOST)


def fitting(body: bytes) -> bytes:
    """Bytes of a packet, of a read, of a write, and open handles; 0 from a target means any."""
    if len(body) != _LIMITS.size:
        return _LIMITS.pack(*_OURS)
    theirs = _LIMITS.unpack(body)
    return _LIMITS.pack(*(min(a or b, b) for a, b in zip(theirs, _OURS, strict=True)))


def read_and_write(body: bytes) -> tuple[int, int]:
    """The most bytes of one read, and of one write, of what `fitting` gave."""
    _, read, write, _ = _LIMITS.unpack(body)
    return read, write
