"""OpenSSH certificates taken apart (PROTOCOL.certkeys), by a reader of our own.

It shares no code with what writes them, so that a certificate can be held against what was asked
for before it leaves. It does not check the signature.
"""

from dataclasses import dataclass

from bastion.datatypes import Reader, string

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


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A certificate that nobody has signed yet, with the random bytes at its front."""

    fields: Fields
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """A certificate with what it takes to check its signature: the bytes that were signed."""

    fields: Fields
    body: bytes
    signature: bytes


def read_certificate(blob: bytes) -> Fields:
    """The fields of the certificate with this wire form. Raises ValueError where it is none."""
    return read_sealed(blob).fields


def read_sealed(blob: bytes) -> Sealed:
    """The same with its signature, and nothing behind it. Raises ValueError where it is none."""
    reader = Reader(blob)
    fields = _fields(reader)
    body = blob[: reader.at]
    signature = reader.string()
    reader.end()
    return Sealed(fields, body, signature)


def read_body(body: bytes) -> Unsigned:
    """What is to be signed, whole. Raises ValueError where it is no certificate's body."""
    reader, front = Reader(body), Reader(body)
    fields = _fields(reader)
    reader.end()
    front.string()  # the algorithm
    return Unsigned(fields, front.string())


def _fields(reader: Reader) -> Fields:
    algorithm = _key_algorithm(reader.string().decode("ascii"))
    reader.string()  # the nonce
    key = b"".join(map(string, [reader.string() for _ in range(_KEY_FIELDS[algorithm])]))
    return Fields(
        key=string(algorithm.encode()) + key,
        serial=reader.number(8),
        kind=reader.number(4),
        key_id=reader.string().decode(),
        principals=tuple(name.decode() for name in Reader(reader.string()).strings()),
        valid_after=reader.number(8),
        valid_before=reader.number(8),
        options=_pairs(reader.string()),
        extensions=_pairs(reader.string()),
        signed_by=(reader.string(), reader.string())[1],  # after what is reserved
    )


def option(text: str) -> bytes:
    """The data of an option that has a value: a string within the string."""
    return string(text.encode())


def _key_algorithm(algorithm: str) -> str:
    base = algorithm.removesuffix(_SUFFIX)
    base = f"{base}@openssh.com" if base.startswith("sk-") else base
    if base == algorithm or base not in _KEY_FIELDS:
        raise ValueError("not a certificate")
    return base


def _pairs(data: bytes) -> tuple[tuple[str, bytes], ...]:
    parts = list(Reader(data).strings())
    if len(parts) % 2:
        raise ValueError("an option without data")
    return tuple(zip((name.decode() for name in parts[::2]), parts[1::2], strict=True))
