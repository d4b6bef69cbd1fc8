"""A canvas: a recorded terminal drawn on a reviewer's, and below it a line of ours.

What the recording draws goes to a screen of its own first, and from there row by row to the
reviewer's terminal: wherever it moves its cursor, it never reaches the line below. So nothing
that a target shows can be taken for what stands there. Text in, text for a terminal out; pure.
"""

import unicodedata
from collections.abc import Iterable
from typing import Final

from recorder.screen import Screen
from recorder.session import Size

BEGIN: Final = "\x1b[0m\x1b[?7l\x1b[H\x1b[2J"
"""No colours, no wrapping, nothing on it: what a drawing of everything begins with."""

_ROW = "\x1b[{};1H\x1b[0m\x1b[2K"


class Canvas:
    """A screen of `size` above a line. `rows` is how many the reviewer's terminal has: where they
    are too few, the upper ones are not drawn."""

    def __init__(self, size: Size, rows: int) -> None:
        self._screen = Screen(size)
        self._rows = rows
        self._said = ""

    def show(self, text: str) -> str:
        """The recorded program writes `text`, of the sequences that `ScreenFilter` lets through."""
        return self._drawn(self._screen.show(text))

    def resize(self, size: Size) -> str:
        """The recorded terminal has another size."""
        self._screen.resize(size)
        return self.whole()

    def whole(self) -> str:
        """All of it, drawn anew."""
        return BEGIN + self._drawn(range(self._screen.size.rows))

    def say(self, text: str) -> str:
        """Our line, of characters that print; of one that is too long, its end."""
        self._said = text
        return self._drawn(())

    def end(self) -> str:
        """What leaves the cursor below all of it."""
        return f"\x1b[{self._line};1H\x1b[0m\x1b[?25h\r\n"

    @property
    def _hidden(self) -> int:
        """How many rows at the top have no room."""
        return max(0, self._screen.size.rows + 1 - self._rows)

    @property
    def _line(self) -> int:
        """The row of our line, from 1."""
        return self._screen.size.rows + 1 - self._hidden

    def _drawn(self, changed: Iterable[int]) -> str:
        hidden = self._hidden
        rows = [
            _ROW.format(row + 1 - hidden) + self._screen.painted(row)
            for row in changed
            if row >= hidden
        ]
        said = _last(self._said, self._screen.size.columns)
        line = f"{_ROW.format(self._line)}\x1b[7m{said}\x1b[0m"
        return f"\x1b[?25l{''.join(rows)}{line}{self._cursor()}"

    def _cursor(self) -> str:
        cursor = self._screen.cursor
        if cursor is None or cursor[0] < self._hidden:
            return ""
        return f"\x1b[{cursor[0] + 1 - self._hidden};{cursor[1] + 1}H\x1b[?25h"


def _last(text: str, columns: int) -> str:
    """Its end, as far as it has room, and blanks."""
    room = columns
    for number, character in enumerate(reversed(text)):
        room -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if room < 0:
            return text[len(text) - number :]
    return text + " " * room
