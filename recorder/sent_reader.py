"""Reading the track of what was sent: by an auditor's identity, or only its lengths.

A file that ends inside a frame is read up to there. A frame that was changed, moved or taken
from another file raises CorruptRecording.
"""

import hashlib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from recorder.age import Identity, identity, reveal
from recorder.errors import CorruptRecording, RecorderError, RecordingMissing, UnusableKey
from recorder.sent import LENGTH, LONGEST_FRAME, START, TAG_LENGTH, FrameKind, nonce

_LONGEST_HEADER = 64 * 1024
_NOT_KEPT = "of what was sent after that only length and hash were kept."
_CUT = "The track of what was sent has no end: the session goes on, or it was interrupted."


@dataclass(frozen=True, slots=True)
class SentChunk:
    """One frame: `data` is what was sent (DATA), or the totals as `recorder.sent` packs them."""

    time: float
    kind: FrameKind
    data: bytes


@dataclass(frozen=True, slots=True)
class _Frame:
    number: int
    time: float
    kind: FrameKind
    start: bytes
    content: bytes


def read_sent(path: Path, key: str) -> Iterator[SentChunk]:
    """What was sent, frame by frame, decrypted with the identity `key`.

    A whole track ends with a chunk of kind END. Raises UnusableKey (also when the track was
    made without auditors, or for others), CorruptRecording, RecordingMissing.
    """
    who = identity(key)
    with _open(path) as file:
        header, hidden = _header(file)
        cipher = ChaCha20Poly1305(_file_key(hidden, who))
        bound = hashlib.sha256(header).digest()
        for frame in _frames(file):
            yield SentChunk(frame.time, frame.kind, _opened(cipher, bound, frame))


class Track:
    """A track, read with an auditor's identity for what was sent alone.

    Raises what `read_sent` raises where nothing of it can be read. What is wrong further on is its
    `problem`, and `remarks` are sentences about it: both when `data` has been read through.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.problem: RecorderError | None = None
        self.remarks: list[str] = []
        self._chunks = read_sent(path, key)
        self._first = next(self._chunks, None)

    def data(self) -> Iterator[SentChunk]:
        """What was sent, piece by piece, as far as it can be read; once."""
        last = self._first
        try:
            for chunk in () if last is None else chain([last], self._chunks):
                if chunk.kind is FrameKind.DATA:
                    yield chunk
                elif chunk.kind is FrameKind.SUM and not self.remarks:
                    self.remarks.append(f"The track was full: {_NOT_KEPT}")
                last = chunk
        except RecorderError as error:
            self.problem = error
            return
        if last is None or last.kind is not FrameKind.END:
            self.remarks.append(_CUT)


def bytes_sent(path: Path) -> int:
    """How much was sent, as far as the track tells without a key. Raises as `read_sent` does."""
    with _open(path) as file:
        _header(file)
        return sum(_length(frame) for frame in _frames(file))


def session_of(line: bytes) -> int:
    """Which session a track is of, by its first line. Raises CorruptRecording."""
    try:
        return int(orjson.loads(line)["session"])
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptRecording("the first line is not that of a track of what was sent") from error


def _length(frame: _Frame) -> int:
    if frame.kind is FrameKind.DATA:
        return len(frame.content) - TAG_LENGTH
    if frame.kind is FrameKind.LENGTH:
        return int.from_bytes(frame.content[: LENGTH.size], "big")
    return 0


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise RecordingMissing(f"{path} cannot be read: {error.strerror}") from error


def _header(file: BinaryIO) -> tuple[bytes, bytes | None]:
    line = file.readline(_LONGEST_HEADER)
    try:
        value = orjson.loads(line)
        if value["bastion-sent"] != 1:
            raise CorruptRecording(f"{file.name} is a track of another version")
        return line, None if value["key"] is None else b64decode(value["key"], validate=True)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptRecording(f"{file.name} is not a track of what was sent") from error


def _file_key(hidden: bytes | None, who: Identity) -> bytes:
    if hidden is None:
        raise UnusableKey("this track was made without an auditors' key: it holds no content")
    return reveal(hidden, who)


def _frames(file: BinaryIO) -> Iterator[_Frame]:
    number = 0
    while len(start := file.read(START.size)) == START.size:
        code, time, length = START.unpack(start)
        try:
            kind = FrameKind(code.decode("ascii"))
        except ValueError as error:
            raise CorruptRecording(f"{file.name}, frame {number}: unknown kind") from error
        if length > LONGEST_FRAME:
            raise CorruptRecording(f"{file.name}, frame {number}: too long")
        if kind is FrameKind.DATA and length < TAG_LENGTH:
            raise CorruptRecording(f"{file.name}, frame {number}: too short")
        content = file.read(length)
        if len(content) < length:
            return
        yield _Frame(number, time / 1e6, kind, start, content)
        number += 1


def _opened(cipher: ChaCha20Poly1305, bound: bytes, frame: _Frame) -> bytes:
    try:
        return cipher.decrypt(nonce(frame.number), frame.content, bound + frame.start)
    except InvalidTag as error:
        raise CorruptRecording(f"frame {frame.number} of what was sent was changed") from error
