"""A transcript: a recording as lines of text, with the time at which each was shown.

Events go in, lines come out, in bounded memory and with bounded work: of what is shown faster
than anybody reads, something is left out, and a line says so. A transcript is for reading and
for searching. The evidence is the recording. Pure: it knows no file, no clock.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import replace
from typing import Protocol

from recorder.allowance import Allowance
from recorder.asciicast import STREAM_OF, Code, Event, Header, Note, Stream, Word
from recorder.characters import Characters
from recorder.errors import CorruptRecording, RecorderError
from recorder.lines import Line, Place, lines_of, offset
from recorder.pages import STEP, Pages
from recorder.session import Size
from recorder.streams import Streams

TEXT, TEXT_RATE = 8 * 1024 * 1024, 2048
"""Characters of a transcript at once, and as many more each second."""

WORK, WORK_RATE = 300_000_000, 1_000_000
"""Cells of a screen that are drawn for it at once, and as many more each second."""

_AGAIN = 16 * 1024
"""Characters that there have to be before a transcript goes on after something was left out."""

_HELD = 64 * 1024
"""Characters that are drawn together at most, and one event more."""

_EVENT = 300
"""What an event costs beside its text, in cells."""

_LINE = 16
"""What a line costs beside its text, in characters."""

LEFT_OUT = "(left out from here on: more was shown at once than a transcript holds)"
GOES_ON = "(here the transcript goes on)"
_FULL = "(nothing more was kept of what was shown: the recording had reached its limit)"
_TORN = "(the recorder ended here, without closing the recording)"

_PLACES = {Word.SAID: Place.BASTION, Word.FILE: Place.FILE}

Redact = Callable[[str], str]
"""What is told in place of a line; it hears the lines of one transcript in their order."""


def as_it_is(text: str) -> str:
    """Redacts nothing."""
    return text


class _Surface(Protocol):
    """What is written on: a terminal's pages, or streams without one."""

    def cost(self, since: float, text: str) -> int: ...
    def write(self, since: float, time: float, stream: Stream, text: str) -> list[Line]: ...
    def said(self, time: float, text: str, place: Place) -> list[Line]: ...
    def resize(self, size: Size) -> None: ...
    def pending(self) -> list[Line]: ...
    def end(self) -> list[Line]: ...
    def sleep(self) -> None: ...


