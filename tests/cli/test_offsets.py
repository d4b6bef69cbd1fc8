"""Points in a session, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from cli.offsets import parse_offset, shown_offset


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:03:12", 192),
        ("3:12", 192),
        ("75:00", 4500),
        ("26:00:01.5", 93_601.5),
        ("90s", 90),
        ("2m", 120),
        ("12.5", 12.5),
        ("0", 0),
    ],
)
def test_a_point_is_read(text: str, seconds: float) -> None:
    """As a clock has it, as a duration, in bare seconds."""
    assert parse_offset(text) == seconds


@pytest.mark.parametrize("text", ["", ":", "1:60:00", "1:2", "-1", "nan", "inf", "1:02:03:04", "x"])
def test_what_is_none_is_refused(text: str) -> None:
    """With a sentence."""
    with pytest.raises(BadInput):
        parse_offset(text)


@given(st.floats(0, 1e8))
def test_what_is_shown_is_read(seconds: float) -> None:
    """As the full second before it."""
    assert parse_offset(shown_offset(seconds)) == int(seconds)
