"""Mending a recording whose writer ended without closing it: killed, or out of space.

What was torn at the end is cut and the recording says so. A file with a bad line *before* good
ones is not torn but damaged: it is left as it is. Knows one file; not the index.
"""

import fcntl
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from recorder.asciicast import (
    LONGEST_LINE,
    OURS,
    STREAM_OF,
    Code,
    Event,
    Note,
    Word,
    event_line,
    parse_event,
    parse_header,
)
from recorder.errors import CorruptRecording
from recorder.plain import lying_path, opened_plain, plain_measure


class StillWritten(Exception):
    """Somebody is writing this recording: it is live, not interrupted."""


@dataclass(slots=True)
class Found:
    """What a recording holds. `ended` has the facts of its last line if it was closed."""

    end: int = 0
    torn: int = 0
    events: int = 0
    last_time: float = 0.0
    exit: str | None = None
    ended: dict[str, object] | None = None
    _kept: int = 0
    _dropped: dict[str, int] = field(default_factory=dict)
    _ours: bool = False

    @property
    def bytes_out(self) -> int:
        """What the target wrote, as far as the recording tells."""
        return self._kept + sum(self._dropped.values())

    def add(self, event: Event) -> None:
        """Take one more event into account. Raises CorruptRecording, and then all is as it was."""
        length = len(event.payload()) if event.code in STREAM_OF else 0
        self.events += 1
        self.last_time = event.time
        note = Note.of(event)
        if not self._ours:
            self._kept += length
        if event.code is Code.EXIT:
            self.exit = event.data
        if note is not None and note.word is Word.DROPPED:
            self._count_dropped(note)
        self.ended = note.facts if note is not None and note.word is Word.ENDED else None
        self._ours = note is not None and note.word in OURS

    def _count_dropped(self, note: Note) -> None:
        length = note.facts.get("bytes")
        if isinstance(length, int):
            self._dropped[str(note.facts.get("stream"))] = length


@dataclass(frozen=True, slots=True)
class Mended:
    """A recording that is whole now. `cut` is how many torn bytes were removed."""

    found: Found
    size: int
    sha256: str
    cut: int


def still_written(path: Path) -> bool:
    """Whether somebody is writing this recording. One that can't be opened is written by nobody."""
    try:
        with path.open("rb") as file:
            _lock(file.fileno())
    except StillWritten:
        return True
    except OSError:
        return False
    return False


def mend(path: Path, header: bytes) -> Mended:
    """Make the file end with a whole line; write `header` if not even that is whole.

    One that was compacted was whole (the database is an older copy): it is only read. Raises
    StillWritten, RecordingMissing, CorruptRecording (the file is then unchanged), OSError.
    """
    try:
        file = path.open("r+b", buffering=0)
    except FileNotFoundError:
        return _surveyed(lying_path(path))
    with file:
        _lock(file.fileno())
        with path.open("rb") as lines:
            found = survey(lines)
        if found.ended is None:
            _cut(file.fileno(), found, header)
        elif found.torn:  # nobody wrote that: its last line was there
            os.ftruncate(file.fileno(), found.end)
            os.fsync(file.fileno())
        size, sha256 = measured(path)
        return Mended(found, size, sha256, found.torn)


def _surveyed(lying: Path) -> Mended:
    with opened_plain(lying) as file:
        found = survey(file)
    size, sha256 = plain_measure(lying)
    return Mended(found, size, sha256, found.torn)


def survey(file: BinaryIO) -> Found:
    """Read a recording through, whole or torn. Raises CorruptRecording for a damaged one."""
    found = Found()
    offset = 0
    while line := file.readline(LONGEST_LINE + 1):
        good = _take(line, found, first=offset == 0)
        if good and found.torn:
            name = Path(file.name).name
            raise CorruptRecording(f"{name} is damaged: there is a bad line at byte {found.end}")
        offset += len(line)
        if good:
            found.end = offset
        else:
            found.torn = offset - found.end
    return found


def measured(path: Path) -> tuple[int, str]:
    """A file's size and its SHA-256 in hex."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StillWritten from error


def _take(line: bytes, found: Found, *, first: bool) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        if first:
            parse_header(line)
        else:
            found.add(parse_event(line))
    except CorruptRecording:
        return False
    return True


def _cut(descriptor: int, found: Found, header: bytes) -> None:
    os.ftruncate(descriptor, found.end)
    os.lseek(descriptor, 0, os.SEEK_END)
    note = Note(Word.INTERRUPTED, {"cut": found.torn})
    line = event_line(found.last_time, Code.NOTE, note.label())
    _write_all(descriptor, line if found.end else header + line)
    found.events += 1
    os.fsync(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
