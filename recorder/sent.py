"""The track of what a contractor sent: terminal input and stdin, for the auditors' eyes only.

    header   one line of JSON: {"bastion-sent": 1, "session": 31, "key": …}
    frame    kind (1 byte), time (8 bytes, microseconds since the start), length (4 bytes),
             then `length` bytes; big-endian
    kinds    D data  E end of input  L length  S sum of what was not kept  Z end of the track

`key` is a random key of 32 bytes, encrypted with age to the auditors, in base64. With it every
frame is ChaCha20-Poly1305 (RFC 8439) under the frame's number as nonce; the header and the
frame's first 13 bytes are authenticated too. Without auditors `key` is null: an L frame says
only how much was sent (4 bytes), and Z how much in all. No content reaches the disk then, and
no hash of a terminal's input, as that would let a password be guessed.

A file that was cut anywhere is readable up to its last whole frame; a whole one ends with Z.
`recorder.sent_reader` reads it.
"""

import hashlib
import os
import struct
from base64 import b64encode
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import orjson
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from recorder.age import Recipient, hide
from recorder.asciicast import LONGEST_CHUNK, Data, pieces
from recorder.pen import Pen
from recorder.remainder import Remainder

START = struct.Struct(">cQI")
LENGTH = struct.Struct(">I")
TOTAL = struct.Struct(">Q")
HASHED_TOTAL = struct.Struct(">Q32s")
TAG_LENGTH = 16
LONGEST_FRAME = LONGEST_CHUNK + TAG_LENGTH


class FrameKind(StrEnum):
    """What a frame is; the value is its first byte."""

    DATA = "D"
    EOF = "E"
    LENGTH = "L"
    SUM = "S"
    END = "Z"


class SentTrack(Protocol):
    """One growing track. `time` is in seconds since the start; all raise RecordingFailed."""

    def sent(self, time: float, data: Data) -> None:
        """Record what was sent."""

    def passed(self, length: int) -> None:
        """Count in the total what is neither kept nor hashed here. Writes nothing."""

    def eof(self, time: float) -> None:
        """Record that nothing more will be sent."""

    def end(self, time: float) -> None:
        """Record that the track is whole."""


def nonce(number: int) -> bytes:
    """The nonce of a frame: its number, from 0. A key is used for one file only."""
    return number.to_bytes(12, "big")


class SealedTrack:
    """The track when there are auditors: every frame is encrypted to them.

    When the file reaches `limit` bytes, only length and SHA-256 of the rest are kept.
    """

    def __init__(self, pen: Pen, session: int, recipients: Sequence[Recipient], limit: int) -> None:
        key = os.urandom(32)
        header = _header(session, hide(key, recipients))
        self._bound = hashlib.sha256(header).digest()
        self._cipher = ChaCha20Poly1305(key)
        self._pen = pen
        self._limit = limit
        self._frames = 0
        self._total = 0
        self._rest = Remainder()
        pen.write(header)

    def sent(self, time: float, data: Data) -> None:
        """Record what was sent, encrypted."""
        self._total += len(data)
        if self._rest.length or self._pen.size + len(data) > self._limit:
            if self._rest.add(time, data):
                self._sum_up(time)
            return
        for piece in pieces(data):
            self._write(time, FrameKind.DATA, piece)

    def passed(self, length: int) -> None:
        """Count in the total what is neither kept nor hashed here."""
        self._total += length

    def eof(self, time: float) -> None:
        """Record that nothing more will be sent."""
        self._write(time, FrameKind.EOF, b"")

    def end(self, time: float) -> None:
        """Record that the track is whole."""
        if self._rest.length:
            self._sum_up(time)
        self._write(time, FrameKind.END, TOTAL.pack(self._total))

    def _sum_up(self, time: float) -> None:
        rest = self._rest
        self._write(time, FrameKind.SUM, HASHED_TOTAL.pack(rest.length, rest.sha256))
        rest.said(time)

    def _write(self, time: float, kind: FrameKind, plain: Data) -> None:
        start = _start(time, kind, len(plain) + TAG_LENGTH)
        hidden = self._cipher.encrypt(nonce(self._frames), plain, self._bound + start)
        self._frames += 1
        self._pen.write(start + hidden)


class MeasuredTrack:
    """The track when there are no auditors: how much was sent and when, never what.

    `secret` input (a terminal's) is not even hashed: who has everything else that was typed
    could try passwords against the hash.
    """

    def __init__(self, pen: Pen, session: int, limit: int, *, secret: bool) -> None:
        self._pen = pen
        self._limit = limit
        self._total = 0
        self._digest = None if secret else hashlib.sha256()
        pen.write(_header(session, None))

    def sent(self, time: float, data: Data) -> None:
        """Record how much was sent."""
        self._total += len(data)
        if self._digest is not None:
            self._digest.update(data)
        if self._pen.size < self._limit:
            self._write(time, FrameKind.LENGTH, LENGTH.pack(len(data)))

    def passed(self, length: int) -> None:
        """Count in the total what is neither kept nor hashed here."""
        self._total += length

    def eof(self, time: float) -> None:
        """Record that nothing more will be sent."""
        self._write(time, FrameKind.EOF, b"")

    def end(self, time: float) -> None:
        """Record that the track is whole, and the hash of it all where that is no secret."""
        if self._digest is None:
            self._write(time, FrameKind.END, TOTAL.pack(self._total))
        else:
            hashed = HASHED_TOTAL.pack(self._total, self._digest.digest())
            self._write(time, FrameKind.END, hashed)

    def _write(self, time: float, kind: FrameKind, content: bytes) -> None:
        self._pen.write(_start(time, kind, len(content)) + content)


def _start(time: float, kind: FrameKind, length: int) -> bytes:
    return START.pack(kind.value.encode(), round(time * 1e6), length)


def _header(session: int, key: bytes | None) -> bytes:
    hidden = None if key is None else b64encode(key).decode()
    value = {"bastion-sent": 1, "session": session, "key": hidden}
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
