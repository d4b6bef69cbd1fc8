"""The plain content of a recording's file, however it lies on the disk.

A recording that is over may have been compressed meanwhile: `S-31.cast.zst` beside where
`S-31.cast` was. What is hashed, sealed and compared is always the plain content.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zstandard

from recorder.errors import CorruptRecording, RecordingMissing

ZST: Final = ".zst"
CHUNK: Final = 1024 * 1024
"""Bytes that are read at once."""

_WINDOW = 2**27
"""The most memory that a frame may ask for, in bytes: as `zstd -d` has it."""


def plain_path(path: Path) -> Path:
    """Where the plain file lies, or lay: `S-31.cast` for `S-31.cast.zst` too."""
    return path.with_suffix("") if path.suffix == ZST else path


def lying_path(path: Path) -> Path:
    """Where a recording lies now: as it is, else compressed. Raises RecordingMissing."""
    plain = plain_path(path)
    for found in (plain, plain.with_name(plain.name + ZST)):
        if found.is_file():
            return found
    raise RecordingMissing(f"{plain.name} is missing")


def plain_chunks(path: Path) -> Iterator[bytes]:
    """The plain content of a `.cast` or a `.cast.zst`, in pieces of at most a mebibyte.

    Raises RecordingMissing, CorruptRecording.
    """
    try:
        with path.open("rb", buffering=0) as file:
            if path.suffix != ZST:
                while chunk := file.read(CHUNK):
                    yield chunk
                return
            decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
            with decompressor.stream_reader(file, read_across_frames=True) as reader:
                while chunk := reader.read(CHUNK):
                    yield chunk
    except zstandard.ZstdError as error:
        raise CorruptRecording(f"{path.name} can't be decompressed") from error
    except FileNotFoundError as error:
        raise RecordingMissing(f"{path.name} is missing") from error
    except OSError as error:
        raise RecordingMissing(f"{path.name} can't be read: {error.strerror}") from error
