"""Signed texts as `ssh-keygen -Y` makes and checks them (OpenSSH's PROTOCOL.sshsig).

A signature is for one namespace: what was signed as one thing is never taken for another.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bastion.authority.public_keys import read_blob
from bastion.authority.signer import Signer, verified
from bastion.datatypes import Reader, string
from bastion.errors import BadInput
from bastion.inventory import PublicKey

MAGIC = b"SSHSIG"
VERSION = 1
HASHES = ("sha512", "sha256")
"""What the text is hashed with; we use the first."""

LIMIT = 16 * 1024
"""The longest armoured signature that is looked at, in characters."""

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_ARMOUR = re.compile(rf"\s*{_BEGIN}\r?\n([A-Za-z0-9+/=\r\n]+?){_END}\s*", re.ASCII)
_COLUMNS = 70


class Fault(StrEnum):
    """Why a signature does not hold; each reads well behind "it"."""

    MALFORMED = "is no SSH signature"
    NAMESPACE = "was made for another purpose"
    STRANGER = "is by a key that is not known"
    WRONG = "does not fit the text"


@dataclass(frozen=True, slots=True)
class _Parts:
    key: bytes
    namespace: str
    hash: str
    signature: bytes


def sign(signer: Signer, namespace: str, message: bytes) -> str:
    """A signature over `message` for `namespace`, armoured, with its last newline."""
    if not namespace:
        raise ValueError("a signature is for a namespace")
    chosen = HASHES[0]
    signature = signer.sign(_to_be_signed(namespace, chosen, hashlib.new(chosen, message).digest()))
    parts = [signer.public.blob, namespace.encode(), b"", chosen.encode(), signature]
    blob = MAGIC + VERSION.to_bytes(4) + b"".join(map(string, parts))
    encoded = base64.b64encode(blob).decode()
    lines = [encoded[at : at + _COLUMNS] for at in range(0, len(encoded), _COLUMNS)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def verify(
    signature: str, namespace: str, message: bytes, known: Iterable[PublicKey]
) -> PublicKey | Fault:
    """Which of the keys that are `known` has signed `message` for `namespace`, or what is wrong."""
    return _verify(signature, namespace, lambda name: hashlib.new(name, message).digest(), known)


def verify_hashed(
    signature: str, namespace: str, hashed: Mapping[str, bytes], known: Iterable[PublicKey]
) -> PublicKey | Fault:
    """The same of a message that is not at hand: `hashed` is what each of HASHES makes of it."""
    return _verify(signature, namespace, hashed.__getitem__, known)


def _verify(
    signature: str, namespace: str, hashed: Callable[[str], bytes], known: Iterable[PublicKey]
) -> PublicKey | Fault:
    try:
        parts = _taken_apart(signature)
        by = read_blob(parts.key)
    except (ValueError, BadInput):
        return Fault.MALFORMED
    if parts.namespace != namespace:
        return Fault.NAMESPACE
    if all(key.blob != by.blob for key in known):
        return Fault.STRANGER
    signed = _to_be_signed(namespace, parts.hash, hashed(parts.hash))
    return by if verified(by, signed, parts.signature) else Fault.WRONG


def _to_be_signed(namespace: str, chosen: str, digest: bytes) -> bytes:
    return MAGIC + b"".join(map(string, (namespace.encode(), b"", chosen.encode(), digest)))


def _taken_apart(text: str) -> _Parts:
    """Raises ValueError."""
    found = _ARMOUR.fullmatch(text) if len(text) <= LIMIT else None
    if found is None:
        raise ValueError("no armour")
    blob = _decoded("".join(found[1].split()))
    if not blob.startswith(MAGIC):
        raise ValueError("not SSHSIG")
    reader = Reader(blob.removeprefix(MAGIC))
    if reader.number(4) != VERSION:
        raise ValueError("another version")
    key, namespace = reader.string(), reader.string().decode()
    if reader.string():
        raise ValueError("something reserved is set")
    parts = _Parts(key, namespace, reader.string().decode(), reader.string())
    reader.end()
    if parts.hash not in HASHES:
        raise ValueError("another hash")
    return parts


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
