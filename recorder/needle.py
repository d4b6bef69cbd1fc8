"""What is looked for in transcripts: a text, and the lines that it is in. Pure.

A line is found when it holds the text, whatever the case of its letters and however many blanks
are between its words. An index of words finds candidates, so the text has to begin where a word
begins; its last word may go on, from three letters on: `/etc/shad` finds `/etc/shadow`, and
`hadow` does not. Signs mean themselves, all of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from recorder.lines import printable

LONGEST: Final = 1000
"""Characters that can be looked for."""

BEGINNING: Final = 3
"""Letters that the last word needs for being the beginning of a longer one."""

BETWEEN: Final = "\ue000"
"""A word of its own between two lines, so that nothing is found across them; it prints nowhere."""

_LONGEST_WORD = 64
_LONG_WORD = re.compile(rf"[^\W_]{{{_LONGEST_WORD + 1},}}")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Characters of scripts that put no blanks between words: each is taken for one."""


@dataclass(frozen=True)
class Needle:
    """A text to look for. Raises ValueError where nothing in it is a letter or a digit."""

    text: str

    def __post_init__(self) -> None:
        text = " ".join(printable(self.text).split())
        if not any(c.isalnum() for c in text):
            raise ValueError("there is no letter and no digit in it")
        if len(text) > LONGEST:
            raise ValueError(f"it is over {LONGEST} characters long")
        object.__setattr__(self, "text", text)

    @property
    def words(self) -> str:
        """The text as `indexed` has the lines."""
        return indexed(self.text)

    @property
    def goes_on(self) -> bool:
        """Whether the last word may be the beginning of a longer one."""
        last = self.text[-BEGINNING:]
        return len(last) == BEGINNING and last.isalnum()

    def may_be_in(self, line: str) -> bool:
        """Whether it is worth looking for it in a line: that is fast."""
        return not (line.isascii() and self.text.isascii()) or self._first in line.lower()

    def spans(self, line: str) -> Iterator[tuple[int, int]]:
        """Where in a line it is: from, until."""
        return (found.span() for found in self._pattern.finditer(line))

    @cached_property
    def _first(self) -> str:
        return self.text.partition(" ")[0].lower()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = r"\s+".join(re.escape(word) for word in self.text.split(" "))
        before = r"(?<![^\W_])" if _is_spaced(self.text[0]) else ""
        behind = r"(?![^\W_])" if _is_spaced(self.text[-1]) and not self.goes_on else ""
        return re.compile(f"{before}{words}{behind}", re.IGNORECASE)


def _is_spaced(character: str) -> bool:
    """Whether it is of a word that ends where another begins."""
    return character.isalnum() and _UNSPACED.match(character) is None


def indexed(text: str) -> str:
    """Text as an index of words takes it: long words cut, scripts without blanks taken apart."""
    if not text.isascii():
        text = _UNSPACED.sub(r" \g<0> ", text)
    if max(map(len, text.split()), default=0) <= _LONGEST_WORD:
        return text
    return _LONG_WORD.sub(lambda found: found[0][:_LONGEST_WORD], text)
