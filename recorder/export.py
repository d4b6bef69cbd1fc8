"""Export: a recording for other programs, written to a binary file or pipe as it is read.

`asciicast` gives plain asciicast v2 that asciinema reads, or v3. Escape sequences are all there: it
is evidence, and only `replay` makes it safe to look at. `text` leaves them out. `raw` and `sent`
give back exact bytes; `track` gives what was sent as it lies there, encrypted.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, Protocol

from recorder.asciicast import (
    NO_TERMINAL,
    STREAM_OF,
    Code,
    Event,
    Header,
    Note,
    Stream,
    Word,
    event_line,
    header_line,
)
from recorder.asciicast3 import Intervals, header3_line
from recorder.characters import as_terminal, as_text, targets
from recorder.lines import Place
from recorder.nouns import counted
from recorder.reader import Reader
from recorder.redacted import redacted, redacted_header
from recorder.redaction import Redactor
from recorder.sent import FrameKind
from recorder.sent_reader import read_sent
from recorder.session import Size
from recorder.transcript import Transcripts

LARGEST_SIDE = 1000

_GZIP: Final = zlib.MAX_WBITS | 16
_LONGEST_SIZE = len("4294967295x4294967295")  # RFC 4254, section 6.7


class Sink(Protocol):
    """Where bytes go: a file, a pipe, a connection."""

    def write(self, data: bytes, /) -> object:
        """Take all of them."""


class Gzipped:
    """A sink whose content goes on compressed; whole, as gzip has it, when `end` was called."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._packer = zlib.compressobj(wbits=_GZIP)

    def write(self, data: bytes, /) -> None:
        """Take all of them."""
        if packed := self._packer.compress(data):
            self._out.write(packed)

    def end(self) -> None:
        """There is no more."""
        self._out.write(self._packer.flush())


def asciicast(
    reader: Reader, out: Sink, redactor: Redactor | None = None, *, version: Literal[2, 3] = 2
) -> None:
    """Plain asciicast: stderr is shown too, characters are whole, sizes can be displayed.

    With a redactor it is no evidence any more; its header and its last event say so.
    """
    header, events = reader.header(), as_text(reader.events())
    if redactor is not None:
        header = redacted_header(header, redactor.another())
        events = redacted(events, redactor)
    out.write((header_line if version == 2 else header3_line)(displayable(header)))
    if header.session.get("terminal") is False:
        events = as_terminal(events)
    line = _line if version == 2 else Intervals().line
    time = 0.0
    for event in _plain(events):
        time = event.time
        out.write(line(event))
    if redactor is not None:
        note = Note(Word.REDACTED, {"places": redactor.count})
        out.write(line(Event(time, Code.NOTE, note.label())))


def text(reader: Reader, out: Sink, redactor: Redactor | None = None) -> None:
    """What was shown, as lines that print, as a transcript has them: for reading, no evidence."""
    transcripts = Transcripts() if redactor is None else Transcripts(redactor)
    for line in transcripts.lines(reader.header(), reader.events()):
        if line.place is not Place.COMMAND:
            out.write(f"{line.text}\n".encode())
    if redactor is not None:
        out.write(f"(redacted: {counted(redactor.count, 'place')})\n".encode())


def raw(reader: Reader, stream: Stream, out: Sink) -> None:
    """The bytes that the target wrote to a stream, as they were, up to the session's limit."""
    for event in targets(reader.events()):
        if STREAM_OF[event.code] is stream:
            out.write(event.payload())


def sent(path: Path, identity: str, out: Sink) -> None:
    """The bytes that the contractor sent. Raises UnusableKey, CorruptRecording."""
    for chunk in read_sent(path, identity):
        if chunk.kind is FrameKind.DATA:
            out.write(chunk.data)


def track(reader: Reader, out: Sink) -> None:
    """The encrypted track of what was sent, byte by byte as it lies there."""
    for data in reader.sent_bytes():
        out.write(data)


def covered(reader: Reader, out: Sink) -> None:
    """A recording that is encrypted, byte by byte as it lies there."""
    for data in reader.covered_bytes():
        out.write(data)


def displayable(header: Header) -> Header:
    """The header with a size that a player can draw: clients send 0x0 and 60000x60000."""
    size = _displayable(Size(header.width, header.height))
    return replace(header, width=size.columns, height=size.rows)


def size_of(resize: str) -> Size:
    """The size that a resize says, as a player can draw it."""
    columns, _, rows = resize.partition("x")
    if not (columns.isdecimal() and rows.isdecimal() and len(resize) <= _LONGEST_SIZE):
        return NO_TERMINAL
    return _displayable(Size(int(columns), int(rows)))


def _line(event: Event) -> bytes:
    return event_line(event.time, event.code.value, event.data)


def _plain(events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if event.code is Code.ERR:
            yield Event(event.time, Code.OUT, event.data)
        elif event.code is Code.RESIZE:
            size = size_of(event.data)
            yield Event(event.time, Code.RESIZE, f"{size.columns}x{size.rows}")
        else:
            yield event


def _displayable(size: Size) -> Size:
    return Size(
        min(size.columns, LARGEST_SIDE) if size.columns > 0 else NO_TERMINAL.columns,
        min(size.rows, LARGEST_SIDE) if size.rows > 0 else NO_TERMINAL.rows,
    )
