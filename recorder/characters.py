"""Characters again: the events of a recording as text, whatever reads they were torn by.

A recording keeps each chunk as it came, so a character may be split over two events, and bytes
that are no character are kept as bytes. Here each stream goes through one decoder, as in a
terminal, and what is no character becomes U+FFFD. Pure generators.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping

from recorder.asciicast import OURS, STREAM_OF, Code, Event, Note, Stream

_decoder = codecs.getincrementaldecoder("utf-8")
_BARE_NEWLINE = re.compile(r"(?<!\r)\n")


def targets(events: Iterable[Event]) -> Iterator[Event]:
    """The output events of the target: without the bastion's own lines, and nothing else."""
    for event, ours in with_origin(events):
        if event.code in STREAM_OF and not ours:
            yield event


def with_origin(events: Iterable[Event]) -> Iterator[tuple[Event, bool]]:
    """Each event, and whether it shows a line of the bastion's own."""
    said = False
    for event in events:
        yield event, said and event.code in STREAM_OF
        note = Note.of(event)
        said = note is not None and note.word in OURS


def as_text(events: Iterable[Event]) -> Iterator[Event]:
    """The same events with output as "o" and "e" only, in whole characters."""
    characters, time = Characters(), 0.0
    for event in events:
        time = event.time
        if (text := characters.feed(event)) is not None:
            yield text
    yield from characters.end(time)


class Characters:
    """One recording's decoders: give it the events in their order.

    `torn` is the beginning of a character that each stream has shown last, `ours` whether the next
    event is a line of the bastion's own: with them, one goes on where another was.
    """

    def __init__(self, torn: Mapping[Stream, bytes] | None = None, *, ours: bool = False) -> None:
        self._decoders = {stream: _decoder("replace") for stream in Stream}
        for stream, begun in (torn or {}).items():
            self._decoders[stream].setstate((begun, 0))
        self.ours = ours

    @property
    def torn(self) -> dict[Stream, bytes]:
        """What each stream has shown of a character that is not whole yet: 3 bytes at most."""
        return {stream: decoder.getstate()[0] for stream, decoder in self._decoders.items()}

    def feed(self, event: Event) -> Event | None:
        """The event in whole characters; None where no more than a part of one came."""
        stream, ours = STREAM_OF.get(event.code), self.ours
        if stream is None:
            note = Note.of(event)
            self.ours = note is not None and note.word in OURS
            return event
        self.ours = False
        if ours:
            return event
        text = self.text(event)
        return Event(event.time, Code(stream.value), text) if text else None

    def text(self, event: Event) -> str:
        """What an output event of the target adds to its stream. Raises CorruptRecording."""
        return self._decoders[STREAM_OF[event.code]].decode(event.payload())

    def end(self, time: float) -> Iterator[Event]:
        """Characters that were never whole."""
        for stream, text in self.rest():
            yield Event(time, Code(stream.value), text)

    def rest(self) -> Iterator[tuple[Stream, str]]:
        """What is left of each stream when nothing more comes."""
        for stream, decoder in self._decoders.items():
            if text := decoder.decode(b"", final=True):
                yield stream, text


def as_terminal(events: Iterable[Event]) -> Iterator[Event]:
    """Text events as a terminal gets them: a newline alone starts the line too.

    For sessions that had no terminal at the target: there the contractor's own terminal did it.
    """
    newlines = Newlines()
    for event in events:
        yield newlines.feed(event)


class Newlines:
    """Returns for newlines that have none. `after_return` is whether the last text ended in one."""

    def __init__(self, *, after_return: bool = False) -> None:
        self.after_return = after_return

    def feed(self, event: Event) -> Event:
        """The event as a terminal gets it."""
        if event.code not in STREAM_OF or not event.data:
            return event
        text = event.data
        if self.after_return and text.startswith("\n"):
            text = "\n" + _BARE_NEWLINE.sub("\r\n", text[1:])
        else:
            text = _BARE_NEWLINE.sub("\r\n", text)
        self.after_return = event.data.endswith("\r")
        return Event(event.time, event.code, text)
