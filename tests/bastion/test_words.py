"""The words that arrive by ssh: apostrophes are apostrophes, quotations are quotations."""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.words import behind_dashes, split

LINES = st.text(alphabet="ab =-'\"\\\té", max_size=40)
WORDS = st.lists(st.text(alphabet="ab =-'\"\\\té$;", max_size=8), max_size=6)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("request web-1 --reason disk is full", "request|web-1|--reason|disk|is|full"),
        ("--reason I can't and won't wait", "--reason|I|can't|and|won't|wait"),
        ("--reason 'disk is full' --for 2h", "--reason|disk is full|--for|2h"),
        ("--reason='disk is full'", "--reason=disk is full"),
        ("--reason \"it's the dogs' bowl\"", "--reason|it's the dogs' bowl"),
        ('say "a \\"b\\" c\\\\"', 'say|a "b" c\\'),
        ("until 'til monday -- echo 'a b'", "until|'til|monday|--|echo|a b"),
        ("-- echo it's \"broken", "--|echo|it's|\"broken"),
        ("5' 6\" tall", "5'|6\"|tall"),
        ("  a \t b\r\n", "a|b"),
        ("a\\ b C:\\temp", "a\\|b|C:\\temp"),
        ("x '' y", "x||y"),
    ],
)
def test_words(line: str, words: str) -> None:
    """Lines as they arrive, and what a person meant by them."""
    assert split(line) == words.split("|")


def test_nothing_has_no_words() -> None:
    """A line of blanks is as good as none."""
    assert split(" \t") == []


@given(words=WORDS)
def test_what_a_program_has_quoted_comes_out_as_it_went_in(words: list[str]) -> None:
    """`shlex.join` and `split` are inverse."""
    assert split(shlex.join(words)) == words


@given(line=LINES)
def test_no_letter_is_lost(line: str) -> None:
    """Whatever is unbalanced: only blanks, marks and backslashes may be taken for something."""
    assert re.sub(r"[\s'\"\\]", "", "".join(split(line))) == re.sub(r"[\s'\"\\]", "", line)


@given(line=st.text(alphabet="ab =-\\\t", max_size=40))
def test_without_marks_it_is_plain_text(line: str) -> None:
    """Then blanks part the words, and nothing else counts."""
    assert split(line) == line.split()


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("request web-1 -- psql -c 'select 1' ", "psql -c 'select 1'"),
        ("request web-1 --reason '--' -- a | b", "a | b"),
        ("request -- ls -- -l", "ls -- -l"),
        ("request --", ""),
        ("request '-- ls'", None),
        ("request web-1", None),
    ],
)
def test_the_command_as_it_was_typed(line: str, command: str | None) -> None:
    """Behind the first bare `--`, with its quotes."""
    assert behind_dashes(line) == command


@pytest.mark.parametrize("piece", ["' ", "'a ", '\\"', "\"\\'", "a'", '" \\\\'])
def test_a_line_of_marks_takes_no_time(piece: str) -> None:
    """The event loop splits the line, so the worst one must not cost more than its length: this one
    is so long that any other growth would go on for minutes."""
    assert split(piece * (500_000 // len(piece)))