class Transcriber:
    """One recording's. `redact` has the last word on the text of each line.

    What it gives is the same however the events were handed in, at once or while they came.
    """

    def __init__(self, header: Header, redact: Redact = as_it_is) -> None:
        self.left_out = False
        self._redact = redact
        self._size = Size(header.width, header.height)
        self._plain = header.session.get("terminal") is False
        self._command = header.session.get("command")
        self._surface = self._fresh()
        self._characters = Characters()
        self._word: Word | None = None
        self._unlisted = 0
        self._text = Allowance(TEXT, TEXT_RATE)
        self._work = Allowance(WORK, WORK_RATE)
        self._lost = False
        self._time = self._since = self._until = 0.0
        self._stream = Stream.OUT
        self._held: list[str] = []
        self._size_held = 0

    def feed(self, event: Event) -> list[Line]:
        """The lines that are told by `event`, which comes after those before."""
        self._time = max(self._time, offset(event.time))
        return self._redacted([*self._begun(), *self._fed(event)])

    def draw(self) -> list[Line]:
        """The lines that are told by what was fed until now, nothing of it held back."""
        return self._redacted(self._drawn())

    def pending(self) -> list[Line]:
        """What stands there and was not told yet; it may become something else. After `draw`."""
        standing = [] if self._lost else self._tried(self._surface.pending)
        before, self._redact = self._redact, copy(self._redact)
        lines, self._redact = self._redacted(standing), before
        return lines

    def end(self) -> list[Line]:
        """The lines that are left when there are no more events."""
        lines = self._begun()
        for stream, text in self._characters.rest():
            lines += self._shown(stream, text)
        lines += self._drawn()
        if not self._lost:
            lines += self._tried(self._surface.end)
        if self._unlisted:
            lines += self._remark(f"({self._unlisted} more files went over, and are not listed)")
        return self._redacted(lines)

    def sleep(self) -> None:
        """Take little memory until there are more events."""
        self._surface.sleep()

    def _redacted(self, lines: list[Line]) -> list[Line]:
        if self._redact is as_it_is:
            return lines
        return [_told(line, self._redact) for line in lines]

    def _fresh(self) -> _Surface:
        return Streams() if self._plain else Pages(self._size)

    def _begun(self) -> list[Line]:
        """The command line, before everything else."""
        command, self._command = self._command, None
        if not isinstance(command, str):
            return []
        return [
            line for each in command.splitlines() for line in lines_of(0.0, each, Place.COMMAND)
        ]

    def _fed(self, event: Event) -> list[Line]:
        word, self._word = self._word, None
        stream = STREAM_OF.get(event.code)
        place = None if word is None else _PLACES.get(word)
        if stream is not None and place is None:
            return self._shown(stream, self._characters.text(event))
        lines = self._drawn()
        if stream is not None and place is not None:
            return lines + self._said(event.data, place)
        if event.code is Code.NOTE:
            return lines + self._noted(event)
        if event.code is Code.RESIZE:
            self._resized(event.data)
        return lines

    def _noted(self, event: Event) -> list[Line]:
        note = Note.of(event)
        self._word = None if note is None else note.word
        if note is not None and note.word is Word.UNLISTED:
            count = note.facts.get("count")
            self._unlisted = count if isinstance(count, int) else self._unlisted
        remark = {Word.LIMIT: _FULL, Word.INTERRUPTED: _TORN}.get(self._word or Word.ENDED)
        return [] if remark is None else [*self._tried(self._surface.end), *self._remark(remark)]

    def _resized(self, size: str) -> None:
        columns, _, rows = size.partition("x")
        if columns.isdecimal() and rows.isdecimal() and len(size) < 20:
            self._size = Size(int(columns), int(rows))
            self._surface.resize(self._size)

    def _said(self, text: str, place: Place) -> list[Line]:
        if self._lost:
            return [line for each in text.splitlines() for line in self._remark(each, place)]
        surface, time, self._since = self._surface, self._time, -STEP
        return self._tried(lambda: surface.said(time, text, place))

    def _shown(self, stream: Stream, text: str) -> list[Line]:
        """Hold what was shown for a moment: much of it at once is drawn faster."""
        if not text or (self._lost and not self._goes_on()):
            return []
        over = self._time - self._since >= STEP
        full = self._size_held > _HELD or stream is not self._stream
        lines = self._drawn() if over or full else []
        self._since = self._time if over else self._since
        self._stream = stream
        self._held.append(text)
        self._size_held += len(text)
        self._until = self._time
        return lines

    def _drawn(self) -> list[Line]:
        """Draw what was held."""
        if not self._held:
            return []
        text, events = "".join(self._held), len(self._held)
        self._held.clear()
        self._size_held = 0
        lines = self._remark(GOES_ON) if self._lost else []
        self._lost = False
        cost = _EVENT * events + self._surface.cost(self._since, text)
        if not self._work.take(self._until, cost):
            return lines + self._lose()
        surface, since, until, stream = self._surface, self._since, self._until, self._stream
        return lines + self._kept(self._tried(lambda: surface.write(since, until, stream, text)))

    def _tried(self, work: Callable[[], list[Line]]) -> list[Line]:
        """Lines of the surface; where it fails at what was shown, that is left out."""
        try:
            return work()
        except CorruptRecording:
            surface, self._surface = self._surface, self._fresh()
            with suppress(CorruptRecording):
                return surface.end() + self._lose()
            return self._lose()

    def _kept(self, lines: list[Line]) -> list[Line]:
        for number, line in enumerate(lines):
            if not self._text.take(self._time, len(line.text) + _LINE):
                return lines[:number] + self._lose()
        return lines

    def _lose(self) -> list[Line]:
        """Leave out what comes, until it comes slower. What is drawn meanwhile is not known."""
        lines = self._tried(self._surface.end)
        self._lost = self.left_out = True
        self._surface = self._fresh()
        return lines + self._remark(LEFT_OUT)

    def _goes_on(self) -> bool:
        work = self._work.left(self._time)
        return self._text.left(self._time) >= _AGAIN and work >= WORK / 64

    def _remark(self, text: str, place: Place = Place.BASTION) -> list[Line]:
        return list(lines_of(self._time, text, place))


def _told(line: Line, redact: Redact) -> Line:
    """Most lines stay as they are, and making one anew takes as long as looking at it."""
    text = redact(line.text)
    return line if text == line.text else replace(line, text=text)


class Transcripts:
    """Makes transcripts; `redact` has the last word on the lines."""

    def __init__(self, redact: Redact = as_it_is) -> None:
        self._redact = redact

    def begun(self, header: Header) -> Transcriber:
        """That of one recording among others, whose events come bit by bit."""
        return Transcriber(header, copy(self._redact))

    def redacted(self, lines: Iterable[Line]) -> list[Line]:
        """Lines that came another way, as those of a recording."""
        redact = copy(self._redact)
        return [_told(line, redact) for line in lines]

    def lines(self, header: Header, events: Iterable[Event]) -> Iterator[Line]:
        """The lines of the one recording, in the order in which one reads them.

        What the events raise is raised after what there was until then.
        """
        transcriber = Transcriber(header, self._redact)
        try:
            for event in events:
                yield from transcriber.feed(event)
        except RecorderError:
            yield from transcriber.end()
            raise
        yield from transcriber.end()
