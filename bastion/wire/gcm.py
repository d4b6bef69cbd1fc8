"""AES-GCM as packets have it (RFC 5647): asyncssh's, with one context for many packets.

A context takes 2.4 KB and is made of its key in 2 µs. A connection has two, thousands may stand
idle, and so a process keeps those that it has made last.
"""

import os
from collections import deque
from typing import TYPE_CHECKING, Final
from weakref import ref

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

CONTEXTS: Final = 512
"""How many contexts a process keeps: those of 80 people who work at once."""


class Contexts:
    """Which of a process's have a context: the last `most` that needed one.

    Whoever was first is first to go, used or not: it is made again at its next packet, and a packet
    costs no more than that. Nothing here keeps a key of a connection that has gone.
    """

    __slots__ = ("_having", "_most")

    def __init__(self, most: int = CONTEXTS) -> None:
        self._most = most
        self._having: deque[ref[Gcm]] = deque()

    def made(self, by: "Gcm") -> None:
        """It has one now; another one may have to be without."""
        self._having.append(ref(by))
        if len(self._having) > self._most and (first := self._having.popleft()()):
            first.rest()


class Gcm(GCMEncryption):
    """AES-GCM packet protection (RFC 5647), for one direction.

    Its context is made when a packet needs it, and dropped when `contexts` says so.
    """

    __slots__ = ("_aead", "_contexts", "_count", "_fixed", "_key", "_random", "_used")

    def __init__(self, cipher: "GCMCipher", contexts: Contexts):
        self._key = cipher._key  # instead of the cipher: nothing of ours asks it
        self._contexts = contexts
        self._aead: AESGCM | None = None
        self._fixed = cipher._iv[:4]
        self._count = int.from_bytes(cipher._iv[4:], "big")
        self._random = b""
        self._used = 0

    @property
    def ready(self) -> bool:
        """Whether it has its context."""
        return self._aead is not None

    def rest(self) -> None:
        """Keep only what the next packet can't do without."""
        self._aead = None
        self._random, self._used = b"", 0

    def _context(self) -> AESGCM:
        made = self._aead = AESGCM(self._key)
        self._contexts.made(self)
        return made

    def seal(self, header: bytes, packet: bytes) -> bytes:
        """`packet` encrypted, with its tag; `header` is authenticated. Takes one nonce."""
        sealed = (self._aead or self._context()).encrypt(self._nonce(), packet, header)
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
            return (self._aead or self._context()).decrypt(self._nonce(), sealed, header)
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
            packet = (self._aead or self._context()).decrypt(
                self._nonce(), sealed, first[:header_len]
            )
        except InvalidTag:
            return None
        self.take()
        return packet
