"""A terminal's screen, fed with what was shown: what stands on it now.

The terminal itself is asciinema's own (`avt`, in Rust); nothing else in the recorder knows of it.
Whatever is fed to it, it raises nothing, and it holds no more than one screen.
"""

from avt import Vt  # type: ignore[attr-defined]

from recorder.session import Size

_COLUMNS, _ROWS = 1000, 500
"""Larger terminals are cut to this: a client may say that it has 60 000 columns."""


class Screen:
    """The screen of a terminal of `size`, empty at first."""

    def __init__(self, size: Size) -> None:
        self._terminal = Vt(*_fitting(size), 0)

    def show(self, text: str) -> None:
        """The program writes `text`."""
        self._terminal.feed_str(text)

    def resize(self, size: Size) -> None:
        """The terminal has another size."""
        self._terminal.resize(*_fitting(size))

    def lines(self) -> list[str]:
        """What stands there, line by line, without the blanks behind it."""
        return [line.text.rstrip() for line in self._terminal.view()]

    def dump(self) -> str:
        """What draws it on a terminal that is as it was when it was switched on."""
        return str(self._terminal.dump())


def _fitting(size: Size) -> tuple[int, int]:
    """Of a terminal without a size 80 times 24 is believed, as programs do."""
    columns, rows = size.columns or 80, size.rows or 24
    return min(columns, _COLUMNS), min(rows, _ROWS)
