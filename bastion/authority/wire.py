"""OpenSSH certificates taken apart (PROTOCOL.certkeys), by a reader of our own.

It shares no code with what writes them, so that a certificate can be held against what was asked
for before it leaves. It does not check the signature.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_KEY_FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""How many strings the key itself is, for each kind."""

_SUFFIX = "-cert-v01@openssh.com"


@dataclass(frozen=True, slots=True)
class Fields:
    """What stands in a certificate. `kind` is 1 for a user, 2 for a host; times are Unix seconds.

    `options` are the critical ones with their raw data; `extensions` likewise. `key` and
    `signed_by` are wire forms of public keys.
    """

    key: bytes
    serial: int
    kind: int
    key_id: str
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    options: tuple[tuple[str, bytes], ...]
    extensions: tuple[tuple[str, bytes], ...]
    signed_by: bytes


def read_certificate(blob: bytes) -> Fields:
    """The fields of the certificate with this wire form. Raises ValueError where it is none."""
    reader = _Reader(blob)
    algorithm = _key_algorithm(reader.string().decode("ascii"))
    reader.string()  # the nonce
    key = b"".join(map(_string, [reader.string() for _ in range(_KEY_FIELDS[algorithm])]))
    return Fields(
        key=_string(algorithm.encode()) + key,
        serial=reader.number(8),
        kind=reader.number(4),
        key_id=reader.string().decode(),
        principals=tuple(name.decode() for name in _Reader(reader.string()).strings()),
        valid_after=reader.number(8),
        valid_before=reader.number(8),
        options=_pairs(reader.string()),
        extensions=_pairs(reader.string()),
        signed_by=(reader.string(), reader.string())[1],  # after what is reserved
    )


def option(text: str) -> bytes:
    """The data of an option that has a value: a string within the string."""
    return _string(text.encode())


def _key_algorithm(algorithm: str) -> str:
    base = algorithm.removesuffix(_SUFFIX)
    base = f"{base}@openssh.com" if base.startswith("sk-") else base
    if base == algorithm or base not in _KEY_FIELDS:
        raise ValueError("not a certificate")
    return base


def _pairs(data: bytes) -> tuple[tuple[str, bytes], ...]:
    parts = list(_Reader(data).strings())
    if len(parts) % 2:
        raise ValueError("an option without data")
    return tuple(zip((name.decode() for name in parts[::2]), parts[1::2], strict=True))


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


class _Reader:
    """Takes numbers and strings off the front (RFC 4251 section 5)."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size))

    def string(self) -> bytes:
        return self._take(self.number(4))

    def strings(self) -> Iterator[bytes]:
        while self._at < len(self._data):
            yield self.string()

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError("a field is cut short")
        taken = self._data[self._at : end]
        self._at = end
        return taken
