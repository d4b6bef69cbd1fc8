"""Characters again: the events of a recording as text, whatever reads they were torn by.

A recording keeps each chunk as it came, so a character may be split over two events, and bytes
that are no character are kept as bytes. Here each stream goes through one decoder, as in a
terminal, and what is no character becomes U+FFFD. Pure generators.
"""

import codecs
import re
from collections.abc import Iterable, Iterator

from recorder.asciicast import OURS, STREAM_OF, Code, Event, Note, Stream

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
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in Stream}
    time = 0.0
    for event, ours in with_origin(events):
        time = event.time
        stream = STREAM_OF.get(event.code)
        if stream is None or ours:
            yield event
        elif text := decoders[stream].decode(event.payload()):
            yield Event(time, Code(stream.value), text)
    for stream, decoder in decoders.items():
        if text := decoder.decode(b"", final=True):
            yield Event(time, Code(stream.value), text)


def as_terminal(events: Iterable[Event]) -> Iterator[Event]:
    """Text events as a terminal gets them: a newline alone starts the line too.

    For sessions that had no terminal at the target: there the contractor's own terminal did it.
    """
    after_return = False
    for event in events:
        if event.code in STREAM_OF and event.data:
            text = event.data
            if after_return and text.startswith("\n"):
                text = "\n" + _BARE_NEWLINE.sub("\r\n", text[1:])
            else:
                text = _BARE_NEWLINE.sub("\r\n", text)
            after_return = event.data.endswith("\r")
            yield Event(event.time, event.code, text)
        else:
            yield event
