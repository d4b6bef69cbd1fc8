"""The text of a line: what prints, and no more."""

from hypothesis import given
from hypothesis import strategies as st

from recorder.lines import LONGEST, Place, lines_of, offset, printable


def test_what_is_not_seen_is_left_out() -> None:
    """Marks of direction, zero-width characters, control characters; a blank stays one."""
    assert printable("safe\u202etxt.exe\u202c") == "safetxt.exe"
    assert printable("pass\u200bword\u00a0here") == "password here"
    assert printable("a\x00b\x9b31m\ue000") == "a\ufffdb\ufffd31m\ufffd"
    assert printable("one\ttwo\rthree\u2028four") == "one two three four"


def test_characters_are_composed() -> None:
    """So that they are found however they were written."""
    assert printable("cafe\u0301") == "café"


def test_a_long_line_becomes_several() -> None:
    """All of it is kept; a blank one becomes none."""
    made = [line.text for line in lines_of(3.5, "x" * (2 * LONGEST + 1), Place.SCREEN)]
    assert [len(text) for text in made] == [LONGEST, LONGEST, 1]
    assert list(lines_of(3.5, " \t ", Place.SCREEN)) == []


@given(st.text())
def test_whatever_it_was_it_prints(text: str) -> None:
    """And once more changes nothing."""
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(st.floats(allow_nan=False))
def test_a_time_is_one_that_a_session_can_have(time: float) -> None:
    """Whatever a damaged recording says."""
    assert 0 <= offset(time) <= 1e9
