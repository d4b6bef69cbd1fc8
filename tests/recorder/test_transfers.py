"""The line of a file that went over: readable, one line, and nothing for a terminal to act on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import DONE, Direction, FileEvent, shown


def test_a_line_reads_like_what_was_typed() -> None:
    """Operation, path, size in groups of three, hash."""
    event = FileEvent("get", b"/var/log/app.log", None, Direction.READ, 12345, "ab" * 32, DONE)
    assert event.line() == "get /var/log/app.log 12 345 bytes sha256 " + "ab" * 32


def test_what_went_wrong_stands_at_the_end() -> None:
    """The result is told only when it is not the one that was hoped for."""
    event = FileEvent("put", b"/etc/x", None, Direction.WRITE, 0, None, "not\x1b]0;x granted")
    assert event.line() == "put /etc/x 0 bytes: not\\x1b]0;x granted"
    assert FileEvent("rename", b"/a", b"/b c", None, 0, None, DONE).line() == 'rename /a to "/b c"'


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/a/\xff\x1b[2J\n", "/a/\\xff\\x1b[2J\\n"),
        ("/é".encode(), "/é"),
        (b"/\x85", "/\\x85"),
        ("/\x85".encode(), "/\\u0085"),
        (b"/a b", '"/a b"'),
        (b"", '""'),
        (b"/a\\x1b", "/a\\\\x1b"),
        ("/\u202egnp".encode(), "/\\u202egnp"),
    ],
)
def test_a_path_is_shown_in_one_way(path: bytes, text: str) -> None:
    """Escapes, bytes that are no UTF-8, blanks and backslashes can all be told apart."""
    assert shown(path) == text


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_two_paths_never_look_alike(one: bytes, two: bytes) -> None:
    """What is shown prints, and has one meaning."""
    assert shown(one).isprintable()
    assert (shown(one) == shown(two)) is (one == two)
