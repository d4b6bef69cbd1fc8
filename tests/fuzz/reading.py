"""Readers for searching: transcripts of what a target may print, and what is looked for in them."""

from contextlib import suppress

from recorder import Transcripts
from recorder.asciicast import Code, Event, Header, Note, Word
from recorder.lines import LONGEST, Place
from recorder.needle import Needle, indexed

_NOTES = (Word.SAID, Word.LIMIT)


def transcript(data: bytes) -> None:
    """Lines that print, not too long, in the same order however they come, ours told as ours.

    The first two bytes are a size; each NUL is a pause, a 0x01 a line of ours, a 0x02 a resize.
    """
    size, text = data[:2].ljust(2, b"\x50"), data[2:].decode("utf-8", "replace")
    events, time = [], 0.0
    for number, piece in enumerate(text.split("\0")):
        time += 0.3 * (number % 4)
        if piece.startswith("\x01"):
            events += [Event(time, Code.NOTE, Note(_NOTES[number % 2]).label())]
        code = Code.RESIZE if piece.startswith("\x02") else Code.OUT
        shown = f"{len(piece)}x{number}" if code is Code.RESIZE else piece
        events.append(Event(time, code, shown))
    for plain in (True, False):
        header = Header(size[0], size[1], 0, "", session={"terminal": plain})
        told = list(Transcripts().lines(header, events))
        assert all(line.text.isprintable() and len(line.text) <= LONGEST for line in told)
        begun = Transcripts().begun(header)
        again = [line for event in events for line in (*begun.feed(event), *begun.draw())]
        begun.sleep()
        assert [*again, *begun.end()] == told
        if "\x01" not in text:
            assert all(line.place is Place.SCREEN or line.text.startswith("(") for line in told)


def sought(data: bytes) -> None:
    """A text is found in itself, and the index takes it apart as it takes apart lines."""
    text = data.decode("utf-8", "replace")
    with suppress(ValueError):
        needle = Needle(text)
        assert any(needle.spans(f"before {needle.text} behind")) or not needle.text[0].isalnum()
        assert needle.may_be_in(needle.text)
        assert needle.words in indexed(f"before {needle.text} behind") or len(text) > 64


READERS = (transcript, sought)
