"""Reading a recording back, in whichever form it lies: line by line, in bounded memory.

It may be growing still, and it may be compacted between two readings. A last line that is not whole
is not there yet: it is left out. Any other line that the recorder did not write raises
CorruptRecording. Nothing is changed on disk.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from recorder.asciicast import LONGEST_LINE, Event, Header, parse_event, parse_header
from recorder.errors import CorruptRecording, RecordingMissing
from recorder.plain import covered_path, lying_path, opened_plain, plain_path

SLICE = 64 * 1024
"""Bytes of a track that are read at once."""

LONG = 0.002
"""Seconds of work until others get their turn."""


class Reader:
    """One recording's files; `path` is the plain one's, `sent_path` its track of what was sent.

    Opens them anew for each reading, so one reader serves several. `between` is called between
    two small pieces of long work, some milliseconds each; what it raises ends it. `points` is the
    hash of what finds a time in it, where that is known.
    """

    seeks = True
    """Whether reading can begin in the middle."""

    def __init__(
        self, path: Path, between: Callable[[], object] = lambda: None, points: str | None = None
    ) -> None:
        self.path = plain_path(path)
        self.sent_path = self.path.with_suffix(".sent")
        self.points = points
        self._between = between
        self._rested = time.monotonic()

    def rest(self) -> None:
        """Let others have their turn, where it is time: for whoever works on what was read."""
        if time.monotonic() - self._rested >= LONG:
            self._between()
            self._rested = time.monotonic()

    def header(self) -> Header:
        """The first line. Raises RecordingMissing, CorruptRecording."""
        with self.opened() as file:
            for line in whole_lines(file):
                return parse_header(line)
        raise CorruptRecording(f"{self.path.name} has no header")

    def events(self) -> Iterator[Event]:
        """All events, in the order in which they were written."""
        with self.opened() as file:
            lines = whole_lines(file)
            next(lines, None)
            yield from self.parsed(lines)

    def parsed(self, lines: Iterator[bytes], before: int | None = 0) -> Iterator[Event]:
        """The events that lines are; `before` is how many come before them, if that is known."""
        for number, line in enumerate(lines, (before or 0) + 2):
            try:
                yield parse_event(line)
            except CorruptRecording as error:
                place = "" if before is None else f", line {number}"
                raise CorruptRecording(f"{self.path.name}{place}: {error}") from error
            self.rest()

    def events_from(self, position: int) -> Iterator[tuple[int, Event]]:
        """The events behind the first `position` bytes, each with where it ends; 0 is the start."""
        with self.opened() as file:
            self._pass_over(file, position)
            for line in whole_lines(file):
                begun, position = position, position + len(line)
                if begun:
                    yield from ((position, event) for event in self.parsed(iter((line,)), None))

    def _pass_over(self, file: BinaryIO, size: int) -> None:
        if file.seekable():
            file.seek(size)
            return
        while size > 0 and (data := file.read(min(size, SLICE))):
            size -= len(data)
            self.rest()

    def sent_bytes(self) -> Iterator[bytes]:
        """The track of what was sent, as it lies there: encrypted. Raises RecordingMissing."""
        with opened_plain(self.sent_path) as file:
            while data := file.read(SLICE):
                yield data
                self.rest()

    def covered_bytes(self) -> Iterator[bytes]:
        """A recording that is encrypted, as it lies there. Raises RecordingMissing."""
        with opened_plain(covered_path(self.path)) as file:
            while data := file.read(SLICE):
                yield data
                self.rest()

    def opened(self) -> BinaryIO:
        """The plain content, for whoever closes it. Raises RecordingMissing."""
        lying = lying_path(self.path)
        try:
            return opened_plain(lying)
        except RecordingMissing:
            if (now := lying_path(self.path)) == lying:
                raise
            return opened_plain(now)


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that end; a last one that does not is left out. Raises CorruptRecording."""
    while line := file.readline(LONGEST_LINE + 1):
        if line.endswith(b"\n"):
            yield line
        elif len(line) > LONGEST_LINE:
            raise CorruptRecording(f"{Path(file.name).name} has a line over {LONGEST_LINE} bytes")
