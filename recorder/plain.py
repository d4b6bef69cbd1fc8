"""The plain content of a recording's file, however it lies on the disk.

A recording that is over is compacted by and by: `S-31.cast.zst` where `S-31.cast` was. What is
hashed, sealed, compared and read is always the plain content. Where both lie there, compaction was
interrupted, and the plain one counts. A further form would be named in `FORMS` and opened here.
"""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

import zstandard

from recorder.errors import CorruptRecording, RecordingMissing

ZST: Final = ".zst"
AGE: Final = ".age"
"""What follows where a recording is compressed, and then encrypted to the auditors."""

FORMS: Final = ("", ZST)
"""What follows `S-31.cast`: the one that is there first counts. What is encrypted is none of them:
it takes an identity to open (`covered`)."""

CHUNK: Final = 1024 * 1024
"""Bytes that are read at once."""

_BUFFER = 128 * 1024
_WINDOW = 2**27
"""The most memory that a frame may ask for, in bytes: as `zstd -d` has it."""


def plain_path(path: Path) -> Path:
    """Where the plain file lies, or lay: `S-31.cast` for `S-31.cast.zst` too."""
    return path.with_suffix("") if path.suffix == ZST else path


def covered_path(path: Path) -> Path:
    """Where a recording lies that is encrypted: `S-31.cast.zst.age`."""
    plain = plain_path(path)
    return plain.with_name(f"{plain.name}{ZST}{AGE}")


def lying_path(path: Path) -> Path:
    """Where a recording lies now: as it is, else compacted. Raises RecordingMissing."""
    plain = plain_path(path)
    for form in FORMS:
        if (found := plain.with_name(plain.name + form)).is_file():
            return found
    raise RecordingMissing(f"{plain.name} is missing")


def opened_plain(path: Path, at: int = 0) -> io.BufferedReader:
    """The plain content of a file of either form, for whoever closes it.

    It begins `at` bytes into the file as it lies, which for a compacted one is where a frame
    begins. Reading raises CorruptRecording where it can't be decompressed. Raises RecordingMissing.
    """
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise RecordingMissing(f"{path.name} is missing") from error
    except OSError as error:
        raise RecordingMissing(f"{path.name} can't be read: {error.strerror}") from error
    file.seek(at)
    if path.suffix == ZST:
        return unpacked(cast(io.RawIOBase, file), path.name)
    return io.BufferedReader(file, _BUFFER)


def unpacked(packed: io.RawIOBase, name: str) -> io.BufferedReader:
    """What zstd frames hold, for whoever closes it. Reading raises CorruptRecording."""
    return io.BufferedReader(cast(io.RawIOBase, _Decompressed(packed, name)), _BUFFER)


def plain_chunks(path: Path) -> Iterator[bytes]:
    """The plain content of a `.cast` or a `.cast.zst`, in pieces of at most a mebibyte.

    Raises RecordingMissing, CorruptRecording.
    """
    with opened_plain(path) as file:
        try:
            while chunk := file.read(CHUNK):
                yield chunk
        except OSError as error:
            raise RecordingMissing(f"{path.name} can't be read: {error.strerror}") from error


def plain_measure(path: Path, most: int | None = None) -> tuple[int, str]:
    """The plain content's size and its SHA-256 in hex.

    Where there is more than `most`, no more than that and one piece is read. Raises
    RecordingMissing, CorruptRecording.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in plain_chunks(path):
        digest.update(chunk)
        size += len(chunk)
        if most is not None and size > most:
            break
    return size, digest.hexdigest()


class _Decompressed(io.RawIOBase):
    """The content of a file of zstd frames; one that is cut ends with its last whole block."""

    def __init__(self, file: io.RawIOBase, name: str) -> None:
        self._file = file
        self.name = name
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._content = decompressor.stream_reader(cast(BinaryIO, file), read_across_frames=True)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        try:
            return self._content.readinto(buffer)
        except zstandard.ZstdError as error:
            raise CorruptRecording(f"{self.name} can't be decompressed") from error

    def close(self) -> None:
        self._file.close()
        super().close()
