"""Phrases: what an option takes in several words, put together again. Pure.

ssh joins its words with blanks and drops their quotes, so `--reason 'disk full'` arrives as three
words. A phrase runs to the next option of its verb, or to `--`.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

END = "--"


def gathered(
    words: Sequence[str], phrases: AbstractSet[str], options: AbstractSet[str]
) -> list[str]:
    """The same with one word for each phrase: `phrases` are the options that take one.

    A word that only looks like an option belongs to the phrase. An option without a phrase behind
    it is left out, so that it counts as missing, and takes no other for its own.
    """
    return list(_gathered(words, phrases, options))


def _gathered(
    words: Sequence[str], phrases: AbstractSet[str], options: AbstractSet[str]
) -> Iterator[str]:
    at = 0
    while at < len(words):
        name, equals, first = words[at].partition("=")
        end = at + 1
        if words[at] == END:
            end = len(words)
            yield from words[at:end]
        elif name not in phrases:
            yield words[at]
        else:
            while end < len(words) and not _ends(words[end], options):
                end += 1
            parts = ([first] if equals else []) + list(words[at + 1 : end])
            if parts:
                yield f"{name}={' '.join(parts)}"
        at = end


def _ends(word: str, options: AbstractSet[str]) -> bool:
    return word == END or word.partition("=")[0] in options
