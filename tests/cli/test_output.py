"""Tables, lines, documents: nothing is cut, and nothing acts on a terminal."""

import csv
import io
import json
import os
import pty
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from cli.output import Output, believed, exact, of_process, printable, shown

COLUMNS = ("id", "state", "reason")


def told(rows: list[tuple[object, ...]], *, width: int = 80, colour: bool = False) -> str:
    """A table on a terminal."""
    heard: list[str] = []
    Output(heard.append, heard.append, True, width, colour).table(COLUMNS, rows)
    return "".join(heard)


def test_a_table_has_headings_and_colours() -> None:
    """The state has its colour; the words stay when the colours go."""
    coloured = told([("G-1", "active", "disk full")], colour=True)
    assert "\x1b[32mactive\x1b[0m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    uncoloured = told([("G-1", "active", "disk full")])
    assert [line.rstrip() for line in plain.splitlines()] == uncoloured.splitlines()
    assert told([("G-1", "active", "disk full")]).splitlines()[1] == "G-1  active  disk full"


@given(
    cells=st.lists(st.text("abc xyz-", min_size=1, max_size=60), min_size=3, max_size=3),
    width=st.integers(40, 120),
)
def test_nothing_is_cut(cells: list[str], width: int) -> None:
    """However narrow the terminal is, every letter is there."""
    table = told([tuple(cells)], width=width)
    assert max(map(len, table.splitlines())) <= width
    there = sorted(letter for letter in "".join(table.split()) if not letter.isupper())
    assert there == sorted("".join(cells).replace(" ", ""))


def test_a_long_cell_is_broken_into_lines_of_its_own() -> None:
    """The other columns keep their shape."""
    lines = told([("G-1", "active", "word " * 30)], width=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("G-1  active  word")


def test_a_row_that_is_too_wide_goes_on_below_its_headings() -> None:
    """No word is broken by the terminal, and each row has the same shape."""
    heard: list[str] = []
    moment = datetime(2026, 11, 23, 18, 5, 7, tzinfo=UTC)
    columns = ("id", "user", "hosts", "state", "from", "until", "reason")
    rows = [("G-1", "alice", "prod-host", "active", moment, moment, "disk full")] * 2
    Output(heard.append, heard.append, True, 60).table(columns, rows)
    row = (
        "G-1  alice  prod-host  active  2026-11-23 18:05:07\n     2026-11-23 18:05:07  disk full\n"
    )
    heading = "ID   USER   HOSTS      STATE   FROM\n     UNTIL                REASON\n"
    assert "".join(heard) == heading + row * 2


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    """No control character, no direction mark, no lone surrogate reaches a terminal."""
    assert printable(text).isprintable()
    printable(text).encode()


@given(st.lists(st.text("=+-@abc,\"'", max_size=5), min_size=3, max_size=3))
def test_csv_comes_back_and_runs_nothing(cells: list[str]) -> None:
    """Each cell is there, and none begins as a formula."""
    heard: list[str] = []
    Output(heard.append, heard.append).csv(COLUMNS, [cells])
    (row,) = csv.reader(io.StringIO("".join(heard).split("\r\n", 1)[1]))
    assert [cell.removeprefix("'") for cell in row] == [cell.removeprefix("'") for cell in cells]
    assert not any(cell[:1] in tuple("=+-@") for cell in row)


def test_times_are_utc() -> None:
    """With the seconds where there are some for people, exact for programs."""
    moment = datetime(2026, 11, 23, 19, 5, 7, tzinfo=timezone(timedelta(hours=1)))
    assert shown(moment) == "2026-11-23 18:05:07"
    assert shown(moment.replace(second=0)) == "2026-11-23 18:05"
    assert exact(moment) == "2026-11-23T18:05:07Z"
    heard: list[str] = []
    Output(heard.append, heard.append).document({"at": moment, "n": frozenset({"b", "a"})})
    assert json.loads("".join(heard)) == {"at": "2026-11-23T18:05:07Z", "n": ["a", "b"]}
    assert exact(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(("width", "taken"), [(0, 80), (40, 80), (100, 100), (10**9, 500)])
def test_a_width_is_believed_within_reason(width: int, taken: int) -> None:
    """Clients send 0 and more than any screen has."""
    assert believed(width) == taken


def test_a_table_follows_the_width_of_the_terminal() -> None:
    """As wide as it is when it is drawn; what is not believed is taken as 80."""
    told: list[str] = []
    widths = iter([60, 120, 0])
    output = Output(told.append, told.append, terminal=True, window=lambda: next(widths))
    for _ in range(3):
        output.table(("id", "command"), [("S-1", "word " * 40)])
    assert [max(map(len, table.splitlines())) for table in told] == [59, 119, 79]


def test_bytes_go_where_text_goes_and_are_not_touched(tmp_path: Path) -> None:
    """In their order, beside the text; where there is no way for bytes, it is said."""
    file = tmp_path / "out"
    with file.open("w", encoding="utf-8") as out:
        output = of_process(out, out)
        output.line("text")
        output.data(b"\xff\x00\r\n")
        output.line("more")
    assert file.read_bytes() == b"text\n\xff\x00\r\nmore\n"
    with pytest.raises(BadInput, match="Bytes can't be shown here"):
        Output(print, print).data(b"")


def test_what_a_stopped_terminal_is_shown_is_not_taken() -> None:
    """ctrl-s stops it, ctrl-q lets it go on: whoever watches has taken nothing in between."""
    master, slave = pty.openpty()
    with os.fdopen(master, "wb", buffering=0) as typed, os.fdopen(slave, "w") as terminal:
        shown = of_process(terminal)
        assert shown.taken()
        typed.write(b"\x13")
        assert not shown.taken()
        typed.write(b"\x11")
        assert shown.taken()


def test_what_lies_in_a_pipe_is_not_taken() -> None:
    """A pager that waits for a key has not shown it yet."""
    read, write = os.pipe()
    with os.fdopen(read, "rb", buffering=0) as reader, os.fdopen(write, "w") as pipe:
        shown = of_process(pipe)
        assert shown.taken()
        shown.out("one\n")
        assert not shown.taken()
        assert reader.read(3) == b"one"
        assert not shown.taken()
        assert reader.read(1) == b"\n"
        assert shown.taken()
