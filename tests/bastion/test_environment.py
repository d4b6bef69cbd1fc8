"""What of a client's environment reaches a target."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.environment import NAMES, is_terminal_type, permitted


def test_a_locale_goes_up() -> None:
    """What OpenSSH sends by Debian's `SendEnv LANG LC_*` arrives."""
    asked = {b"LANG": b"de_CH.UTF-8", b"LC_ALL": b"C.UTF-8", b"LC_TIME": b"sr_RS@latin"}
    assert permitted(asked) == asked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"LD_PRELOAD", b"x.so"),
        (b"PATH", b"bin"),
        (b"BASH_ENV", b"rc"),
        (b"LC_EVIL", b"C"),
        (b"lang", b"C"),
        (b"LC_ALL", b"../../tmp/locale"),
        (b"LC_ALL", b"a b"),
        (b"LC_ALL", b"C\n"),
        (b"LC_ALL", b""),
        (b"LANG", b"C" * 65),
    ],
)
def test_everything_else_stays_behind(name: bytes, value: bytes) -> None:
    """Other names, and values that are more than a plain word."""
    assert permitted({name: value}) == {}


@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=80)))
def test_what_goes_up_was_asked_for_and_is_listed(asked: dict[bytes, bytes]) -> None:
    """Nothing is made up, and no value can be a path or hold a control character."""
    passed = permitted(asked)
    assert passed.items() <= asked.items()
    assert passed.keys() <= NAMES
    assert not any(set(value) & set(b"/\\ \t\r\n\x00$`;") for value in passed.values())


def test_terminal_types() -> None:
    """Names as terminfo has them; no escape, no path."""
    assert all(map(is_terminal_type, ["", "xterm-256color", "screen.xterm-new", "rxvt+pcfkeys"]))
    assert not any(map(is_terminal_type, ["xterm\x1b[2J", "../x", "a b", "x" * 65, "é"]))
