"""The screen filter: what draws goes through, what could harm a reviewer does not."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.screen_filter import RESET, ScreenFilter

# What may leave the filter, written anew and more plainly than in the filter.
HARMLESS = re.compile(
    r"(?:[^\x00-\x07\x10-\x1f\x7f-\x9f]"
    r"|\x1b\[[\d;:]*m"
    r"|\x1b\[[\d;]*[A-IZ`adefJKLMP@XSTbrg]|\x1b\[\?[0-3]?[JK]|\x1b\[[su]|\x1b\[4[hl]|\x1b\[!p"
    r"|\x1b\[\?(?:(?:5|6|7|12|25|47|1047|1048|1049);?)+[hl]"
    r"|\x1b[78DEHM]|\x1b[()*+][0AB])*"
)

pieces = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            "\x1b \x1b[ \x1b] \x1bP \x9b \x9d \x90 \x07 \x1b\\ \x9c ? ; 0 1 2 52;c;aGk= 4 25 1049 "
            "h l m n c t q r i p u s $ ! > = # ( B [ ] k \x18 \x1a \x05 \n \r".split(" ")
        ),
    ),
    max_size=30,
)


def filtered(*parts: str) -> str:
    screen = ScreenFilter()
    return "".join(screen.feed(part) for part in parts)


@given(pieces)
@example(["\x1b[", "6n"])
@example(["\x1b", "]0;title\x07"])
@example(["\x9b6n"])
def test_nothing_but_drawing_ever_leaves(parts: list[str]) -> None:
    """For any input, what goes out is text and drawing sequences, each of them whole."""
    assert HARMLESS.fullmatch(filtered(*parts))


@given(pieces)
@example(["\x1b[1", "2", ";5H"])
@example(["\x1b[" + "1;" * 150, "m"])
def test_it_does_not_matter_how_the_stream_is_cut(parts: list[str]) -> None:
    """One piece, these pieces or single characters: the same comes out."""
    whole = "".join(parts)
    assert filtered(*parts) == filtered(whole) == filtered(*whole)


@given(pieces)
def test_what_came_through_comes_through_again(parts: list[str]) -> None:
    """Filtering twice is filtering once."""
    once = filtered(*parts)
    assert filtered(once) == once


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
def test_plain_text_is_left_alone(text: str) -> None:
    """Printable text, in any language, is not touched."""
    assert filtered(text) == text


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[1;31m",
        "\x1b[38:2::10:20:30m",
        "\x1b[m",
        "\x1b[12;40H",
        "\x1b[2J",
        "\x1b[?25l",
        "\x1b[?1049h",
        "\x1b[3;20r",
        "\x1b[4h",
        "\x1b[5@",
        "\x1b[10b",
        "\x1b7\x1b8",
        "\x1b(0lqk\x1b(B",
        "\x1bM",
        "a\tb\bc\r\n\v\f",
        "\x1b[!p",
    ],
)
def test_what_programs_draw_with_is_let_through(sequence: str) -> None:
    """vim, less, top and progress bars look as they did."""
    assert filtered(sequence) == sequence


@pytest.mark.parametrize(
    ("what", "sequence"),
    [
        ("title", "\x1b]0;rm -rf /\x07"),
        ("title, ended by ST", "\x1b]2;x\x1b\\"),
        ("title in 8 bits", "\x9d0;x\x9c"),
        ("clipboard", "\x1b]52;c;cm0gLXJmIC8K\x07"),
        ("hyperlink", "\x1b]8;;file:///etc/passwd\x07"),
        ("screen's title", "\x1bktitle\x1b\\"),
        ("DECRQSS", "\x1bP$qm\x1b\\"),
        ("sixel", "\x1bPq#0;2;0;0;0#0~~@@\x1b\\"),
        ("APC", "\x1b_Gf=24;AAAA\x1b\\"),
        ("PM", "\x1b^x\x1b\\"),
        ("SOS", "\x1bXx\x1b\\"),
        ("device attributes", "\x1b[c\x1b[>c\x1b[=c\x1bZ"),
        ("cursor position report", "\x1b[6n\x1b[?6n"),
        ("window operations", "\x1b[21t\x1b[8;1;1t\x1b[3;0;0t"),
        ("DECRQM", "\x1b[?1049$p\x1b[4$p"),
        ("ENQ", "\x05"),
        ("bell", "\x07"),
        ("8-bit report", "\x9b6n"),
        ("media copy", "\x1b[5i\x1b[?5i"),
        ("mouse", "\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1006h"),
        ("highlight tracking", "\x1b[1;1;1;1;1T"),
        ("bracketed paste", "\x1b[?2004h"),
        ("application keys", "\x1b[?1h\x1b="),
        ("keyboard lock", "\x1b[2h"),
        ("kitty keyboard", "\x1b[>1u\x1b[?u\x1b[=1;1u"),
        ("modifyOtherKeys", "\x1b[>4;2m\x1b[?4m"),
        ("132 columns", "\x1b[?3h"),
        ("leaving UTF-8", "\x1b%@"),
        ("repeat for ever", "\x1b[99999999b"),
        ("checksum", "\x1b[1;1;1;1;1;1*y"),
        ("user keys", "\x1bP1;1|17/0a\x1b\\"),
        ("test pattern", "\x1b#8"),
        ("locking shifts", "\x1bn\x1bo\x1b|\x1b}\x1b~"),
        ("control characters", "\x00\x01\x02\x03\x04\x06\x11\x13\x7f\x84\x85\x8d"),
    ],
)
def test_what_could_harm_is_dropped(what: str, sequence: str) -> None:
    """Nothing that answers, names, prints, copies or changes the keyboard gets through."""
    assert filtered(f"<{sequence}>") == "<>", what


def test_of_several_modes_the_drawing_ones_are_kept() -> None:
    """A program that sets the alternate screen and the mouse in one breath draws all the same."""
    assert filtered("\x1b[?1049;1000;25h") == "\x1b[?1049;25h"


def test_a_full_reset_clears_the_screen_only() -> None:
    """`reset` and `tput reset` look as they did, and do not touch the terminal's settings."""
    assert filtered("\x1bc") == "\x1b[!p\x1b[H\x1b[2J"


def test_an_unfinished_title_ends_at_the_next_escape() -> None:
    """A string without its end does not swallow the rest of the recording."""
    assert filtered("a\x1b]0;never ended\x1b[31mred") == "a\x1b[31mred"


def test_little_is_held_back() -> None:
    """An endless sequence is given up: what is kept does not grow."""
    screen = ScreenFilter()
    shown = screen.feed("\x1b[" + "1" * 100_000)
    assert shown == "[" + "1" * 100_000
    assert screen.feed("m") == "m"


def test_hostile_repetition_leaves_nothing() -> None:
    """Hundreds of thousands of beginnings without an end are gone through once, and dropped."""
    assert HARMLESS.fullmatch(filtered("\x1b[" * 200_000 + "\x1b]" * 200_000))
    assert filtered("\x1b]" * 200_000 + "\x9b" * 200_000) == ""


def test_the_reset_leaves_a_usual_terminal() -> None:
    """The end of a replay shows the cursor, leaves the alternate screen and takes colours off."""
    for sequence in ("\x1b[?1049l", "\x1b[0m", "\x1b[?25h", "\x1b[r"):
        assert sequence in RESET
