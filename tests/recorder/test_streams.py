"""What a command without a terminal wrote, as lines."""

from recorder import Line, Place
from recorder.asciicast import Code, Event, Word
from tests.recorder.tellings import header, lines, said, shown, texts

EXEC = header(terminal=False, command="make all")


def test_each_stream_has_lines_of_its_own() -> None:
    """A line that is written in two pieces is one, whatever the other stream writes meanwhile."""
    events = [
        Event(0, Code.OUT, "one and "),
        Event(1, Code.ERR, "oops\n"),
        Event(2, Code.OUT, "the same\nlast"),
    ]
    assert lines(events, EXEC) == [
        Line(0, "make all", Place.COMMAND),
        Line(1, "oops"),
        Line(2, "one and the same"),
        Line(2, "last"),
    ]


def test_what_drives_a_terminal_is_left_out() -> None:
    """Colours, titles, progress bars, overstriking."""
    events = shown(
        (0, "\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\r\n"),
        (1, " 10 %\r 50 %\r100 %\n"),
        (2, "N\bNA\bAM\bME\bE\n"),
    )
    assert texts(events, EXEC)[1:] == ["red text", "100 %", "NAME"]


def test_a_line_that_never_ends_is_told_in_pieces() -> None:
    """And one that begins anew again and again is its last state."""
    endless = lines(shown(*((n, "x" * 1000) for n in range(30))), EXEC)
    assert "".join(line.text for line in endless[1:]) == "x" * 30_000
    again = texts(shown(*((n, f"{n} % {'#' * 500}\r") for n in range(100))), EXEC)
    assert again[1:] == [f"99 % {'#' * 500}"]


def test_files_are_lines_of_their_own_place() -> None:
    """As sftp and scp tell them."""
    events = said(1.5, "get /var/log/app.log 12 345 bytes sha256 ab\r\n", Word.FILE)
    assert lines(events, header(terminal=False)) == [
        Line(1.5, "get /var/log/app.log 12 345 bytes sha256 ab", Place.FILE)
    ]
