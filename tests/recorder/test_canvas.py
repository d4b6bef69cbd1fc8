"""A canvas: what a recording draws stays above the line that is ours."""

import pytest
from avt import Vt  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import strategies as st

from recorder.canvas import Canvas
from recorder.screen_filter import ScreenFilter
from recorder.session import Size

SIZE = Size(20, 4)


class Reviewer:
    """A reviewer's terminal, and what a canvas has drawn on it."""

    def __init__(self, columns: int = 30, rows: int = 10) -> None:
        self._terminal = Vt(columns, rows, 0)

    def sees(self, *drawn: str) -> list[str]:
        """Its lines, without what is empty below."""
        for text in drawn:
            self._terminal.feed_str(text)
        return "\n".join(line.text.rstrip() for line in self._terminal.view()).rstrip().split("\n")

    @property
    def cursor(self) -> tuple[int, int]:
        return self._terminal.cursor.row, self._terminal.cursor.col


def test_our_line_stands_below_the_recorded_screen() -> None:
    """Both change without the other; the cursor is the recorded one."""
    canvas, reviewer = Canvas(SIZE, 10), Reviewer()
    assert reviewer.sees(canvas.whole(), canvas.show("$ "), canvas.say("typed: ls")) == [
        "$",
        *[""] * 3,
        "typed: ls",
    ]
    assert reviewer.cursor == (0, 2)
    assert reviewer.sees(canvas.show("ls\r\na\x1b[31mb"))[:2] == ["$ ls", "ab"]
    assert reviewer.sees(canvas.say("typed: ls\\r"))[4] == "typed: ls\\r"


@pytest.mark.parametrize(
    "forged",
    [
        "\x1b[5;1Htyped: forged",
        "\x1b[99;99Hforged",
        "\n" * 30 + "forged",
        "\x1b[?1049h\x1b[99BX forged",
        "\x1b[1;10r\x1b[10;1Hforged",
        "\x1b7\x1b[s\x1b[4;20Hforged and wrapped",
        "\x1b[?7h" + "x" * 100 + "forged",
        "漢字" * 40 + "forged",
    ],
)
def test_nothing_that_is_shown_reaches_it(forged: str) -> None:
    """Wherever a target moves its cursor, and however long its lines are."""
    canvas, reviewer = Canvas(SIZE, 10), Reviewer()
    lines = reviewer.sees(canvas.whole(), canvas.say("typed: ls"), canvas.show(forged))
    assert lines[4:] == ["typed: ls"]


@given(st.lists(st.text(st.sampled_from("ab\x1b[;?hlrHmBA1359\r\n漢é\u0301\u200b"), max_size=30)))
def test_it_stays_there_whatever_is_shown(shown: list[str]) -> None:
    """Any text, as the filter lets it through."""
    canvas, reviewer, screen = Canvas(SIZE, 10), Reviewer(), ScreenFilter()
    begun = canvas.whole(), canvas.say("typed: ls")
    drawn = [canvas.show(screen.feed(text)) for text in shown]
    assert reviewer.sees(*begun, *drawn)[4:] == ["typed: ls"]


def test_colours_are_drawn_as_they_were() -> None:
    """Of any kind; and none of them colours our line."""
    coloured = "\x1b[1;2;3;4;5;7;9;31;48;2;1;2;3mred\x1b[0;38;5;200m漢\x1b[0m."
    canvas, first, second = Canvas(SIZE, 10), Vt(20, 5, 0), Vt(20, 5, 0)
    first.feed_str(coloured)
    second.feed_str(canvas.whole() + canvas.show(coloured) + canvas.say("ours"))
    pens = [[str(cell.pen) for cell in line.cells] for line in (first.view()[0], second.view()[0])]
    assert pens[0] == pens[1]
    ours = [cell.pen for cell in second.view()[4].cells]
    assert all(pen.inverse and pen.foreground is None for pen in ours)


def test_a_small_terminal_shows_what_is_lowest() -> None:
    """Our line always has a place."""
    canvas, reviewer = Canvas(SIZE, 3), Reviewer(rows=3)
    drawn = canvas.show("one\r\ntwo\r\nthree\r\nfour")
    assert reviewer.sees(canvas.whole(), drawn, canvas.say("ours")) == ["three", "four", "ours"]


def test_of_a_long_line_its_end_is_seen() -> None:
    """What was typed last matters; wide characters are counted as such."""
    canvas, reviewer = Canvas(SIZE, 10), Reviewer()
    said = canvas.say("x" * 30 + "the very end")
    assert reviewer.sees(canvas.whole(), said)[4] == "x" * 8 + "the very end"
    assert reviewer.sees(canvas.say("字" * 30 + "ab."))[4] == "字" * 8 + "ab."


def test_another_size_moves_our_line() -> None:
    """The recorded terminal grew."""
    canvas, reviewer = Canvas(SIZE, 10), Reviewer()
    lines = reviewer.sees(canvas.whole(), canvas.say("ours"), canvas.resize(Size(10, 6)))
    assert lines[6:] == ["ours"]
    assert reviewer.sees(canvas.end())[6:] == ["ours"]
    assert reviewer.cursor == (7, 0)
