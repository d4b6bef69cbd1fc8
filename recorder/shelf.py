"""The shelf: the files of recordings as they lie in an object store (`objects`).

Putting the same once more does nothing, so whatever was killed in between is put again. It blocks,
and has one piece of a file in memory at a time.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import cast

from recorder.errors import CorruptRecording, OtherBytes, RecordingMissing
from recorder.objects import PIECE, Lying, Objects, piece_name, series_of
from recorder.plain import ZST, unpacked

_BUFFER = 128 * 1024
_NOWHERE = "0000"
"""A folder that no recording lies in, so that little is listed."""


class Shelf:
    """The recordings in one store. Raises StoreAway."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, folder: str, file: Path, pause: Callable[[], object] = lambda: None) -> None:
        """Put a whole file there. Raises OtherBytes, OSError."""
        offset = 0
        with file.open("rb", buffering=0) as opened:
            while (content := _filled(opened)) or not offset:
                self.put_piece(folder, file.name, offset, content)
                offset += len(content)
                if len(content) < PIECE:
                    break
                pause()

    def put_piece(self, folder: str, file: str, offset: int, content: bytes) -> None:
        """Put some bytes of a file there. Raises OtherBytes where others lie there already."""
        name = piece_name(folder, file, offset)
        if not self._objects.make(name, content) and not self._holds(name, content):
            raise OtherBytes(f"the store has other bytes in {name}")

    def files(self, folder: str) -> dict[str, list[Lying]]:
        """The files in a folder, each with its pieces."""
        return series_of(folder, self._objects.listed(folder))

    def chunks(self, pieces: Iterable[Lying]) -> Iterator[bytes]:
        """What these are together; room was made for what the store lists, and no more comes.

        Raises RecordingMissing; CorruptRecording where it gives back more or less than it lists.
        """
        for piece in pieces:
            left = piece.size
            for chunk in self._objects.read(piece.name):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
            if left:
                raise CorruptRecording(
                    f"{piece.name} in the object store has not the size it lists"
                )

    def plain_chunks(self, file: str, pieces: Iterable[Lying]) -> Iterator[bytes]:
        """The same, unpacked where the file is compressed. Raises CorruptRecording too."""
        if not file.endswith(ZST):
            yield from self.chunks(pieces)
            return
        raw = cast(io.RawIOBase, _Joined(self.chunks(pieces)))
        with unpacked(raw, file) as opened:
            while chunk := opened.read(_BUFFER):
                yield chunk

    def text(self, folder: str, file: str, most: int, offset: int = 0) -> bytes | None:
        """One piece of a file, for a small one all of it; None where it is missing.

        It may be longer than `most` bytes only where the store has more.
        """
        held = bytearray()
        try:
            for chunk in self._objects.read(piece_name(folder, file, offset)):
                held += chunk
                if len(held) > most:
                    break
        except RecordingMissing:
            return None
        return bytes(held)

    def demand_there(self) -> None:
        """Raises StoreAway where the store does not answer."""
        next(self._objects.listed(_NOWHERE), None)

    def is_empty(self, folder: str) -> bool:
        """Whether nothing lies below a folder."""
        return next(self._objects.listed(folder), None) is None

    def remove(self, folder: str, but: Callable[[str], bool] = lambda _: False) -> None:
        """Take away what lies below a folder, but those files."""
        for each in list(self._objects.listed(folder)):
            if not but(each.name.removeprefix(f"{folder}/")):
                self._objects.remove(each.name)

    def _holds(self, name: str, content: bytes) -> bool:
        left = memoryview(content)
        for chunk in self._objects.read(name):
            if left[: len(chunk)] != chunk:
                return False
            left = left[len(chunk) :]
        return not left


def _filled(file: io.FileIO) -> bytes:
    """A piece; less only at the end."""
    content = bytearray()
    while len(content) < PIECE and (read := file.read(PIECE - len(content))):
        content += read
    return bytes(content)


class _Joined(io.RawIOBase):
    """Pieces as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size
