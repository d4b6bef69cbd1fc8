"""Patterns that a text has to match: a small part of regular expressions, in bounded time.

An operator writes them, whoever asks writes the text: with Python's own `re` a pattern such as
`(a+)+$` would let anybody hold up the whole process with one reason. Here all ways through a
pattern are followed at once, one character after the other (Thompson, CACM 11(6), 1968).

Taken are characters, `.`, `[…]`, `\\d \\w \\s` and their capitals, `|`, `( )`, `(?: )`, and
`* + ? {m} {m,} {m,n}`; `^` and `$` at the two ends; `(?i)` at the start. Refused is what needs to
look back or ahead.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bastion.errors import BadInput

LIMIT = 200
"""The longest pattern, in characters."""

PLACES = 2000
"""How large a pattern may be once its repetitions are written out."""

REMEMBERED = 20_000
"""Places that a pattern keeps of where characters lead, before it begins to learn anew."""

_ATOM = re.compile(
    r"\\[dDwWsS]|\\[^a-zA-Z0-9\n]|\.|\[\^?\]?(?:\\[^\n]|[^\]\[\\\n])*\]|[^\\.\[\](){}|*+?^$\n]"
)
_PLAIN = re.compile(r"[A-Za-z0-9_/@%:, -]*(?![*+?{])")
_TIMES = re.compile(r"\*|\+|\?|\{([0-9]{1,3})(?:(,)([0-9]{0,3}))?\}")

_Test = Callable[[str], object]


@dataclass(slots=True)
class _Step:
    """A place in a pattern: what may be read here, and where else one is at once."""

    test: _Test | None = None
    after: list[int] = field(default_factory=list)


class _At(dict[str, "_At"]):
    """All places that one is at, and where single characters lead; what is missing is learnt."""

    __slots__ = ("_learn", "places")

    def __init__(self, places: frozenset[int], learn: Callable[["_At", str], "_At"]) -> None:
        super().__init__()
        self.places = places
        self._learn = learn

    def __missing__(self, character: str) -> "_At":
        return self._learn(self, character) if self.places else self


class Pattern:
    """A pattern that was read. Raises BadInput, saying what can't be taken, and where."""

    def __init__(self, text: str) -> None:
        if len(text) > LIMIT:
            raise BadInput(f"The pattern has {len(text)} characters; at most {LIMIT} are read.")
        if not text.isprintable():
            raise BadInput("The pattern has a character that does not show: write plain text.")
        self.text = text
        reader = _Reader(text)
        self._first, self._last = reader.read()
        self._steps = reader.steps
        self._from_start, self._to_end = reader.from_start, reader.to_end
        self._beginning = _beginning(text)
        self._forget()

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def matches(self, text: str) -> bool:
        """Whether it is the whole of `text`."""
        if not text.startswith(self._beginning):
            return False
        at, nowhere = self._start, self._nowhere
        for character in text:
            at = at[character]
            if at is nowhere:
                return False
        return self._last in at.places

    def found_in(self, text: str) -> bool:
        """Whether it is somewhere in `text`; with `^` at the start, with `$` at the end."""
        at = self._reached([self._first])
        for character in text:
            if self._last in at and not self._to_end:
                return True
            at = self._next(at, character)
            if not self._from_start:
                at |= self._reached([self._first])
        return self._last in at

    def _learnt(self, at: _At, character: str) -> _At:
        """Where a character leads, kept for the next time: a text is mostly like one before."""
        places = self._next(at.places, character)
        self._kept += len(places) + 1
        if self._kept > REMEMBERED:
            self._forget()
        known = self._known.setdefault(places, _At(places, self._learnt))
        at[character] = known
        return known

    def _forget(self) -> None:
        self._start = _At(self._reached([self._first]), self._learnt)
        self._nowhere = _At(frozenset(), self._learnt)
        self._known = {at.places: at for at in (self._start, self._nowhere)}
        self._kept = 0

    def _next(self, at: frozenset[int], character: str) -> frozenset[int]:
        steps = (self._steps[number] for number in at)
        read = [
            place for step in steps if step.test and step.test(character) for place in step.after
        ]
        return self._reached(read)

    def _reached(self, places: Iterable[int]) -> frozenset[int]:
        """The places, and all that one is at without reading anything more."""
        found: set[int] = set()
        waiting = list(places)
        while waiting:
            place = waiting.pop()
            if place not in found:
                found.add(place)
                step = self._steps[place]
                if step.test is None:
                    waiting.extend(step.after)
        return frozenset(found)


