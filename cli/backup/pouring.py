"""Bytes on their way into a backup and out of it: compressed, and encrypted where that is asked.

Both ways are bounded in memory, whatever comes.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final, Protocol

import zstandard

from bastion.errors import BadInput
from cli.evidence.tarball import Pieces
from recorder.age import Identity, Recipient, hide_all, reveal_all
from recorder.errors import CorruptRecording, UnusableKey

LEVEL: Final = 3
CHUNK: Final = 256 * 1024
WINDOW: Final = 2**27
"""The most memory that a frame may ask for, in bytes: as `zstd -d` has it."""

SLICE: Final = 32 * 1024 * 1024
"""Bytes after which the disk has to have all: its queue is also that of live recordings."""

AGE_BEGINS: Final = b"age-encryption.org/v1"


class Sink(Protocol):
    """What bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """All of them."""


class Steady:
    """Writes to a file, which has what it was given on the disk by and by. Counts it."""

    def __init__(self, out: BinaryIO) -> None:
        self.size = 0
        self._out = out
        self._synced = 0
        self._disk = out.seekable()

    def write(self, data: bytes) -> None:
        """All of it."""
        self._out.write(data)
        self.size += len(data)
        if self._disk and self.size - self._synced >= SLICE:
            self._out.flush()
            os.fdatasync(self._out.fileno())
            self._synced = self.size


def pour(pieces: Iterator[bytes], out: Sink, recipients: Sequence[Recipient]) -> None:
    """All pieces, compressed, into `out`; encrypted to the recipients, where there are any.

    Raises what both raise.
    """
    compressed = _compressed(pieces)
    if recipients:
        hide_all(Pieces(compressed), out, recipients)
        return
    for piece in compressed:
        out.write(piece)


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def draw(file: BinaryIO, into: Sink, identity: Identity | None) -> None:
    """The content of a backup, decrypted and decompressed, into `into`, from its first byte.

    Raises BadInput for what is damaged, or what nobody brings the key for; what `into` raises.
    """
    file.seek(0)
    encrypted = file.read(len(AGE_BEGINS)) == AGE_BEGINS
    file.seek(0)
    if encrypted and identity is None:
        raise BadInput("it is encrypted: give --identity FILE, with the key that it was made for")
    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    with unpacker.stream_writer(into, write_size=CHUNK, closefd=False) as out:  # type: ignore[arg-type]
        try:
            if identity is not None and encrypted:
                reveal_all(file, out, identity)
            else:
                while data := file.read(CHUNK):
                    out.write(data)
        except zstandard.ZstdError:
            raise BadInput("it is damaged, or no backup of a bastion") from None
        except UnusableKey:
            raise BadInput("this identity does not open it") from None
        except CorruptRecording:
            raise BadInput("it was changed or cut") from None
