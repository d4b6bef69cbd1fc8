"""A recording's events without what is redacted: a derivative, to be handed on.

A secret may come in pieces, key by key and with colours in between: events are held back until
their line has ended, and its text is judged as it reads. What is drawn here and there on the
screen is no line, and is not found. Pure, and bounded: of a line without an end, pieces are
judged. Text events in, text events out.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

from recorder.asciicast import STREAM_OF, Code, Event, Header
from recorder.redaction import REDACTED, Redactor

LONGEST: Final = 64 * 1024
"""Characters of a line that are held back, and events."""

_NO_TEXT = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
    r"| \r(?!\n)"  # so a line editor goes on in the next row
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_ERASED = re.compile(r"[^\x08\x1b\n](?:\x08 \x08|\x08\x1b\[K)")


def redacted(events: Iterable[Event], redactor: Redactor) -> Iterator[Event]:
    """The events, with `[redacted]` where something was."""
    held: list[Event] = []
    size = 0
    for event in events:
        if event.code is Code.NOTE:
            event = replace(event, data=redactor(event.data))
        held.append(event)
        size += 1 + len(event.data)
        if size > LONGEST:
            yield from _judged(held, redactor)
            held, size = [], 0
        elif event.code in STREAM_OF and "\n" in event.data:
            yield from _judged([*held[:-1], _part(event, whole=True)], redactor)
            held = [_part(event, whole=False)]
            size = 1 + len(held[0].data)
    yield from _judged(held, redactor)


def redacted_header(header: Header, redactor: Redactor) -> Header:
    """A header that says what it is the header of, and no secret of a command line."""
    command = header.session.get("command")
    told = redactor(command) if isinstance(command, str) else None
    title = redactor(header.title)
    session = {**header.session, "command": told, "redacted": True}
    return replace(header, title=f"{title} (redacted: not the evidence)", session=session)


def _part(event: Event, *, whole: bool) -> Event:
    """The lines of an event that have ended, or what comes after them."""
    end = event.data.rindex("\n") + 1
    return replace(event, data=event.data[:end] if whole else event.data[end:])


def _judged(events: Sequence[Event], redactor: Redactor) -> Iterator[Event]:
    shown = [event.data if event.code in STREAM_OF else "" for event in events]
    text = "".join(shown)
    places = list(_places(text, redactor))
    if not places:
        yield from (event for event in events if event.data)
        return
    starts = [0, *accumulate(map(len, shown))]
    kept = [list(data) for data in shown]
    for at, instead in places:
        number = bisect_right(starts, at) - 1
        kept[number][at - starts[number]] = instead
    for event, characters in zip(events, kept, strict=True):
        if event.code not in STREAM_OF:
            yield event
        elif data := "".join(characters):
            yield replace(event, data=data)


def _places(text: str, redactor: Redactor) -> Iterator[tuple[int, str]]:
    """Which characters are to be replaced, and by what."""
    begin = 0
    for line in _LINE.findall(text):
        plain = _plain(line)
        told = "".join(line[at] for at in plain) if len(plain) < len(line) else line
        spans = redactor.spans(told.rstrip("\r\n"))
        redactor.count += len(spans)
        for first, end in spans:
            for number in range(first, end):
                yield begin + plain[number], REDACTED if number == first else ""
        begin += len(line)


def _plain(line: str) -> Sequence[int]:
    """Where the characters stand that can be read in a line, as far as it was not corrected."""
    if line.rstrip("\r\n").isprintable():
        return range(len(line))
    hidden: set[int] = set()
    for pattern in (_ERASED, _NO_TEXT):
        for found in pattern.finditer(line):
            hidden.update(range(*found.span()))
    return [at for at in range(len(line)) if at not in hidden]
