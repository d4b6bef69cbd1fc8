"""What a terminal showed, as lines to read: how a line ended up, not how it came to be.

A line of the main screen is told when it scrolls out, when the screen is cleared, and before a
full-screen program begins. So a progress bar is its last state, and a command is what was run
after all the backspaces. A full-screen program is told by its screens that stood for a moment,
each line of them once; one that shows figures anew and anew is not told for ever. What was
written over on the main screen after it had stood for a moment is told too, where it was more
than figures. Pure.
"""

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from recorder.allowance import Allowance
from recorder.asciicast import Stream
from recorder.lines import Line, Place, lines_of
from recorder.screen import fitting
from recorder.screen_filter import ScreenFilter
from recorder.session import Size
from recorder.sheet import Change, Sheet, Standing

STEP = 0.5
"""Seconds: what happens within is seen as one."""

SETTLED = 0.5
"""Seconds that something has to stand for somebody to have read it."""

FIGURES, FIGURES_RATE = 128 * 1024, 64
"""Characters, and characters a second, of lines that differ from one before in figures only."""

_REMEMBERED = 500
"""Lines of a full-screen program that are not told a second time."""

_PIECE = 4096
"""Characters that are drawn at once; fewer on a wide terminal."""

_STEP = 250
"""What an escape sequence or a row costs beside what it draws, in cells."""

_REPEATED = 65_536
"""The most cells that one sequence can fill with one character."""

# After the screen filter every sequence is whole, and in its 7-bit form.
_TURN = re.compile(r"\x1b\[(?:\?(?P<modes>[\d;]+)(?P<set>[hl])|\??(?P<wiped>[0-3]?)J|\d*[SMb])")
_DEAR = re.compile(r"(?:\x1b\[|\x9b)\??([\d;]{0,32})([JSTLMbhl])|\x1bc")
_OTHER = frozenset({"47", "1047", "1049"})
_FIGURES = re.compile(r"[\W\d_]+")


class Seen:
    """Texts that were told, the last of them, so that they are not told again."""

    def __init__(self) -> None:
        self._seen: dict[int, None] = {}

    def add(self, text: str) -> bool:
        """Whether it is new."""
        key = hash(text)
        if key in self._seen:
            return False
        if len(self._seen) >= _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = None
        return True