class _Reader:
    """Reads a pattern once for each time that a part of it is repeated."""

    def __init__(self, text: str) -> None:
        self.steps: list[_Step] = []
        self._flags = re.IGNORECASE if text.startswith("(?i)") else re.RegexFlag(0)
        self._text = text
        self._at = 4 if self._flags else 0
        self.from_start = self._taken("^")
        self.to_end = False

    def read(self) -> tuple[int, int]:
        """The first place and the last, of the whole pattern."""
        first, last = self._choice(0)
        if self._at < len(self._text):
            raise self._refused()
        return first, last

    def _taken(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _place(self, test: _Test | None = None) -> int:
        if len(self.steps) >= PLACES:
            raise BadInput("The pattern repeats too much: write smaller numbers between { }.")
        self.steps.append(_Step(test))
        return len(self.steps) - 1

    def _join(self, before: int, after: int) -> None:
        self.steps[before].after.append(after)

    def _choice(self, depth: int) -> tuple[int, int]:
        first, last = self._place(), self._place()
        sides, more = 0, True
        while more:
            begin, end = self._sequence(depth)
            self._join(first, begin)
            self._join(end, last)
            more = self._taken("|")
            sides += 1
        if sides > 1 and depth == 0 and (self.from_start or self.to_end):
            raise BadInput("^ and $ beside | mean one side only: put ( ) around the choice.")
        return first, last

    def _sequence(self, depth: int) -> tuple[int, int]:
        first = last = self._place()
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if depth == 0 and self._text[self._at :] == "$":
                self.to_end = self._taken("$")
                break
            begin, end = self._repeated(depth)
            self._join(last, begin)
            last = end
        return first, last

    def _repeated(self, depth: int) -> tuple[int, int]:
        start = self._at
        begin, end = self._one(depth)
        times = _TIMES.match(self._text, self._at)
        if times is None:
            return begin, end
        stop = times.end()
        if self._text[stop : stop + 1] in {"*", "+", "?"} or _TIMES.match(self._text, stop):
            self._at = stop
            raise self._refused()
        least, most = _bounds(times)
        pieces = [(begin, end)]
        for _ in range(max(least, most or 1, 1) - 1):
            self._at = start
            pieces.append(self._one(depth))
        self._at = stop
        return self._chain(pieces, least, most)

    def _chain(
        self, pieces: list[tuple[int, int]], least: int, most: int | None
    ) -> tuple[int, int]:
        """The pieces one after the other: all but `least` may be left out, the last repeated."""
        first, last = self._place(), self._place()
        at = first
        for number, (begin, end) in enumerate(pieces):
            if number >= least:
                self._join(at, last)
            self._join(at, begin)
            at = end
        if most is None:
            self._join(at, pieces[-1][0])
        if most != 0:
            self._join(at, last)
        return first, last

    def _one(self, depth: int) -> tuple[int, int]:
        if depth > 20:
            raise BadInput("The pattern has too many ( within one another.")
        if self._taken("(?:") or (self._text[self._at : self._at + 2] != "(?" and self._taken("(")):
            begin, end = self._choice(depth + 1)
            if not self._taken(")"):
                raise BadInput("The pattern has a ( without its ).")
            return begin, end
        atom = _ATOM.match(self._text, self._at)
        if atom is None:
            raise self._refused()
        self._at = atom.end()
        begin, end = self._place(self._test(atom[0])), self._place()
        self._join(begin, end)
        return begin, end

    def _test(self, atom: str) -> _Test:
        if re.search(r"--|&&|~~|\|\|", atom):  # may mean sets of sets one day, says Python
            raise BadInput(f"The pattern has a sign twice in {atom[:40]!a}: write it once.")
        try:
            return re.compile(atom, self._flags | re.DOTALL).fullmatch
        except re.error as error:
            raise BadInput(f"The pattern has {atom[:40]!a} in it: {error.msg}.") from None

    def _refused(self) -> BadInput:
        found = self._text[self._at : self._at + 3]
        what = f"can't be read from {found!a} on" if found else "ends too early"
        return BadInput(f"The pattern {what}, at character {self._at + 1}: write \\ before a sign.")


def _beginning(text: str) -> str:
    """Characters that all that a pattern matches begins with, as far as that is seen at once."""
    plain = _PLAIN.match(text)
    return plain[0] if plain and "|" not in text else ""


def _bounds(times: re.Match[str]) -> tuple[int, int | None]:
    """How often at least and at most; None for without end."""
    if times[0] in {"*", "+", "?"}:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[times[0]]
    least = int(times[1])
    if times[2] is None:
        return least, least
    most = int(times[3]) if times[3] else None
    if most is not None and most < least:
        raise BadInput(f"The pattern has {times[0]}: the first number is the larger one.")
    return least, most
