"""Reading a recording back: line by line, in bounded memory, also while it is being written.

A last line that is not whole is not there yet: it is left out. Any other line that the recorder
did not write raises CorruptRecording. Nothing is changed on disk.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from recorder.asciicast import LONGEST_LINE, Event, Header, parse_event, parse_header
from recorder.errors import CorruptRecording, RecordingMissing

SLICE = 64 * 1024
"""Bytes that are read until others get their turn."""


class Reader:
    """One recording's files; `sent_path` is its track of what was sent.

    Opens them anew for each reading, so one reader serves several. `between` is called between
    two slices of long reading; what it raises ends it.
    """

    def __init__(self, path: Path, between: Callable[[], object] = lambda: None) -> None:
        self.path = path
        self.sent_path = path.with_suffix(".sent")
        self.between = between

    def header(self) -> Header:
        """The first line. Raises RecordingMissing, CorruptRecording."""
        with self.opened() as file:
            for line in whole_lines(file):
                return parse_header(line)
        raise CorruptRecording(f"{self.path.name} has no header")

    def events(self) -> Iterator[Event]:
        """All events, in the order in which they were written."""
        read = 0
        with self.opened() as file:
            for number, line in enumerate(whole_lines(file), 1):
                if number > 1:
                    yield self._parsed(number, line)
                read += len(line)
                if read >= SLICE:
                    read = 0
                    self.between()

    def sent_bytes(self) -> Iterator[bytes]:
        """The track of what was sent, as it lies there: encrypted. Raises RecordingMissing."""
        with _opened(self.sent_path) as file:
            while data := file.read(SLICE):
                yield data
                self.between()

    def _parsed(self, number: int, line: bytes) -> Event:
        try:
            return parse_event(line)
        except CorruptRecording as error:
            raise CorruptRecording(f"{self.path.name}, line {number}: {error}") from error

    def opened(self) -> BinaryIO:
        """The file, for whoever closes it. Raises RecordingMissing."""
        return _opened(self.path)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise RecordingMissing(f"{path} cannot be read: {error.strerror}") from error


def whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that end; a last one that does not is left out. Raises CorruptRecording."""
    while line := file.readline(LONGEST_LINE + 1):
        if line.endswith(b"\n"):
            yield line
        elif len(line) > LONGEST_LINE:
            raise CorruptRecording(f"{Path(file.name).name} has a line over {LONGEST_LINE} bytes")
