"""What a terminal showed, as lines: the way lines ended up."""

import pytest

from recorder import Place
from recorder.asciicast import Code, Event
from tests.recorder.tellings import header, lines, said, shown, texts

PROMPT = "deploy@web-1:~$ "
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def test_output_is_told_line_by_line_with_its_time() -> None:
    """A line's time is when it came to be what it is, not when it scrolled away."""
    events = shown((0, PROMPT), (3, "seq 1 40\r\n"), (3.1, "".join(f"{n}\r\n" for n in range(40))))
    made = lines([*events, *shown((60, PROMPT), (61, "exit\r\n"))])
    assert [line.text for line in made] == [
        f"{PROMPT}seq 1 40",
        *map(str, range(40)),
        f"{PROMPT}exit",
    ]
    assert [line.time for line in made] == [3] * 41 + [61]
    assert {line.place for line in made} == {Place.SCREEN}


def test_a_command_is_what_was_run() -> None:
    """After backspaces, a walk through the history, and an insertion in the middle."""
    typed = [
        (0.0, PROMPT),
        (1.0, "rm -rf /"),
        (3.0, "\b\b\b\b\b\b\b\b\x1b[K"),
        (4.0, "cat old"),
        (6.0, "\x1b[7D\x1b[K"),
        (7.0, "lx -la"),
        (8.0, "\x1b[5D\x1b[1P"),
        (8.5, "\x1b[1@s"),
        (9.0, "\r\n"),
    ]
    assert texts(shown(*typed)) == [f"{PROMPT}ls -la"]


def test_wrapped_rows_are_one_line() -> None:
    """However narrow the terminal is, and also when it is made narrower later."""
    long = "a word and another " * 12
    assert texts(shown((0, f"{long}\r\nend\r\n"))) == [long.rstrip(), "end"]
    resized = [*shown((0, f"{long}\r\n")), Event(1, Code.RESIZE, "20x5"), *shown((2, "end\r\n"))]
    assert texts(resized) == [long.rstrip(), "end"]


@pytest.mark.parametrize("pause", [0.1, 1.0, 30.0])
def test_a_progress_bar_is_its_last_state(pause: float) -> None:
    """However slowly it goes."""
    bar = [(pause * n, f"\r{n * 10:3} % [{'#' * n:10}]") for n in range(11)]
    assert texts(shown(*bar, (pause * 11, "\r\ndone\r\n"))) == ["100 % [##########]", "done"]


def test_several_bars_that_only_count_are_their_last_state() -> None:
    """As of a program that goes up some lines and writes them anew."""
    bars = [(2.0 * n, f"\x1b[2A\r one {n} MB\x1b[K\r\n two {n} MB\x1b[K\r\n") for n in range(1, 9)]
    events = shown((0, " one 0 MB\r\n two 0 MB\r\n"), *bars, (20, "done\r\n"))
    assert texts(events) == [" one 8 MB", " two 8 MB", "done"]


def test_what_is_cleared_is_told_before() -> None:
    """At once, also when it stood for no time at all."""
    events = shown((0, f"secret\r\n{PROMPT}clear\r\n{CLEAR}{PROMPT}"), (1, "exit\r\n"))
    assert texts(events) == ["secret", f"{PROMPT}clear", f"{PROMPT}exit"]


def test_what_was_read_and_then_written_over_is_told() -> None:
    """A full-screen program where the terminal has no other screen, as a vt100."""
    page = "\x1b[H{0} of alice\r\n{0} of bob\x1b[24;1Hmenu"
    events = shown(*((4.0 * n, page.format(word)) for n, word in enumerate(("mail", "keys"))))
    assert texts(events) == ["mail of alice", "mail of bob", "keys of alice", "keys of bob", "menu"]


