"""Patterns: what Python's `re` says about the same text, in bounded time."""

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.patterns import LIMIT, Pattern

atoms = st.sampled_from(
    ["a", "b", "-", "[ab]", "[^a]", "[]a]", ".", r"\d", r"\.", r"\W", "[a-c]", " "]
)
times = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0}", "{1,}", "{0,2}", "{1,3}"])
pieces = st.recursive(
    st.builds("{}{}".format, atoms, times),
    lambda inner: st.builds(
        "{}{}){}".format,
        st.sampled_from(["(", "(?:"]),
        st.lists(st.lists(inner, max_size=3).map("".join), min_size=1, max_size=3).map("|".join),
        times,
    ),
    max_leaves=3,  # `re` takes years for some that are nested deeper
)
bodies = st.lists(pieces, max_size=4).map("".join)
patterns = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "(?i)"]),
    st.sampled_from(["", "^"]),
    bodies,
    st.sampled_from(["", "$"]),
)
texts = st.text("abcAB-. 1]", max_size=5)


@given(pattern=patterns, text=texts)
@settings(max_examples=500)
@example("(a*)*", "")
@example("(a{0}|b)*", "bb")
@example("^", "a")
@example("(?:)$", "a")
def test_it_says_what_re_says(pattern: str, text: str) -> None:
    """About the whole text, and about a part of it."""
    try:
        ours = Pattern(pattern)
    except BadInput:
        assert len(pattern) > LIMIT
        return
    theirs = re.compile(pattern)
    assert ours.matches(text) == (theirs.fullmatch(text) is not None)
    assert ours.found_in(text) == (theirs.search(text) is not None)


@given(text=st.text(r"ab01()[]{}|*+?.^$\,-dwsDW:i!<>=&~# ", max_size=14))
@settings(max_examples=1000)
@example("[a--b]")
@example("[[a]]")
@example("a{2}{3}")
@example("a+?")
def test_any_text_is_a_pattern_or_a_sentence(text: str) -> None:
    """What is taken means what it means to `re`; the rest is refused, never another exception."""
    try:
        ours = Pattern(text)
    except BadInput as error:
        said = str(error)
        assert said.endswith((".", "sign."))
        assert said.isprintable()
        return
    theirs = re.compile(text)
    for sample in ("", "a", "b", "ab", "a0", "ba-1", "01", "\\", "()", "a b"):
        assert ours.matches(sample) == (theirs.fullmatch(sample) is not None)
        assert ours.found_in(sample) == (theirs.search(sample) is not None)


@pytest.mark.parametrize(
    ("pattern", "text", "whole", "part"),
    [
        ("OPS-[0-9]+", "OPS-17", True, True),
        ("OPS-[0-9]+", "see OPS-17", False, True),
        ("OPS-[0-9]+", "OPS-", False, False),
        ("^(INC|CHG)[0-9]{7}$", "CHG0012345", True, True),
        ("(?i)ops-.*", "Ops-x", True, True),
        (".{10,}", "too short", False, False),
        (".{10,}", "long enough", True, True),
        ("ä|ß", "ß", True, True),
    ],
)
def test_what_operators_write(pattern: str, text: str, whole: bool, part: bool) -> None:
    """Tickets and reasons."""
    assert Pattern(pattern).matches(text) is whole
    assert Pattern(pattern).found_in(text) is part


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "a*a*a*a*a*a*b", "(.*)*x", ".{0,300}y"])
def test_no_text_takes_long(pattern: str) -> None:
    """What would hold up `re` for years is answered at once."""
    read, begun = Pattern(pattern), time.process_time()
    assert not read.found_in("a" * 499 + "!")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "a ( without its )"),
        ("a)", "can't be read from ')' on, at character 2"),
        ("[a", "can't be read from '[a' on, at character 1"),
        ("*a", "can't be read from '*a' on"),
        ("a**", "can't be read from '*' on, at character 3"),
        ("(?=a)", "can't be read from '(?=' on"),
        ("(?P<x>a)", "can't be read from '(?P' on"),
        (r"(a)\1", r"can't be read from '\\1' on"),
        (r"\bword", r"can't be read from '\\bw' on"),
        ("a{3,2}", "the first number is the larger one"),
        ("a{x}", "can't be read from '{x}' on, at character 2"),
        ("[z-a]", "bad character range z-a"),
        ("^a|b", "put ( ) around the choice"),
        ("a|b$", "put ( ) around the choice"),
        ("a$b", "can't be read from '$b' on"),
        ("((a{99}){99}){99}", "repeats too much"),
        (".{999}.{999}", "repeats too much"),
        ("(" * 30 + ")" * 30, "too many ( within one another"),
        ("a" * 201, "has 201 characters; at most 200"),
        ("\\", "can't be read from"),
        ("a\nb", "a character that does not show"),
        ("\x1b[2J", "a character that does not show"),
    ],
)
def test_what_can_be_wrong(pattern: str, said: str) -> None:
    """One sentence that says where."""
    with pytest.raises(BadInput) as refusal:
        Pattern(pattern)
    assert said in str(refusal.value)


def test_patterns_are_values() -> None:
    """Alike by their text."""
    assert Pattern("a") == Pattern("a") != Pattern("b")
    assert len({Pattern("a"), Pattern("a")}) == 1
    assert str(Pattern("a+")) == "a+"
