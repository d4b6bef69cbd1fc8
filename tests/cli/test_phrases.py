"""Phrases: options in several words, as ssh hands them over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.phrases import gathered

PHRASES = {"--reason", "--command"}
OPTIONS = PHRASES | {"--for", "--shell"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("web-1 --reason disk full --for 2h", ["web-1", "--reason=disk full", "--for", "2h"]),
        ("--reason disk full", ["--reason=disk full"]),
        ("--reason it's full", ["--reason=it's full"]),
        ("--reason=disk full --for=2h", ["--reason=disk full", "--for=2h"]),
        ("--reason take --from the list", ["--reason=take --from the list"]),
        ("--reason a -- b --for c", ["--reason=a", "--", "b", "--for", "c"]),
        ("--reason --for 2h", ["--for", "2h"]),
        ("--reason", []),
        ("--reason= --shell", ["--reason=", "--shell"]),
        ("--command uptime -p --command id", ["--command=uptime -p", "--command=id"]),
        ("web-1 -- --reason x", ["web-1", "--", "--reason", "x"]),
    ],
)
def test_a_phrase_runs_to_the_next_option(line: str, words: list[str]) -> None:
    """Of this verb: another word with dashes belongs to it."""
    assert gathered(line.split(), PHRASES, OPTIONS) == words


@given(st.lists(st.sampled_from(["--reason", "--for", "--shell", "--", "a", "b c", "--x", "-y"])))
def test_no_word_is_lost_but_an_option_that_says_nothing(words: list[str]) -> None:
    """Taken apart again, it is what it was."""
    apart = " ".join(gathered(words, PHRASES, OPTIONS)).replace("=", " ").split()
    whole = " ".join(words).split()
    silent = whole.count("--reason") - apart.count("--reason")
    assert [word for word in apart if word != "--reason"] == [
        word for word in whole if word != "--reason"
    ]
    assert silent >= 0


@given(st.lists(st.sampled_from(["--for", "--shell", "a", "--x", "-y"])))
def test_what_has_no_phrase_stays_as_it_is(words: list[str]) -> None:
    """Other options are the parser's."""
    assert gathered(words, PHRASES, OPTIONS) == words
