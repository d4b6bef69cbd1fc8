"""Beside what was shown, what was typed: a recording replayed with its track of what was sent.

On a terminal the recorded screen is drawn above a line of ours, which says what is typed; else
all is printed, line by line. The recording is read twice at once: one reading runs ahead, to see
which keys were echoed.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import merge
from itertools import takewhile
from math import inf
from operator import attrgetter
from typing import TextIO

from recorder.asciicast import Code, Event
from recorder.canvas import Canvas
from recorder.characters import as_terminal, as_text
from recorder.echo import Typed
from recorder.errors import RecorderError
from recorder.export import displayable, size_of
from recorder.reader import Reader
from recorder.replay import Pace, on_terminal, paced, safe, shown
from recorder.sent_reader import Track
from recorder.session import Size
from recorder.timeline import (
    Line,
    merged,
    piped_lines,
    told_lines,
    typed,
    typed_lines,
    typed_so_far,
)
from recorder.transcript import Redact, Transcripts, as_it_is

_time = attrgetter("time")


class Beside:
    """A recording, and its track of what was sent. `unmask` tells also what was not echoed.

    `redact` has the last word on lines, as in transcripts; what is played is never redacted.
    """

    def __init__(
        self, reader: Reader, track: Track, *, unmask: bool, redact: Redact = as_it_is
    ) -> None:
        self._reader = reader
        self._redact = redact
        self._track = track
        self._unmask = unmask
        self._header = reader.header()
        self._terminal = self._header.session.get("terminal") is not False

    def play(self, pace: Pace, out: TextIO) -> None:
        """Show it on `out`: paced on a terminal, else at once, line by line.

        Raises CorruptRecording, after what could be told.
        """
        if out.isatty():
            on_terminal(self._header, self._frames(pace, _rows(out)), out)
        else:
            for line in self.lines():
                if line.time >= pace.start:
                    out.write(f"{line}\n")
            out.flush()
        if self._track.problem is not None:
            raise self._track.problem

    def lines(self, until: float = inf) -> Iterator[Line]:
        """Its timeline, up to that time."""
        if self._terminal:
            sent = typed_lines(self._typed(), unmask=self._unmask)
        else:
            sent = piped_lines(self._track.data())
        if self._redact is not as_it_is:
            sent = (replace(line, text=self._redact(line.text)) for line in sent)
        events = takewhile(lambda event: event.time <= until, self._reader.events())
        shown = Transcripts(self._redact).lines(self._header, events)
        return merged(takewhile(lambda line: line.time <= until, sent), told_lines(shown))

    def _typed(self) -> Iterator[Typed]:
        return typed(self._track.data(), _as_far_as_it_goes(self._shown()))

    def _shown(self) -> Iterator[Event]:
        return shown(safe(as_text(self._reader.events())))

    def _frames(self, pace: Pace, rows: int) -> Iterator[Event]:
        header = displayable(self._header)
        canvas = Canvas(Size(header.width, header.height), rows)
        events = self._shown()
        if self._terminal:
            said = typed_so_far(self._typed(), unmask=self._unmask)
        else:
            events, said = as_terminal(events), piped_lines(self._track.data())
        return paced(_drawn(canvas, merge(said, events, key=_time), pace.start), pace)


def _drawn(canvas: Canvas, moments: Iterable[Line | Event], start: float) -> Iterator[Event]:
    """Frames; one for all that came before `start`."""
    begun, last = False, start
    for moment in moments:
        if not begun and moment.time >= start:
            yield Event(start, Code.OUT, canvas.whole())
            begun = True
        frame = _frame(canvas, moment)
        if begun:
            last = moment.time
            yield Event(last, Code.OUT, frame)
    if not begun:
        yield Event(start, Code.OUT, canvas.whole())
    yield Event(last, Code.OUT, canvas.end())


def _frame(canvas: Canvas, moment: Line | Event) -> str:
    if isinstance(moment, Line):
        return canvas.say(f" {moment}")
    if moment.code is Code.RESIZE:
        return canvas.resize(size_of(moment.data))
    return canvas.show(moment.data)


def _as_far_as_it_goes(events: Iterable[Event]) -> Iterator[Event]:
    """The reading that runs ahead: what is damaged is told by the other one."""
    try:
        yield from events
    except RecorderError:
        return


def _rows(out: TextIO) -> int:
    """Of the reviewer's terminal; one that does not say has room."""
    return os.get_terminal_size(out.fileno()).lines or 10_000