class Pages:
    """A terminal of `size`. Times never go back; what is given back is in its order."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._resized = False
        self._filter = ScreenFilter()
        self._main = Sheet(size)
        self._other: Sheet | None = None
        self._begun = self._last = 0.0
        self._touched = False
        self._seen, self._figures_seen = Seen(), Seen()
        self._figures = Allowance(FIGURES, FIGURES_RATE)

    def cost(self, since: float, text: str) -> int:
        """About how many cells of the screen are touched by `text`, shown from `since` on."""
        columns, rows = fitting(self._size)
        sequences = text.count("\x1b") + text.count("\x9b")
        dear = 0
        if sequences:
            dear = sum(_dear(found, columns * rows) for found in _DEAR.finditer(text))
        dear += 2 * columns * rows * (self._resized + self._is_due(since))
        lines = text.count("\n") + text.count("\v") + text.count("\f")
        return len(text) + (columns + _STEP) * (lines + sequences) + dear

    def write(self, since: float, time: float, stream: Stream, text: str) -> list[Line]:
        """The target shows `text` until `time`; a terminal shows both streams.

        `since` begins what is seen as one with this, as it lasted less than a STEP.
        """
        lines = self._until(since, time)
        for piece in self._pieces(self._filter.feed(text)):
            lines += self._draw(piece)
        return lines

    def said(self, time: float, text: str, place: Place) -> list[Line]:
        """We show `text`, which is whole lines: told at once, and after what stood there."""
        lines = [*self._until(time, time), *self._look(), *self._flushed(self._sheet)]
        ours = [each for each in text.split("\r\n") if each]
        lines += (line for each in ours for line in lines_of(time, each, place))
        self._touched = True
        self._sheet.write(text)
        return lines + self._look(frozenset(ours))

    def resize(self, size: Size) -> None:
        """The terminal has another size, from when something is shown on it."""
        self._resized = self._resized or size != self._size
        self._size = size

    def pending(self) -> list[Line]:
        """What stands there and was not told yet; it may become something else."""
        lines = list(_lines(self._main.glimpse(self._begun)))
        if self._other is not None:
            lines += _lines(self._other.glimpse(self._begun))
        return lines

    def end(self) -> list[Line]:
        """All that was not told yet."""
        return [*self._look(), *self._left(), *self._flushed(self._main)]

    def sleep(self) -> None:
        """Take little memory until something is shown."""
        self._main.sleep()
        if self._other is not None:
            self._other.sleep()

    @property
    def _sheet(self) -> Sheet:
        return self._main if self._other is None else self._other

    def _until(self, since: float, time: float) -> list[Line]:
        """What is to be told before something happens, from `since` to `time`."""
        lines = self._look(until=self._last) if self._is_due(since) else []
        self._begun, self._last = since, time
        if self._resized:
            self._resized = False
            self._touched = True
            self._main.resize(self._size)
            if self._other is not None:
                self._other.resize(self._size)
        return lines

    def _is_due(self, since: float) -> bool:
        """Whether it is time to look what has become of the screen."""
        return self._touched and since != self._begun

    def _pieces(self, text: str) -> Iterator[str | re.Match[str]]:
        """Text, with the sequences apart that change everything."""
        size = max(64, min(_PIECE, 256 * 1024 // max(1, self._size.columns)))
        at = 0
        for turn in _TURN.finditer(text):
            yield from _parts(text, at, turn.start(), size)
            yield turn
            at = turn.end()
        yield from _parts(text, at, len(text), size)

    def _draw(self, piece: str | re.Match[str]) -> list[Line]:
        lines: list[Line] = []
        if not isinstance(piece, str):
            lines = self._turned(piece)
            piece = _without_other(piece)
        self._touched = True
        self._sheet.write(piece)
        return lines + self._look() if self._sheet.crowded else lines

    def _turned(self, turn: re.Match[str]) -> list[Line]:
        """What is to be told before the screen is changed for the other, or cleared."""
        if turn["modes"] is not None:
            if not _OTHER.isdisjoint(turn["modes"].split(";")):
                return self._entered() if turn["set"] == "h" else self._left()
            return []
        if turn["wiped"] is None or self._other is not None:
            return []
        if turn["wiped"] == "2" or (turn["wiped"] in ("", "0") and self._main.at_home):
            return [*self._look(), *self._flushed(self._main)]
        return []

    def _entered(self) -> list[Line]:
        """A full-screen program begins."""
        if self._other is not None:
            return []
        lines = [*self._look(), *self._flushed(self._main)]
        self._other = Sheet(self._size)
        self._seen, self._figures_seen = Seen(), Seen()
        return lines

    def _left(self) -> list[Line]:
        """It ends: its last screen is told, and the main one is there again."""
        if self._other is None:
            return []
        lines = self._look()
        lines += _lines(line for line in self._other.untold() if self._new(line.text))
        self._other = None
        return lines

    def _look(self, told: AbstractSet[str] = frozenset(), until: float | None = None) -> list[Line]:
        """What is to be told of all that was seen as one; `until` is when the last of it was."""
        if not self._touched:
            return []
        self._touched = False
        before = self._sheet.standing
        look = self._sheet.look(self._begun, self._begun if until is None else until, told)
        if self._other is not None:
            turned = any(self._was_read(each) for each in look.changed)
            page = [line for line in before if line.text and self._settled(line)] if turned else []
            return list(_lines(each for each in [*page, *look.finished] if self._new(each.text)))
        standing = {line.text for line in self._main.standing}
        gone = [each.before for each in look.changed if self._was_lost(each, standing)]
        return list(_lines([*gone, *look.finished]))

    def _was_read(self, change: Change) -> bool:
        """Whether a line stood long enough to be read, and is not only longer now."""
        before = change.before
        return self._settled(before) and not change.after.startswith(before.text)

    def _settled(self, line: Standing) -> bool:
        return self._begun - line.stood >= SETTLED

    def _was_lost(self, change: Change, standing: AbstractSet[str]) -> bool:
        """Whether a line of the main screen that somebody has read is nowhere any more."""
        before = change.before
        return (
            not change.edited
            and self._was_read(change)
            and before.text not in standing
            and _letters(before.text) != _letters(change.after)
            and self._new(before.text)
        )

    def _new(self, text: str) -> bool:
        """Whether a line of a full-screen program is to be told."""
        if not self._seen.add(text):
            return False
        return self._figures_seen.add(_letters(text)) or self._figures.take(self._begun, len(text))

    def _flushed(self, sheet: Sheet) -> list[Line]:
        """What stands on the screen, told now and not again."""
        untold = sheet.untold()
        for line in untold:
            line.told = True
        return list(_lines(untold))


def _lines(standing: Iterable[Standing]) -> Iterator[Line]:
    for line in standing:
        yield from lines_of(line.since, line.text, Place.SCREEN)


def _letters(text: str) -> str:
    """What is left without figures and signs."""
    return _FIGURES.sub(" ", text)


def _parts(text: str, start: int, end: int, size: int) -> Iterator[str]:
    for at in range(start, end, size):
        yield text[at : min(at + size, end)]


def _without_other(turn: re.Match[str]) -> str:
    """The sequence without the modes that change the screen for the other."""
    if turn["modes"] is None:
        return turn[0]
    modes = [mode for mode in turn["modes"].split(";") if mode not in _OTHER]
    return f"\x1b[?{';'.join(modes)}{turn['set']}" if modes else ""


def _dear(found: re.Match[str], cells: int) -> int:
    """The cells that a sequence may touch beyond one line."""
    match found[2]:
        case "b":
            return min(int(found[1].partition(";")[0][:5] or 1), _REPEATED)
        case "h" | "l" if "47" not in found[1] and "1049" not in found[1]:
            return 0
    return 2 * cells
