"""Reading a public key that somebody hands in: one line of OpenSSH's, or RFC 4716.

Strict, and with a sentence for each way in which the wrong thing arrives. What is accepted has
exactly one spelling on the wire, so that one key can't be enrolled for two people.
"""

import base64
import binascii
import re
import stat
import unicodedata
from pathlib import Path

import asyncssh
from asyncssh.public_key import decode_ssh_public_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from bastion.errors import BadInput
from bastion.inventory import PublicKey

LIMIT = 16 * 1024
"""The longest key file that is read, in bytes."""

RSA_BITS = range(3072, 16_385)
COMMENT_LIMIT = 100

KINDS = frozenset(
    {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "ssh-rsa",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
"""The algorithms that are taken: what a key's first wire string may be."""

_TAKEN = "take ed25519, ecdsa, rsa of 3072 bits or more, or a security key (ed25519-sk, ecdsa-sk)"
_CERTIFICATE = "-cert-v01@openssh.com"
_ALGORITHM = re.compile(
    r"(?:sk-)?(?:ssh|ecdsa|rsa|x509v3|webauthn)-[A-Za-z0-9@.-]+|ssh-dss", re.ASCII
)
_RFC4716 = "---- BEGIN SSH2 PUBLIC KEY ----"
_RFC4716_END = "---- END SSH2 PUBLIC KEY ----"


def read_public_key(text: str | bytes, *, limit: int = LIMIT) -> PublicKey:
    """The one public key in `text`. Raises BadInput with the reason, and what would do."""
    read = _decoded(text, limit)
    if "PRIVATE KEY" in read or read.startswith("PuTTY-User-Key-File"):
        raise BadInput(
            "That is the private half, which nobody but its owner should have: give the .pub."
        )
    if _RFC4716 in read:
        return _from_rfc4716(read)
    if "-----BEGIN" in read:
        raise BadInput(
            "That is a PEM file: ssh-keygen -i -m PKCS8 -f FILE gives the line to hand in."
        )
    lines = [line for line in map(str.strip, read.splitlines()) if line and line[0] != "#"]
    if not lines:
        raise BadInput("There is no key in it: give the one line of a .pub file.")
    if len(lines) > 1:
        raise BadInput(f"There are {len(lines)} lines in it: give one key, on one line.")
    return _from_line(lines[0])


def read_public_key_file(path: Path) -> PublicKey:
    """The one public key in the file `path`. Raises BadInput, naming the file."""
    shown = ascii(str(path))[1:-1]
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise BadInput(f"{shown} is a directory: give the .pub file in it.")
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except FileNotFoundError:
        raise BadInput(f"There is no file {shown}.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name can't be a file's"
        raise BadInput(f"{shown} can't be read: {why}.") from None
    try:
        return read_public_key(content)
    except BadInput as error:
        raise BadInput(f"{shown}: {error}") from None


def wire_key(key: PublicKey) -> asyncssh.SSHKey:
    """The same key as asyncssh's."""
    return decode_ssh_public_key(key.blob)


def public_key_of(key: asyncssh.SSHKey, comment: str = "") -> PublicKey:
    """asyncssh's key as ours. Raises BadInput where it is of a kind that is not taken."""
    return _checked(key.get_algorithm(), key.public_data, comment)


def read_blob(blob: bytes, comment: str = "") -> PublicKey:
    """The public key with this wire form. Raises BadInput."""
    return _checked(_first_string(blob), blob, comment)


def line_of(key: PublicKey) -> str:
    """A key as the line of a `.pub` file, without the newline."""
    return f"{key.algorithm} {base64.b64encode(key.blob).decode()} {key.comment}".rstrip()


def _decoded(text: str | bytes, limit: int) -> str:
    if len(text) > limit:
        raise BadInput(f"That is longer than {limit} bytes, so it is no public key.")
    if isinstance(text, str):
        return text.removeprefix("\ufeff").strip()
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in text:
        raise BadInput(
            "That is UTF-16 text, as PowerShell's > writes it: write the file again with "
            "| Out-File -Encoding ascii, or copy it."
        )
    return text.decode("utf-8-sig", "replace").strip()


def _from_rfc4716(text: str) -> PublicKey:
    """RFC 4716 section 3: headers, which may go on after a backslash, then base64."""
    if text.count(_RFC4716) > 1:
        raise BadInput("There are several keys in it: give one.")
    body, end, after = text.partition(_RFC4716)[2].partition(_RFC4716_END)
    if not end or after.strip() or not text.startswith(_RFC4716):
        raise BadInput("The key is not whole: copy it from its BEGIN line to its END line.")
    comment, encoded = "", []
    for line in body.strip().replace("\\\r\n", "").replace("\\\n", "").splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            encoded.append(line.strip())
        elif name.lower() == "comment":
            comment = value.strip().strip('"')
    blob = _unarmoured("".join(encoded))
    return _checked(_first_string(blob), blob, comment)


def _from_line(line: str) -> PublicKey:
    first, _, rest = line.partition(" ")
    if "\t" in first:
        first, _, rest = line.partition("\t")
    if _ALGORITHM.fullmatch(first) is None:
        raise BadInput(_not_a_key(line))
    encoded, _, comment = rest.strip().partition(" ")
    if not encoded:
        raise BadInput("The key itself is missing behind its kind: copy the whole line.")
    _taken(first)
    blob = _unarmoured(encoded)
    if _first_string(blob) != first:
        raise BadInput(f"The line says {first}, the key in it is another kind: copy it again.")
    return _checked(first, blob, comment)


def _not_a_key(line: str) -> str:
    if any(_ALGORITHM.fullmatch(word) for word in line.split()[1:]):
        return "Something stands before the key (options, or a host's name): give the key alone."
    return "That is no public key: give the one line of a .pub file, as in ssh-ed25519 AAAA…"


def _taken(algorithm: str) -> None:
    if algorithm in KINDS:
        return
    if algorithm.endswith(_CERTIFICATE):
        raise BadInput("That is a certificate: give the key's own .pub, without -cert.")
    if algorithm == "ssh-dss":
        raise BadInput(f"DSA keys are too weak to be trusted: {_TAKEN}.")
    raise BadInput(f"Keys of the kind {algorithm[:40]!a} are not taken: {_TAKEN}.")


def _unarmoured(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadInput("The key is damaged or cut short: copy the whole line again.") from None


def _first_string(blob: bytes) -> str:
    """The algorithm that the wire form begins with (RFC 4253 section 6.6)."""
    return blob[4 : 4 + int.from_bytes(blob[:4])].decode("ascii", "replace")


def _checked(algorithm: str, blob: bytes, comment: str) -> PublicKey:
    _taken(algorithm)
    try:
        key = decode_ssh_public_key(blob)
        canonical = key.public_data
    except (asyncssh.KeyImportError, ValueError, OverflowError):
        raise BadInput("The key is damaged or cut short: copy the whole line again.") from None
    if canonical != blob:
        raise BadInput("The key is spelt in a way that no program writes: make it anew.")
    if algorithm == "ssh-rsa":
        _check_rsa(blob)
    return PublicKey(algorithm, blob, key.get_fingerprint(), _clean(comment))


def _check_rsa(blob: bytes) -> None:
    key = load_ssh_public_key(b"ssh-rsa " + base64.b64encode(blob))
    if not isinstance(key, RSAPublicKey):
        raise BadInput("The key is damaged: copy the whole line again.")
    if key.key_size not in RSA_BITS:
        raise BadInput(f"An RSA key of {key.key_size} bits is not taken: {_TAKEN}.")


def _clean(comment: str) -> str:
    """Only what prints, so that a comment is never a terminal's escape or changes directions."""
    kept = (c if unicodedata.category(c)[0] not in "CZ" else " " for c in comment[:1000])
    return " ".join("".join(kept).split())[:COMMENT_LIMIT]
