"""A terminal's screen row by row, and the rows that scroll out of it at the top.

The terminal is the one of `screen`, and holds no more than one screen, whatever is fed to it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from avt import Line, Vt  # type: ignore[attr-defined]
from avt.util import TextUnwrapper  # type: ignore[attr-defined]

from recorder.screen import dumped, engine, fed, fitting
from recorder.session import Size


class Row(NamedTuple):
    """One row of a screen; one that `goes_on` is continued by the next, as its line is longer."""

    text: str
    goes_on: bool


class Scroll:
    """The screen of a terminal of `size`, as `drawn` by what `dump` gave."""

    def __init__(self, size: Size, drawn: str = "") -> None:
        self._terminal = Vt(*fitting(size), 0)
        fed(self._terminal, drawn)
        self._rows: list[Row] = []
        self._touched: set[int] = set()

    def write(self, text: str) -> Iterator[Row]:
        """The program writes `text`: the rows that scrolled out at the top."""
        touched, out = fed(self._terminal, text)
        self._touched.update(touched)
        return map(_row, out)

    def resize(self, size: Size) -> Iterator[Row]:
        """The terminal has another size: the rows that have no room any more."""
        with engine():
            _, out = self._terminal.resize(*fitting(size))
        self._rows.clear()
        self._touched.clear()
        return map(_row, out)

    def rows(self) -> Sequence[Row]:
        """What stands there, row by row; only what was touched since is looked at again."""
        with engine():
            if not self._rows:
                self._rows = [_row(line) for line in self._terminal.view()]
                self._touched.clear()
            for number in self._touched:
                # Whether the row above goes on may have changed with this one.
                for each in (number - 1, number) if number else (number,):
                    self._rows[each] = _row(self._terminal[each])
        self._touched.clear()
        return self._rows

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column of the cursor, from 0 on."""
        cursor = self._terminal.cursor
        return cursor.row, cursor.col

    def dump(self) -> str:
        """What draws it on a terminal that is as it was when it was switched on."""
        return dumped(self._terminal)


def _row(line: Line) -> Row:
    goes_on = TextUnwrapper().push(line) is None
    return Row(line.text if goes_on else line.text.rstrip(), goes_on)
