"""One of a terminal's two screens: which lines stand on it since when, which scrolled out.

Rows that belong together are one line here, however narrow the terminal was. Pure.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from recorder.lines import LONGEST
from recorder.scroll import Row, Scroll
from recorder.session import Size


@dataclass(slots=True)
class Standing:
    """A line that stands on a screen, and whether it was told.

    It came to be what it is at `since` or a moment later; from `stood` on nothing happened to it.
    """

    text: str
    since: float
    stood: float
    told: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A line that is no more as it was; one that was `edited` had the cursor in it."""

    before: Standing
    after: str
    edited: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What has happened since the look before: lines that changed, and that scrolled out."""

    changed: list[Change]
    finished: list[Standing]


class Sheet:
    """A screen of `size`, empty at first. Asleep it takes a few kilobytes."""

    def __init__(self, size: Size) -> None:
        self.standing: list[Standing] = []
        self._size = size
        self._screen: Scroll | None = Scroll(size)
        self._dump = ""
        self._out: list[Row] = []
        self._begun = ""
        self._cursor = 0

    @property
    def crowded(self) -> bool:
        """Whether it is time for a look: many rows have scrolled out."""
        return len(self._out) > 200

    @property
    def at_home(self) -> bool:
        """Whether the cursor is at the top on the left."""
        return self._awake().cursor == (0, 0)

    def write(self, text: str) -> None:
        """The program writes `text`."""
        self._out += self._awake().write(text)

    def resize(self, size: Size) -> None:
        """The terminal has another size."""
        self._out += self._awake().resize(size)
        self._size = size

    def look(self, since: float, until: float, told: AbstractSet[str] = frozenset()) -> Look:
        """What has happened from `since` to `until`. New lines that are among `told` were told."""
        texts, finished, cursor = self._texts()
        lines = [
            self._kept(number, text) or Standing(text, since, until, text in told)
            for number, text in enumerate(texts)
        ]
        changed = [
            Change(before, text, number in (self._cursor, cursor))
            for number, (before, text) in enumerate(zip(self.standing, texts, strict=False))
            if before.text != text and before.text and not before.told
        ]
        self.standing, self._cursor = lines[finished:], cursor - finished
        return Look(changed, [line for line in lines[:finished] if line.text and not line.told])

    def untold(self) -> list[Standing]:
        """The lines that stand there and were not told."""
        return [line for line in self.standing if line.text and not line.told]

    def glimpse(self, since: float) -> list[Standing]:
        """What a look would find untold; nothing is different after it."""
        begun, out = self._begun, self._out
        texts, _, _ = self._texts()
        self._begun, self._out = begun, out
        lines = [
            self._kept(number, text) or Standing(text, since, since)
            for number, text in enumerate(texts)
        ]
        return [line for line in lines if line.text and not line.told]

    def sleep(self) -> None:
        """Take little memory until something is written."""
        if self._screen is not None:
            self._dump, self._screen = self._screen.dump(), None

    def _awake(self) -> Scroll:
        if self._screen is None:
            self._screen = Scroll(self._size, self._dump)
            self._dump = ""
        return self._screen

    def _kept(self, number: int, text: str) -> Standing | None:
        """The line that has stood there and is the same."""
        if number < len(self.standing) and self.standing[number].text == text:
            return self.standing[number]
        return None

    def _texts(self) -> tuple[list[str], int, int]:
        """All lines from the top of what scrolled out, how many of them did; the cursor's."""
        screen = self._awake()
        texts: list[str] = []
        part, cursor, cursors = self._begun, 0, screen.cursor[0]
        for row in self._out:
            part += row.text
            if not row.goes_on or len(part) >= LONGEST:
                texts.append(part.rstrip())
                part = ""
        finished, self._begun, self._out = len(texts), part, []
        for number, row in enumerate(screen.rows()):
            if number == cursors:
                cursor = len(texts)
            part += row.text
            if not row.goes_on:
                texts.append(part.rstrip())
                part = ""
        return [*texts, part.rstrip()] if part else texts, finished, cursor
