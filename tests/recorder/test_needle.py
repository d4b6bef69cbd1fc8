"""What is looked for, and which lines hold it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.needle import LONGEST, Needle, indexed


def spans(text: str, line: str) -> list[str]:
    """What of the line is found."""
    return [line[start:end] for start, end in Needle(text).spans(line)]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("DROP TABLE", "db=> drop   table users;", ["drop   table"]),
        ("drop table users;", "DROP TABLE users;", ["DROP TABLE users;"]),
        ("/etc/shadow", "cat /etc/shadow /ETC/shadow", ["/etc/shadow", "/ETC/shadow"]),
        ("/etc/shad", "cat /etc/shadow", ["/etc/shad"]),
        ("shad", "/etc/shadow", ["shad"]),
        ("hadow", "/etc/shadow", []),
        ("table", "tables", ["table"]),
        ("rm", "rm -rf; rmdir x; farm", ["rm"]),
        ("rm -rf /", "sudo rm -rf / --no", ["rm -rf /"]),
        ("--force", "git push --force", ["--force"]),
        ("a OR b", "a b", []),
        ('say "no"', 'he said: say "no"!', ['say "no"']),
        ("web-*", "web-1 web-*", ["web-*"]),
        ("ÜBER", "über uns", ["über"]),
        ("cafe\u0301", "café", ["café"]),
        ("語テ", "日本語テキスト", ["語テ"]),
        ("no such", "nosuch", []),
    ],
)
def test_a_line_holds_it_or_not(text: str, line: str, found: list[str]) -> None:
    """By words from their beginning, in whatever case; signs mean themselves."""
    assert spans(text, line) == found


@pytest.mark.parametrize("text", ["", " ", "--", "$@!", '"', "\u202e", "*"])
def test_a_text_of_signs_alone_is_refused(text: str) -> None:
    """An index of words has nothing for it."""
    with pytest.raises(ValueError, match="no letter"):
        Needle(text)


def test_a_text_has_an_end() -> None:
    """As has everything."""
    with pytest.raises(ValueError, match="long"):
        Needle("x" * (LONGEST + 1))


def test_long_words_are_cut_alike() -> None:
    """In the index, and in what is looked for in it."""
    word = "f" * 500
    assert indexed(f"a {word} b") == f"a {'f' * 64} b"
    assert Needle(word).words == "f" * 64
    assert spans(word, f"sum: {word}") == [word]


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_breaks_it(text: str, line: str) -> None:
    """Whatever is looked for, in whatever line."""
    try:
        needle = Needle(text)
    except ValueError:
        return
    for start, end in needle.spans(line):
        assert 0 <= start < end <= len(line)
    assert list(needle.spans(needle.text))
