"""A timeline: what was shown and what was typed, line by line in the order in which it began.

    [0:00:03] shown  deploy@web-1:~$ sudo -i
    [0:00:05] typed  sudo -i\\r
    [0:00:06] shown  [sudo] password for deploy:
    [0:00:09] typed  ********\\r (not echoed: masked, a guess)

Each line says which it is, and holds only characters that print: what a target shows can't be
taken for what was typed. Where there was no terminal nothing is echoed, so nothing is masked:
what went in is *piped*. Pure: events and chunks in, values out.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Final

from recorder.asciicast import STREAM_OF, Event
from recorder.echo import PAUSE, Shown, Typed, judged
from recorder.keys import Key, Keys, Kind, spelled, spelled_text
from recorder.lines import Line as TranscriptLine
from recorder.lines import Place
from recorder.sent_reader import SentChunk

MASK: Final = "********"
"""In place of what was not echoed, however long that was."""

A_GUESS: Final = "(not echoed: masked, a guess)"

LONGEST_LINE: Final = 4096
"""Characters, keys or bytes of a line; what is longer goes on in another."""

_NO_TEXT_FROM = 0.3
_ODD = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\udc80-\udcff]")
_time = attrgetter("time")


class What(StrEnum):
    """What a line tells of: what the target showed, what was typed or piped in, the command line
    that was run, what became of a file, what the bastion said itself."""

    SHOWN = "shown"
    TYPED = "typed"
    PIPED = "piped"
    RAN = "ran"
    FILE = "file"
    SAID = "said"


_WHAT = {
    Place.SCREEN: What.SHOWN,
    Place.COMMAND: What.RAN,
    Place.FILE: What.FILE,
    Place.BASTION: What.SAID,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `time` is when it began, in seconds since the start."""

    time: float
    what: What
    text: str

    def __str__(self) -> str:
        return f"[{clock(self.time)}] {self.what:<5}  {self.text}"


def clock(seconds: float) -> str:
    """`0:01:12`: hours, minutes and seconds."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def typed(sent: Iterable[SentChunk], events: Iterable[Event]) -> Iterator[Typed]:
    """What was typed at a terminal, judged by what it showed: text events, safe for a terminal."""
    shown = (Shown(event.time, event.data) for event in events if event.code in STREAM_OF)
    moments: Iterator[Key | Shown] = merge(_keys(sent), shown, key=_time)
    return judged(moments)


def typed_lines(pieces: Iterable[Typed], *, unmask: bool) -> Iterator[Line]:
    """Each line of typing: up to an Enter, or a long pause."""
    line: list[Typed] = []
    for piece in pieces:
        if line and _apart(line, piece):
            yield _typed_line(line, unmask=unmask)
            line = []
        line.append(piece)
    if line:
        yield _typed_line(line, unmask=unmask)


def typed_so_far(pieces: Iterable[Typed], *, unmask: bool) -> Iterator[Line]:
    """The line of typing as it grows: each at the time of its last keys."""
    line: list[Typed] = []
    for piece in pieces:
        for stroke in _strokes(piece, unmask=unmask):
            line = [stroke] if line and _apart(line, stroke) else [*line, stroke]
            grown = _typed_line(line, unmask=unmask)
            yield Line(stroke.time, What.TYPED, grown.text)


def piped_lines(sent: Iterable[SentChunk]) -> Iterator[Line]:
    """Each line of what was piped in; of what is no text only the length."""
    begun, time = b"", 0.0
    for chunk in sent:
        time = time if begun else chunk.time
        *whole, begun = re.split(rb"(?<=\n)", begun + chunk.data)
        while len(begun) > LONGEST_LINE:
            whole, begun = [*whole, begun[:LONGEST_LINE]], begun[LONGEST_LINE:]
        for line in whole:
            yield Line(time, What.PIPED, _piped(line))
            time = chunk.time
    if begun:
        yield Line(time, What.PIPED, _piped(begun))


def told_lines(told: Iterable[TranscriptLine]) -> Iterator[Line]:
    """Each line of a transcript."""
    for line in told:
        yield Line(line.time, _WHAT[line.place], line.text)


def merged(*lines: Iterable[Line]) -> Iterator[Line]:
    """All of them in the order in which they began."""
    return merge(*lines, key=_time)


def _keys(sent: Iterable[SentChunk]) -> Iterator[Key]:
    keys, time = Keys(), 0.0
    for chunk in sent:
        time = chunk.time
        yield from keys.read(time, chunk.data)
    yield from keys.end(time)


def _strokes(piece: Typed, *, unmask: bool) -> Iterator[Typed]:
    """A piece as it was typed; one that is masked at once, as its rhythm tells something too."""
    if piece.masked and not unmask:
        yield piece
        return
    for _, keys in groupby(piece.keys, _time):
        yield Typed(tuple(keys), masked=piece.masked)


def _apart(line: list[Typed], piece: Typed) -> bool:
    last = line[-1].keys[-1]
    length = sum(len(each.keys) for each in line)
    return last.kind is Kind.ENTER or piece.time - last.time > PAUSE or length > LONGEST_LINE


def _typed_line(line: list[Typed], *, unmask: bool) -> Line:
    text, guess = "", ""
    for masked, pieces in groupby(line, lambda piece: piece.masked and not unmask):
        text += MASK if masked else spelled([key for piece in pieces for key in piece.keys])
        guess = f" {A_GUESS}" if masked else guess
    return Line(line[0].time, What.TYPED, text + guess)


def _piped(line: bytes) -> str:
    text = line.decode("utf-8", "surrogateescape")
    if len(_ODD.findall(text)) > len(text) * _NO_TEXT_FROM:
        return f"({len(line):,} bytes that are no text)"
    return spelled_text(text)
