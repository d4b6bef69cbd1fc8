"""Key revocation lists as OpenSSH reads them (its PROTOCOL.krl): values to bytes, and back.

A list names certificates by their CA and serial, and whole keys: a CA that is named is revoked
with everything that it has signed. The same value is always the same bytes. Nothing here knows a
file or a clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bastion.datatypes import Reader, string, uint32, uint64

MAGIC = b"SSHKRL\n\0"
FORMAT = 1
LARGEST = 2**64 - 1

_CERTIFICATES, _KEYS, _SIGNATURE, _SHA256 = 1, 2, 4, 5
_SERIALS, _RANGE, _BITMAP = 0x20, 0x21, 0x22

RUN = 3
"""Serials in a row from which on a range (21 bytes) is shorter than they are (8 each)."""

MOST_BITS = 0x100000
"""The widest bitmap that is read, as in OpenSSH."""

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Krl:
    """What is revoked: `serials` by the wire form of their CA, as ranges in order, both ends in.

    `keys` are wire forms, `fingerprints` raw SHA-256 of such. `version` grows with every list;
    `generated` is in Unix seconds. Serial 0 can't be revoked: OpenSSH takes it for none.
    """

    version: int = 0
    generated: int = 0
    comment: str = ""
    serials: Mapping[bytes, Ranges] = field(default_factory=dict)
    keys: frozenset[bytes] = frozenset()
    fingerprints: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        for ranges in self.serials.values():
            if any(low < 1 or low > high or high > LARGEST for low, high in ranges):
                raise ValueError("serials go from 1 to 2^64 - 1")
        if any(len(digest) != 32 for digest in self.fingerprints):
            raise ValueError("a fingerprint is 32 bytes")

    def revokes(self, ca: bytes, serial: int) -> bool:
        """Whether the certificate that `ca` has signed with `serial` is revoked."""
        if ca in self.keys:
            return True
        return any(low <= serial <= high for low, high in self.serials.get(ca, ()))


def ranges_of(serials: Iterable[int]) -> Ranges:
    """Serials as ranges, in order and apart."""
    return _joined((serial, serial) for serial in serials)


def encode(krl: Krl) -> bytes:
    """The list as a file."""
    parts = [
        MAGIC,
        uint32(FORMAT),
        uint64(krl.version),
        uint64(krl.generated),
        uint64(0),  # flags
        string(b""),  # reserved
        string(krl.comment.encode()),
    ]
    for ca, ranges in sorted(krl.serials.items()):
        if ranges:
            parts.append(_section(_CERTIFICATES, _certificates(ca, ranges)))
    if krl.keys:
        parts.append(_section(_KEYS, b"".join(map(string, sorted(krl.keys)))))
    if krl.fingerprints:
        digests = b"".join(map(string, sorted(krl.fingerprints)))
        parts.append(_section(_SHA256, digests))
    return b"".join(parts)


def decode(data: bytes) -> Krl:
    """The list in a file. Raises ValueError for what is none, or says what we would not see.

    So it refuses key ids, SHA-1 and extensions; of signatures it takes no notice.
    """
    reader = Reader(data)
    if reader.take(len(MAGIC)) != MAGIC or reader.number(4) != FORMAT:
        raise ValueError("not a KRL")
    version, generated = reader.number(8), reader.number(8)
    if reader.number(8):
        raise ValueError("a KRL with flags")
    reader.string()  # reserved
    comment = reader.string().decode()
    serials: dict[bytes, Ranges] = {}
    keys: set[bytes] = set()
    fingerprints: set[bytes] = set()
    while not reader.done:
        kind, section = reader.number(1), Reader(reader.string())
        if kind == _CERTIFICATES:
            ca, ranges = _read_certificates(section)
            serials[ca] = _joined([*serials.get(ca, ()), *ranges])
        elif kind in (_KEYS, _SHA256):
            (keys if kind == _KEYS else fingerprints).update(section.strings())
        elif kind != _SIGNATURE:
            raise ValueError(f"a section of the kind {kind}")
    found = {ca: ranges for ca, ranges in serials.items() if ranges}
    return Krl(version, generated, comment, found, frozenset(keys), frozenset(fingerprints))


def _section(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(1) + string(data)


def _certificates(ca: bytes, ranges: Ranges) -> bytes:
    """The serials of one CA: what stands alone as a list, what is dense as ranges."""
    alone: list[int] = []
    dense: list[bytes] = []
    for low, high in ranges:
        if high - low + 1 < RUN:
            alone += range(low, high + 1)
        else:
            dense.append(_section(_RANGE, uint64(low) + uint64(high)))
    listed = [_section(_SERIALS, b"".join(map(uint64, alone)))] if alone else []
    return string(ca) + string(b"") + b"".join([*listed, *dense])


def _read_certificates(reader: Reader) -> tuple[bytes, Ranges]:
    ca = reader.string()
    reader.string()  # reserved
    found: list[tuple[int, int]] = []
    while not reader.done:
        kind, data = reader.number(1), Reader(reader.string())
        found += _read_serials(kind, data)
    return ca, tuple(found)


def _read_serials(kind: int, data: Reader) -> Iterator[tuple[int, int]]:
    if kind == _SERIALS:
        while not data.done:
            serial = data.number(8)
            yield serial, serial
    elif kind == _RANGE:
        yield data.number(8), data.number(8)
        data.end()
    elif kind == _BITMAP:
        yield from _read_bitmap(data)
    else:
        raise ValueError(f"certificates that are named in another way, {kind:#x}")


def _read_bitmap(data: Reader) -> Iterator[tuple[int, int]]:
    """Bit n of the bitmap, a positive mpint, stands for the serial offset + n."""
    offset, encoded = data.number(8), data.string()
    data.end()
    bits = int.from_bytes(encoded)
    if bits.bit_length() > MOST_BITS or encoded[:1] >= b"\x80":
        raise ValueError("a bitmap that is too wide, or negative")
    for place, bit in enumerate(reversed(bin(bits)[2:])):
        if bit == "1":
            yield offset + place, offset + place


def _joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)
