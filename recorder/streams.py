"""What a command without a terminal wrote, by lines: stdout and stderr each for itself. Pure."""

import re
from collections.abc import Iterator

from recorder.asciicast import Stream
from recorder.lines import LONGEST, Line, Place, lines_of
from recorder.screen_filter import ScreenFilter
from recorder.session import Size

_SEQUENCES = re.compile(r"\x1b(?:\[[\d;:?!]*[@-~]|[()*+]?[0-~])|[\x0e\x0f]")
"""What is left of escape sequences behind the screen filter."""

_STEP = 250
"""What an escape sequence or a line costs beside its characters."""


class Streams:
    """Both streams. Times never go back; what is given back is in its order."""

    def __init__(self) -> None:
        self._streams = {stream: _Stream() for stream in Stream}

    def cost(self, since: float, text: str) -> int:
        """About how many characters are looked at for `text`, written from `since` on."""
        steps = text.count("\x1b") + text.count("\x9b") + text.count("\n")
        return len(text) + _STEP * steps

    def write(self, since: float, time: float, stream: Stream, text: str) -> list[Line]:
        """The target writes `text`, from `since` on."""
        return list(self._streams[stream].write(since, text))

    def said(self, time: float, text: str, place: Place) -> list[Line]:
        """We write `text`, which is whole lines."""
        return [line for each in text.splitlines() for line in lines_of(time, each, place)]

    def resize(self, size: Size) -> None:
        """There is no terminal to have a size."""

    def pending(self) -> list[Line]:
        """Lines that have not ended yet."""
        return [line for stream in self._streams.values() for line in stream.pending()]

    def end(self) -> list[Line]:
        """What is left: there will be no more."""
        lines = self.pending()
        self._streams = {stream: _Stream() for stream in Stream}
        return lines

    def sleep(self) -> None:
        """There is nothing to put aside."""


class _Stream:
    def __init__(self) -> None:
        self._filter = ScreenFilter()
        self._line = ""
        self._time = 0.0

    def write(self, time: float, text: str) -> Iterator[Line]:
        self._time = time
        *whole, rest = self._filter.feed(text).split("\n")
        for line in whole:
            yield from _told(time, self._line + line)
            self._line = ""
        self._line += rest
        if len(self._line) > 2 * LONGEST:
            yield from self._shortened(time)

    def pending(self) -> Iterator[Line]:
        yield from _told(self._time, self._line)

    def _shortened(self, time: float) -> Iterator[Line]:
        """Of a line that is very long, or was begun anew again and again."""
        self._line = _SEQUENCES.sub("", self._line)
        _, back, again = self._line[:-1].rpartition("\r")
        if back:
            self._line = again + self._line[-1:]
        while len(self._line) > 2 * LONGEST:
            yield from _told(time, self._line[:LONGEST])
            self._line = self._line[LONGEST:]


def _told(time: float, line: str) -> Iterator[Line]:
    """A line as it ended up on a printer: written over, struck through."""
    line = _SEQUENCES.sub("", line).rstrip("\r")
    line = _struck(line.rpartition("\r")[2]) if "\r" in line or "\b" in line else line
    yield from lines_of(time, line.expandtabs(), Place.SCREEN)


def _struck(line: str) -> str:
    if "\b" not in line:
        return line
    kept: list[str] = []
    for character in line:
        if character != "\b":
            kept.append(character)
        elif kept:
            kept.pop()
    return "".join(kept)
