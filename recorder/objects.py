"""Objects: what recordings are called in an object store, and what is asked of one. Pure.

    2026/11/23/S-31/S-31.cast.zst                  a file of a recording: its first bytes
    2026/11/23/S-31/S-31.cast.zst.000008388608     and what follows, from that byte on
    2026/11/23/S-31/live/S-31.cast                 what has come of one that grows still
    2026/11/23/S-31/live/S-31.cast.000000004711

The objects of a file, one behind the other in the order of their names, are the file. Each is made
once, where there is none by its name, and never changed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from recorder.errors import RecordingMissing
from recorder.session import Session

PIECE: Final = 8 * 1024 * 1024
"""Bytes of an object at most: so many are in memory at once."""

LIVE: Final = "live"

_OWN = r"[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}}/{name}(-[0-9]{{1,2}})?"
_FILE = re.compile(
    r"(?P<file>S-[0-9]{1,19}(-[0-9]{1,2})?\.(cast|sent|manifest|tombstone)(\.(sig|zst|zst\.age))?)"
    r"(\.(?P<offset>[0-9]{12}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Lying:
    """An object that is there: its name, and its size in bytes."""

    name: str
    size: int


class Objects(Protocol):
    """An object store, or the part of one that is ours. It blocks. Raises StoreAway."""

    def make(self, name: str, content: bytes) -> bool:
        """Make an object; False where there is one by that name, which stays as it is."""

    def read(self, name: str) -> Iterator[bytes]:
        """Its content, piece by piece. Raises RecordingMissing."""

    def listed(self, folder: str) -> Iterator[Lying]:
        """All that lie below a folder."""

    def remove(self, name: str) -> None:
        """Take it away; one that is not there is no matter."""


def folder_of(session: Session) -> str:
    """Where the objects of a session lie: `2026/11/23/S-31`.

    A row is not sealed: one that names a file that is not its own raises RecordingMissing.
    """
    stem = session.recording.path.removesuffix(".zst").removesuffix(".cast")
    if re.fullmatch(_OWN.format(name=session.name), stem, re.ASCII) is None:
        raise RecordingMissing(f"the row of {session.name} names a file that is not its own")
    return stem


def piece_name(folder: str, file: str, offset: int) -> str:
    """What the object is called that has a file's bytes from there on."""
    return f"{folder}/{file}.{offset:012}" if offset else f"{folder}/{file}"


def series_of(folder: str, listed: Iterable[Lying]) -> dict[str, list[Lying]]:
    """The files that the objects directly in a folder are, each with its pieces in their order.

    What comes behind a gap is left out.
    """
    found: dict[str, list[tuple[int, Lying]]] = {}
    for each in listed:
        match = _FILE.fullmatch(each.name.removeprefix(f"{folder}/"))
        if match is not None:
            found.setdefault(match["file"], []).append((int(match["offset"] or 0), each))
    joined = {file: _joined(sorted(pieces, key=lambda p: p[0])) for file, pieces in found.items()}
    return {file: pieces for file, pieces in joined.items() if pieces}


def size_of(pieces: Iterable[Lying]) -> int:
    """How many bytes these are together."""
    return sum(each.size for each in pieces)


def _joined(pieces: list[tuple[int, Lying]]) -> list[Lying]:
    size, joined = 0, []
    for offset, piece in pieces:
        if offset != size:
            break
        joined.append(piece)
        size += piece.size
    return joined
