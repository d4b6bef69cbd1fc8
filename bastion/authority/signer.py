"""The one who signs: whatever holds a private half, behind one small interface.

A key file today. What is asked of it is a signature over some bytes and nothing else, so an
ssh-agent or a PKCS#11 token can stand in its place.
"""

from typing import Protocol

import asyncssh
from asyncssh.public_key import decode_ssh_public_key

from bastion.authority.public_keys import public_key_of
from bastion.inventory import PublicKey

_RSA = ("rsa-sha2-512", "rsa-sha2-256")


class Signer(Protocol):
    """Something that holds a private half."""

    @property
    def public(self) -> PublicKey:
        """The public half."""

    def sign(self, data: bytes) -> bytes:
        """A signature over `data` in SSH's form (RFC 4253 section 6.6: algorithm, signature).

        RSA keys sign with SHA-512 (RFC 8332). Raises Unavailable when what holds the key is away.
        """


class FileSigner:
    """A private key in this process's memory, as it was read from a file."""

    def __init__(self, key: asyncssh.SSHKey, comment: str = "") -> None:
        self._key = key
        self._public = public_key_of(key, comment)
        self._algorithm = signatures_of(self._public)[0].encode()

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`."""
        return self._key.sign(data, self._algorithm)


def verified(public: PublicKey, data: bytes, signature: bytes) -> bool:
    """Whether `signature` (RFC 4253 section 6.6) over `data` is by `public`. Never by SHA-1."""
    algorithm = signature[4 : 4 + int.from_bytes(signature[:4])].decode("ascii", "replace")
    if algorithm not in signatures_of(public):
        return False
    return decode_ssh_public_key(public.blob).verify(data, signature)


def signatures_of(public: PublicKey) -> tuple[str, ...]:
    """The algorithms by which a key may sign, the one that we use first."""
    return _RSA if public.algorithm == "ssh-rsa" else (public.algorithm,)
