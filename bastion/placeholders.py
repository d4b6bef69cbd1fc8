"""Placeholders: what may stand in one argument word of a command template. Pure.

Each says which texts it takes, how it is written, and whether another takes all of them too. But
for choices, which are written out, none takes an empty text; and none takes one that begins with
`-` or climbs with `..` unless it is free to, which is written with a `!`.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bastion.patterns import Pattern

LONGEST = 500
"""Characters of a word that is held against a pattern."""

_CLIMBS = re.compile(r"(?<![A-Za-z0-9_.-])\.\.(?![A-Za-z0-9_.-])")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_KIND = re.compile(r"(?:int|path|re!?):")


@dataclass(frozen=True, slots=True)
class OneOf:
    """`{nginx,php-fpm}`: one of several texts, as they are. An empty one is written `''`."""

    words: tuple[str, ...]
    _known: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", frozenset(self.words))

    def __str__(self) -> str:
        return "{" + ",".join(map(_choice, self.words)) + "}"

    def takes(self, text: str, lead: str = "") -> bool:
        """Whether it is one of them."""
        return text in self._known


@dataclass(frozen=True, slots=True)
class Word:
    """`{word}`: any text; `{word!}` where it is `free`."""

    free: bool = False

    def __str__(self) -> str:
        return "{word!}" if self.free else "{word}"

    def takes(self, text: str, lead: str = "") -> bool:
        """Whether it is a text that a placeholder may stand for."""
        return text != "" and (self.free or not escapes(text, lead))


@dataclass(frozen=True, slots=True)
class Matching:
    """`{re:[a-z0-9-]{1,32}}`: what the pattern matches as a whole; `{re!:…}` where it is `free`."""

    pattern: Pattern
    free: bool = False

    def __str__(self) -> str:
        return f"{{re{'!' if self.free else ''}:{self.pattern}}}"

    def takes(self, text: str, lead: str = "") -> bool:
        """Whether the pattern matches; it is not tried on a very long text."""
        if not 0 < len(text) <= LONGEST or not self.pattern.matches(text):
            return False
        return self.free or not escapes(text, lead)


@dataclass(frozen=True, slots=True)
class Below:
    """`{path:/var/log}`: an absolute, normal path below that directory."""

    directory: str

    def __str__(self) -> str:
        return f"{{path:{shlex.quote(self.directory)}}}"

    def takes(self, text: str, lead: str = "") -> bool:
        """Whether it is below, by its text: what is a link on the target, nobody here knows."""
        stem = self.stem
        if not text.startswith(stem) or escapes(text, lead):
            return False
        return {"", ".", ".."}.isdisjoint(text[len(stem) :].split("/"))

    def around(self, other: "Below") -> bool:
        """Whether the other directory is this one, or below it."""
        return other.stem.startswith(self.stem)

    @property
    def stem(self) -> str:
        """The directory with its slash."""
        return self.directory.rstrip("/") + "/"


@dataclass(frozen=True, slots=True)
class Number:
    """`{int:1-1000}`: a whole number in the range, in decimal digits without leading zeros."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{{int:{self.low}-{self.high}}}"

    def takes(self, text: str, lead: str = "") -> bool:
        """Whether it is one of them, written in the one way."""
        return _NUMBER.fullmatch(text) is not None and self.low <= int(text) <= self.high


Placeholder: TypeAlias = OneOf | Word | Matching | Below | Number


@dataclass(frozen=True, slots=True)
class Literal:
    """A word that is written out."""

    word: str

    def __str__(self) -> str:
        return shlex.quote(self.word)

    @property
    def test(self) -> Callable[[str], bool]:
        """The same as `takes`, the shortest way."""
        return self.word.__eq__

    def takes(self, word: str) -> bool:
        """Whether it is this word."""
        return word == self.word


@dataclass(frozen=True, slots=True)
class Open:
    """A word that ends in a placeholder, behind a beginning that is written out or empty."""

    before: str
    what: Placeholder
    _dots: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_dots", trailing_dots(self.before))

    def __str__(self) -> str:
        return (shlex.quote(self.before) if self.before else "") + str(self.what)

    @property
    def test(self) -> Callable[[str], bool]:
        """The same as `takes`, the shortest way."""
        return self.takes if self.before else self.what.takes

    def takes(self, word: str) -> bool:
        """Whether the placeholder may stand for the rest of `word`."""
        return word.startswith(self.before) and self.what.takes(
            word[len(self.before) :], self._dots
        )


Part: TypeAlias = Literal | Open


def texts(part: Part) -> Sequence[str] | None:
    """All words that it takes, where they are written out."""
    if isinstance(part, Literal):
        return (part.word,)
    if isinstance(part.what, OneOf):
        return tuple(part.before + word for word in part.what.words)
    return None


def escapes(text: str, lead: str = "") -> bool:
    """Whether a text begins with `-`, or climbs: has a `..` that is no part of a longer name.

    `lead` are the dots right before it: together they may climb.
    """
    return text[:1] == "-" or climbs(text) or (lead != "" and climbs(lead + text))


def climbs(text: str) -> bool:
    """Whether it has a `..` between signs that no name has."""
    return ".." in text and _CLIMBS.search(text) is not None


def trailing_dots(text: str) -> str:
    """The dots at its end."""
    return text[len(text.rstrip(".")) :]


def within(narrow: Part, wide: Part) -> bool:
    """Whether `wide` takes all words that `narrow` does. A yes is certain, a no may not be."""
    written_out = texts(narrow)
    if written_out is not None:
        return all(map(wide.takes, written_out))
    if isinstance(narrow, Literal) or isinstance(wide, Literal):
        return False
    if narrow.before == wide.before:
        return _stands_within(narrow.what, wide.what)
    return _longer_within(narrow, wide)


def _stands_within(narrow: Placeholder, wide: Placeholder) -> bool:
    """The same for what stands behind the same beginning; `narrow` is not written out."""
    match narrow, wide:
        case Below(), Below():
            return wide.around(narrow)
        case Number(), Number():
            return wide.low <= narrow.low and narrow.high <= wide.high
        case Matching(), Matching():
            return narrow.pattern == wide.pattern and _free(narrow) <= _free(wide)
        case _, Word():
            return _free(narrow) <= wide.free
    return False


def _longer_within(narrow: Open, wide: Open) -> bool:
    """`/srv/{int:1-9}` within `/{word}`: the longer beginning must itself be no escape."""
    if not narrow.before.startswith(wide.before) or not isinstance(wide.what, Word):
        return False
    between = narrow.before[len(wide.before) :]
    dots = wide.before.endswith(".") or narrow.before.endswith(".")
    return wide.what.free or not (dots or _free(narrow.what) or escapes(between))


def _free(what: Placeholder) -> bool:
    return isinstance(what, Word | Matching) and what.free


def _choice(word: str) -> str:
    """In quotes also where a comma or a kind of placeholder would be read otherwise."""
    quoted = shlex.quote(word)
    plain = quoted == word and "," not in word and _KIND.match(word) is None
    return quoted if plain or quoted != word else f"'{word}'"
