"""Lexemes: the words of lines as an index without positions keeps them. Pure.

Each word, and each two that stand beside each other in a line as one, `drop table`: so a phrase of
three words is looked for as two pairs, and hardly anything else is found. What is looked for may go
on in its last word, as `needle` has it.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from recorder.needle import Needle, indexed

_WORD = re.compile(r"[^\W_]+")


def lexemes(lines: Iterable[str]) -> set[str]:
    """Those of all these lines."""
    found: set[str] = set()
    for line in lines:
        words = _words(line)
        found.update(words)
        found.update(_pairs(words))
    return found


def looked_for(needle: Needle, about: Iterable[str] = ()) -> str:
    """What has to be among a chunk's lexemes, as PostgreSQL's `tsquery` has it.

    `about` are words that have to be there as well. Nothing in it is of the query's language: words
    are letters and digits.
    """
    words = _words(needle.text)
    wanted = list(_pairs(words)) if len(words) > 1 else words
    *others, last = [f"'{each}'" for each in wanted]
    if needle.goes_on:
        last += ":*"
    return " & ".join([*others, last, *(f"'{each}'" for each in about)])


def _words(line: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(indexed(line))]


def _pairs(words: list[str]) -> Iterator[str]:
    return (f"{one} {other}" for one, other in pairwise(words))
