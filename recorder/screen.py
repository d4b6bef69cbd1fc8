"""A terminal's screen, fed with what was shown: what stands on it now.

The terminal itself is asciinema's own (`avt`, in Rust); here and in `scroll` alone it is known.
Whatever is fed to it, it holds no more than one screen. It fails at nothing that we know: should
the engine, that says CorruptRecording, as its own error would end more than who asked.

It holds Python's lock while it works, so everything else in the process waits. A hostile program
can make that long: 8 KiB that clear a screen of 500 000 cells again and again took four seconds.
So it gets little at once, and a screen has a bounded area.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from avt import Cell, Color, Line, Pen, Vt  # type: ignore[attr-defined]

from recorder.asciicast import Code, Event
from recorder.errors import CorruptRecording
from recorder.session import Size

CLEAR = "\x1b[0m\x1b[H\x1b[2J"
"""What a terminal shows before a screen is drawn on it: nothing."""

_COLUMNS, _ROWS = 1000, 500
_CELLS = 50_000
"""Larger terminals are cut to this: a client may say that it has 60 000 columns."""

_REPEATED = re.compile(r"([^\x00-\x7f])\x1b\[(\d{1,4})b")
"""One character many times: `avt` writes it so for wide ones too, and reads it otherwise."""

_USUAL = (("\x9b", "\x1b["), ("\x1b[5W", "\x1b[3g"), ("\x1b[W", "\x1bH"))
"""Tab stops are cleared and set in the words that every terminal knows."""

_SIZE = re.compile(r"([0-9]{1,10})x([0-9]{1,10})")

PIECE = 256
"""Characters that are drawn until others may have their turn."""

_PIECE = re.compile(r"(?:[^\x1b]{0,128}\x1b?){1,8}")
"""What is fed at once: eight sequences at most, the costliest of which takes two milliseconds."""


class Screen:
    """The screen of a terminal of `size`, empty at first."""

    def __init__(self, size: Size) -> None:
        self._terminal = Vt(*fitting(size), 0)

    def show(self, text: str) -> Sequence[int]:
        """The program writes `text`; the rows, from 0, that are not as before."""
        changed: set[int] = set()
        for piece in _PIECE.findall(text):
            changed.update(fed(self._terminal, piece)[0])
        return sorted(changed)

    def take(self, text: str) -> None:
        """The program writes `text`; all of it at once, for whoever lets nobody wait."""
        fed(self._terminal, text)

    def resize(self, size: Size) -> None:
        """The terminal has another size."""
        with engine():
            self._terminal.resize(*fitting(size))

    @property
    def size(self) -> Size:
        """As large as it is believed to be."""
        columns, rows = self._terminal.size
        return Size(columns, rows)

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Its row and column, from 0; None where it is hidden."""
        cursor = self._terminal.cursor
        return (cursor.row, cursor.col) if cursor.visible else None

    def painted(self, row: int) -> str:
        """What draws a row with its colours, by such colours (SGR) and characters only."""
        chunks = self._terminal.view()[row].chunks(_other_pen)
        return "".join(f"\x1b[0{_style(chunk[0].pen)}m{_text(chunk)}" for chunk in chunks)

    def lines(self) -> list[str]:
        """What stands there, line by line, without the blanks behind it."""
        return [line.text.rstrip() for line in self._terminal.view()]

    def dump(self) -> str:
        """What draws it on a terminal that is as it was when it was switched on.

        In 7-bit sequences. It may end inside of one, where the program did.
        """
        return dumped(self._terminal)


def draw(
    event: Event,
    screen: Screen,
    rest: Callable[[], object],
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """Have `screen` show what was shown, in pieces that are soon done, whatever they are.

    `rest` is called between them; where `enough` says so, what is left of it is not drawn.
    """
    if event.code is not Code.OUT:
        screen.resize(size_of(event.data))
        rest()
        return
    for at in range(0, len(event.data), PIECE):
        screen.show(event.data[at : at + PIECE])
        rest()
        if enough():
            return


def size_of(text: str) -> Size:
    """The size that a resize names: `132x50`. Raises CorruptRecording."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise CorruptRecording(f"{text[:40]!a} is no size")
    return Size(int(found[1]), int(found[2]))


@contextmanager
def engine() -> Iterator[None]:
    """Where the terminal's engine fails, raises CorruptRecording."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # PyO3's, which is no Exception
            raise
        raise CorruptRecording("the terminal's engine fails at what was shown") from error


def fed(terminal: Vt, text: str) -> tuple[Sequence[int], Sequence[Line]]:
    """Which rows are not as before, and which scrolled out. Raises CorruptRecording."""
    with engine():
        changed, out = terminal.feed_str(text)
    return changed, out


def dumped(terminal: Vt) -> str:
    """What draws its screen, see `Screen.dump`."""
    drawn = _REPEATED.sub(_spelt, terminal.dump())
    for theirs, usual in _USUAL:
        drawn = drawn.replace(theirs, usual)
    return drawn


def _spelt(repeated: re.Match[str]) -> str:
    return repeated[1] * (1 + min(int(repeated[2]), _COLUMNS))


def fitting(size: Size) -> tuple[int, int]:
    """Of a terminal without a size 80 times 24 is believed, as programs do.

    One of a single column has two: `avt` fails at a wide character that has no room at all.
    """
    columns = max(2, min(size.columns, _COLUMNS)) if size.columns > 0 else 80
    rows = min(size.rows, _ROWS) if size.rows > 0 else 24
    return columns, min(rows, _CELLS // columns)


def _other_pen(one: Cell, other: Cell) -> bool:
    return bool(one.pen != other.pen)


def _text(cells: Sequence[Cell]) -> str:
    """Their characters; a wide one has an empty cell behind it."""
    return "".join(cell.char for cell in cells if cell.width)


def _style(pen: Pen) -> str:
    """The parameters of SGR behind a 0 (ECMA-48, section 8.3.117)."""
    on = (
        (pen.bold, ";1"),
        (pen.faint, ";2"),
        (pen.italic, ";3"),
        (pen.underline, ";4"),
        (pen.blink, ";5"),
        (pen.inverse, ";7"),
        (pen.strikethrough, ";9"),
    )
    attributes = "".join(code for is_on, code in on if is_on)
    return f"{attributes}{_colour(38, pen.foreground)}{_colour(48, pen.background)}"


def _colour(layer: int, colour: Color | None) -> str:
    match colour:
        case Color.Indexed():
            return f";{layer};5;{colour[0]}"
        case Color.RGB():
            return f";{layer};2;{colour[0]};{colour[1]};{colour[2]}"
    return ""
