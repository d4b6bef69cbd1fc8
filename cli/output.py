"""Output: tables on a terminal, aligned text otherwise, one JSON document, CSV; notes apart.

What is told goes to `out`, what is said about it to `err`. Everything that comes from outside is
made printable first: a command line in a list must not be a terminal's escape sequence. Nothing
here knows a verb.
"""

import csv
import fcntl
import io
import os
import select
import stat
import sys
import termios
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

import orjson
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bastion.errors import BadInput

Row = Sequence[object]

NARROWEST, WIDEST, USUAL = 40, 500, 80
"""Columns of a terminal: fewer or more are not believed."""

SHORT = 20
"""A column whose cells are no longer is not broken into lines; others may be, down to this."""

GAP = 2
"""Blanks between two columns."""

INDENT = 5
"""Blanks before the further lines of a row that is too wide for one."""

_COLOURS = {
    "active": "green",
    "live": "green",
    "waits for a watcher": "yellow",
    "ok": "green",
    "scheduled": "yellow",
    "expired": "dim",
    "revoked": "red",
    "disabled": "red",
    "not ok": "red",
    "wrong": "red",
    "warning": "yellow",
}
"""Words that have a colour where they fill a cell."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A text with what is to stand out in it, from and until; it prints as it is."""

    text: str
    spans: Sequence[tuple[int, int]]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Output:
    """Where a verb's answer goes. Both ways take text with its newlines.

    `terminal` is whether `out` is one, and `width` its columns; `window` gives them as they are
    now, where a terminal can change. `binary` takes bytes to where `out` takes text. `taken` says
    whether whoever reads has taken all that went to `out`, as far as one can tell. `watched` is
    whether somebody sees `err` as it comes.
    """

    out: Callable[[str], object]
    err: Callable[[str], object]
    terminal: bool = False
    width: int = 80
    colour: bool = False
    window: Callable[[], int] | None = None
    binary: Callable[[bytes], object] | None = None
    taken: Callable[[], bool] = lambda: True
    watched: bool = False

    @property
    def columns(self) -> int:
        """The columns of the terminal, as wide as it is now."""
        return self.width if self.window is None else believed(self.window())

    def data(self, data: bytes) -> None:
        """Bytes of the answer, as they are."""
        if self.binary is None:
            raise BadInput("Bytes can't be shown here: give a file, or a pipe.")
        self.binary(data)

    def line(self, text: str = "") -> None:
        """One line of the answer."""
        self.out(f"{text}\n")

    def note(self, text: str) -> None:
        """A sentence about the answer, beside it."""
        self.err(f"{printable(text)}\n")

    def passing(self, text: str) -> None:
        """Beside the answer, for whoever watches: a line that the next one takes the place of.

        The last one is to be empty.
        """
        if self.watched:
            self.err(f"\r\x1b[K{printable(text)[: self.columns - 1]}")

    def table(self, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Rows under headings."""
        values = [list(row) for row in rows]
        if self.terminal:
            self.out(self._drawn(columns, values))
        else:
            self.out(_aligned(columns, [[shown(value) for value in row] for row in values]))

    def fields(self, pairs: Iterable[tuple[str, object]]) -> None:
        """One thing, a line for each of its properties that has a value."""
        told = [(name, shown(value)) for name, value in pairs if value not in (None, "", ())]
        width = max((len(name) for name, _ in told), default=0)
        for name, value in told:
            self.line(f"{self.styled(name.ljust(width), 'dim')}  {value}")

    def document(self, value: object) -> None:
        """One JSON document."""
        self.out(json_of(value).decode())

    def csv(self, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Comma-separated values (RFC 4180) under their names."""
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(columns)
        writer.writerows([harmless(exact(value)) for value in row] for row in rows)
        self.out(buffer.getvalue())

    def styled(self, text: str, style: str) -> str:
        """`text` in a style of rich's, where there are colours."""
        if not self.colour:
            return text
        return self._render(Text(text, style=style), len(text) + 1).rstrip("\n")

    def _drawn(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
        """A table as wide as the terminal at most: nothing is cut."""
        styled = [[_styled(value) for value in row] for row in rows]
        widths, room = (
            _widths(columns, [[cell.plain for cell in row] for row in styled]),
            self.columns,
        )
        headings = [Text(column.upper(), style="bold") for column in columns]
        lines = _lines(widths, room)
        table = (
            _table(headings, styled, widths)
            if len(lines) == 1
            else Group(*_stacked([headings, *styled], widths, lines, room))
        )
        return "".join(f"{line.rstrip()}\n" for line in self._render(table, room).splitlines())

    def _render(self, what: RenderableType, width: int) -> str:
        console = Console(
            file=io.StringIO(),
            width=width,
            force_terminal=self.colour,
            color_system="standard" if self.colour else None,
            no_color=not self.colour,
            highlight=False,
            _environ={},
        )
        with console.capture() as captured:
            console.print(what, markup=False, soft_wrap=isinstance(what, Text))
        return captured.get()


def of_process(out: TextIO | None = None, err: TextIO | None = None) -> Output:
    """The output of this process: its terminal, NO_COLOR (https://no-color.org) and TERM."""
    out, err = out or sys.stdout, err or sys.stderr
    terminal = out.isatty()
    width = os.get_terminal_size(out.fileno()).columns if terminal else 0
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
    return Output(
        out=_writer(out),
        err=_writer(err),
        terminal=terminal,
        width=believed(width),
        colour=terminal and not plain,
        window=(lambda: os.get_terminal_size(out.fileno()).columns) if terminal else None,
        binary=_bytes_writer(out),
        taken=lambda: _taken(out.fileno()),
        watched=err.isatty(),
    )


def believed(width: int) -> int:
    """The columns of a terminal; what is not known, or too few for a table, is taken as 80."""
    return min(width, WIDEST) if width > NARROWEST else USUAL


def printable(text: str) -> str:
    """`text` on one line, with what a terminal would act on as `\\x1b` escapes."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def shown(value: object) -> str:
    """A value as people read it: times in UTC, seconds only where there are some; with commas."""
    if isinstance(value, datetime):
        at = value.astimezone(UTC)
        return f"{at:%Y-%m-%d %H:%M:%S}" if at.second else f"{at:%Y-%m-%d %H:%M}"
    return exact(value)


def exact(value: object) -> str:
    """A value as programs read it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(exact, value))
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(map(exact, value)))
    return printable(str(value))