def test_a_full_screen_program_is_its_screens() -> None:
    """Each line once, in the order of the screen; what was on the other screen comes before."""
    events = shown(
        (0, PROMPT),
        (1, "vim notes\r\n"),
        (1.1, f"{ENTER}\x1b[H\x1b[2Jone\r\ntwo\r\n~\r\n~\x1b[24;1H:"),
        (5, "\x1b[1;4H!"),
        (8, "\x1b[2;1Hnew\x1b[3;1Htwo"),
        (11, f"{LEAVE}{PROMPT}"),
        (12, "exit\r\n"),
    )
    told = [f"{PROMPT}vim notes", "one", "two", "~", ":", "one!", "new", f"{PROMPT}exit"]
    assert texts(events) == ["one!" if text == "one" else text for text in told if text != "one!"]


def test_what_flits_by_in_a_full_screen_program_is_not_told() -> None:
    """It was on the screen for a moment only; nobody has read it."""
    events = shown((0, ENTER), *((0.05 * n, f"\x1b[1;1Hpage {n:2}") for n in range(1, 40)))
    assert texts([*events, *shown((5, LEAVE))]) == ["page 39"]


def test_what_scrolls_in_a_full_screen_program_is_told_once() -> None:
    """As in a pager that goes on line by line, or in tmux."""
    first = "".join(f"\x1b[{n};1Hline {n} of text" for n in range(1, 24))
    rest = [(2.0 * n, f"\x1b[24;1H\x1b[Kline {n + 23} of text\r\n:") for n in range(1, 10)]
    told = texts(shown((0, f"{ENTER}{first}\x1b[24;1H:"), *rest, (40, LEAVE)))
    assert sorted(told) == sorted([*(f"line {n} of text" for n in range(1, 33)), ":"])


def test_figures_that_change_for_ever_are_not_told_for_ever() -> None:
    """As `top` for ten hours; that a new program appears is told."""
    rows = [f"{{0}} root 20 0 {{0}}.5 {'kworker' * 5} job-{'x' * n}" for n in range(1, 40)]

    def frame(number: int) -> str:
        drawn = [f"\x1b[{n};1H{row.format(number)}" for n, row in enumerate(rows, 1)]
        new = "\x1b[40;1Hcryptominer" if number > 1500 else ""
        return f"{'' if number else ENTER}{''.join(drawn)}{new}"

    events = (Event(20.0 * n, Code.OUT, frame(n)) for n in range(2000))
    told = texts(events, header(120, 40))
    assert sum(map(len, told)) < 3_000_000
    assert "cryptominer" in told


def test_our_own_lines_are_marked_and_told_once() -> None:
    """A target that prints the same is told as the target."""
    ours = "bastion: recorded as S-31, G-7 until 18:00 UTC"
    events = [
        *said(0, f"{ours}\r\n"),
        *shown((1, PROMPT), (2, "ls")),
        *said(3, "\r\nbastion: this session ends in 5 minutes.\r\n"),
        *shown((4, f"{ours}\r\n")),
    ]
    told = [(line.text, line.place) for line in lines(events)]
    assert told == [
        (ours, Place.BASTION),
        (f"{PROMPT}ls", Place.SCREEN),
        ("bastion: this session ends in 5 minutes.", Place.BASTION),
        (ours, Place.SCREEN),
    ]


def test_our_own_line_in_a_full_screen_program_is_told() -> None:
    """Wherever the cursor was."""
    events = [*shown((0, f"{ENTER}\x1b[5;5Hhello")), *said(2, "\r\nbastion: look out.\r\n")]
    made = lines([*events, *shown((4, LEAVE))])
    assert [(line.text, line.place) for line in made] == [
        ("    hello", Place.SCREEN),
        ("bastion: look out.", Place.BASTION),
    ]


def test_wide_and_combining_characters_are_kept() -> None:
    """Whatever the cells they take."""
    assert texts(shown((0, "日本語テキスト café e\u0301 ✓\r\n"))) == ["日本語テキスト café é ✓"]
