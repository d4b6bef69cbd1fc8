"""A FIDO token in software: a key whose private half never was in a file (PROTOCOL.u2f)."""

import hashlib
from dataclasses import dataclass, field

import asyncssh
from asyncssh.packet import Byte, String, UInt32
from asyncssh.public_key import decode_ssh_public_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.authority.public_keys import public_key_of
from bastion.inventory import PublicKey

ALGORITHM = b"sk-ssh-ed25519@openssh.com"
APPLICATION = b"ssh:"
TOUCHED = 1


@dataclass
class Token:
    """The token, with one key in it."""

    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    counter: int = 0

    @property
    def blob(self) -> bytes:
        """The public key as it is on the wire."""
        point = self.private.public_key().public_bytes_raw()
        return String(ALGORITHM) + String(point) + String(APPLICATION)

    @property
    def public(self) -> PublicKey:
        """The public key as it is enrolled."""
        return public_key_of(decode_ssh_public_key(self.blob))

    def sign(self, data: bytes) -> bytes:
        """What it says when it is touched."""
        self.counter += 1
        how = Byte(TOUCHED) + UInt32(self.counter)
        signed = hashlib.sha256(APPLICATION).digest() + how + hashlib.sha256(data).digest()
        return String(ALGORITHM) + String(self.private.sign(signed)) + how


class Inserted(asyncssh.SSHKeyPair):
    """A token as a client's key, for `asyncssh.connect`."""

    _key_type = "token"

    def __init__(self, token: Token) -> None:
        algorithms = (ALGORITHM,)
        super().__init__(ALGORITHM, ALGORITHM, algorithms, algorithms, token.blob, None)
        self._token = token

    def sign(self, data: bytes) -> bytes:
        return self._token.sign(data)
