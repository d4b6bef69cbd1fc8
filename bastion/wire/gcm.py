"""AES-GCM as packets have it (RFC 5647): asyncssh's, with one key object for all packets."""

import os
from typing import TYPE_CHECKING

from asyncssh.encryption import GCMEncryption
from asyncssh.misc import MACError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from asyncssh.crypto import GCMCipher

TAG = 16
"""Bytes of the tag behind each packet."""

_RANDOM = 256
"""Bytes for padding that the system is asked for at a time: some twenty packets'. Each connection
keeps what is left of them."""

_COUNTER = (1 << 64) - 1


class Gcm(GCMEncryption):
    """AES-GCM packet protection (RFC 5647) over one reused key object for each direction."""

    def __init__(self, cipher: "GCMCipher"):
        super().__init__(cipher)
        self._aead = AESGCM(cipher._key)
        self._fixed = cipher._iv[:4]
        self._count = int.from_bytes(cipher._iv[4:], "big")
        self._random = b""
        self._used = 0

    def seal(self, header: bytes, packet: bytes) -> bytes:
        """`packet` encrypted, with its tag; `header` is authenticated. Takes one nonce."""
        sealed = self._aead.encrypt(self._nonce(), packet, header)
        self._count = (self._count + 1) & _COUNTER
        return sealed

    def padding(self, count: int) -> bytes:
        """Random bytes (RFC 4253 section 6) that no packet has had."""
        if self._used + count > len(self._random):
            self._random, self._used = os.urandom(_RANDOM), 0
        self._used += count
        return self._random[self._used - count : self._used]

    def peek(self, header: memoryview, sealed: memoryview) -> bytes:
        """The packet within `sealed`, without taking the nonce. Raises MACError."""
        try:
            return self._aead.decrypt(self._nonce(), sealed, header)
        except InvalidTag:
            raise MACError("MAC verification failed") from None

    def take(self) -> None:
        """The packet that was peeked at is done with: on to the next nonce."""
        self._count = (self._count + 1) & _COUNTER

    def _nonce(self) -> bytes:
        return self._fixed + self._count.to_bytes(8, "big")

    def encrypt_packet(self, seq: int, header: bytes, packet: bytes) -> tuple[bytes, bytes]:
        """For asyncssh's own road: header and ciphertext, tag within."""
        return header + self.seal(header, packet), b""

    def decrypt_packet(
        self, seq: int, first: bytes, rest: bytes, header_len: int, mac: bytes
    ) -> bytes | None:
        """For asyncssh's own road: the packet, or None where the tag is wrong."""
        sealed = first[header_len:] + rest + mac
        try:
            packet = self._aead.decrypt(self._nonce(), sealed, first[:header_len])
        except InvalidTag:
            return None
        self.take()
        return packet