def _styled(value: object) -> Text:
    """A cell of a table."""
    cell = shown(value)
    text = Text(cell, style=_COLOURS.get(cell, ""))
    if isinstance(value, Marked) and cell == value.text:
        for start, end in value.spans:
            text.stylize("bold red", start, end)
    return text


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = _widths(columns, rows)
    table = [[column.upper() for column in columns], *rows]
    padded = ((" " * GAP).join(map(str.ljust, row, widths)).rstrip() for row in table)
    return "".join(f"{line}\n" for line in padded)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    table = [columns, *rows]
    return [max(cell_len(row[number]) for row in table) for number in range(len(columns))]


def _lines(widths: Sequence[int], room: int) -> list[range]:
    """Which columns are on which line of a row: as many on each as have room, in their order."""
    lines, begin, used = [], 0, 0
    for number, width in enumerate(widths):
        least = min(width, SHORT)
        if number > begin and used + least > room:
            lines.append(range(begin, number))
            begin, used = number, INDENT
        used += least + GAP
    return [*lines, range(begin, len(widths))]


def _table(
    headings: Sequence[Text], rows: Iterable[Sequence[Text]], widths: Sequence[int]
) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="")
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, overflow="fold", no_wrap=width <= SHORT)
    for row in rows:
        table.add_row(*row)
    return table


def _stacked(
    rows: Iterable[Sequence[Text]], widths: Sequence[int], lines: Sequence[range], room: int
) -> Iterator[RenderableType]:
    """Each row as several lines; what is in a column stands below its heading."""
    shares = [_shares([widths[number] for number in line], room - INDENT) for line in lines]
    for row in rows:
        for line, share in zip(lines, shares, strict=True):
            table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=False)
            for width in share:
                table.add_column(width=width, overflow="fold")
            table.add_row(*(row[number] for number in line))
            yield Padding(table, (0, 0, 0, INDENT if line.start else 0), expand=False)


def _shares(widths: Sequence[int], room: int) -> list[int]:
    """How wide the columns of one line are: the long ones have what the others leave."""
    spare = room - sum(min(width, SHORT) + GAP for width in widths) + GAP
    shares = []
    for width in widths:
        more = max(0, min(width - SHORT, spare))
        spare -= more
        shares.append(min(width, SHORT) + more)
    return shares


def json_of(value: object, *, indent: bool = True) -> bytes:
    """A JSON document, over several lines and with its newline, or as short as it can be."""
    options = orjson.OPT_PASSTHROUGH_DATETIME
    if indent:
        options |= orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, option=options, default=_plain)


def harmless(text: str) -> str:
    """Without a beginning that a spreadsheet would take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def _plain(value: object) -> object:
    """For JSON, what orjson does not know or would not say in UTC."""
    if isinstance(value, datetime):
        return exact(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _bytes_writer(stream: TextIO) -> Callable[[bytes], object]:
    def write(data: bytes) -> None:
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()

    return write


def _taken(descriptor: int) -> bool:
    """Not by a terminal that was stopped (ctrl-s), nor where something lies in a pipe."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(0):
        return False
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return True
    waiting = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    return int.from_bytes(waiting, sys.byteorder) == 0


def _writer(stream: TextIO) -> Callable[[str], object]:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write
