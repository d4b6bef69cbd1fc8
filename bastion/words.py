"""The words of a command line as ssh hands it over: joined with blanks, its quotes gone.

ssh drops the quotes that one's own shell has taken, so what arrives is mostly plain text, and an
apostrophe in it is an apostrophe. Whoever quotes twice, or has a program quote, is understood too.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence

_BLANKS = " \t\r\n"
_CLOSING = {
    "'": re.compile(r"'(?=[ \t\r\n'\"]|\Z)"),
    '"': re.compile(r"(?<!\\)(?:\\\\)*(\")(?=[ \t\r\n'\"]|\Z)"),
}
"""What can close a quotation: the mark before a blank, another mark or the end."""

_OPENING = {mark: re.compile(rf"(?<![^ \t\r\n=]){mark}") for mark in _CLOSING}
"""What looks as if it opened one: the mark behind a blank or a `=`, or at the beginning."""

_ESCAPED = re.compile(r"\\([\\\"])")

Marks = Mapping[str, Sequence[int]]
"""For each quotation mark, places in a line."""


def split(line: str) -> list[str]:
    """The words of `line`; none is lost, whatever it holds.

    A quotation begins a word, or follows a `=` or another quotation, and ends before a blank, a
    mark or the end of the line, before another begins. Every other mark is itself: `can't` is a
    word. A backslash counts before `"` and `\\` within double quotes only. What `shlex.join` made
    comes out as it went in.
    """
    return [word for word, _ in _scan(line)]


def behind_dashes(line: str) -> str | None:
    """What stands behind the first `--` of `line`, as it was typed; None where there is none."""
    for word, end in _scan(line):
        if word == "--" and line[:end].endswith("--"):
            return line[end:].strip(_BLANKS)
    return None


def _scan(line: str) -> list[tuple[str, int]]:
    """Each word, and where it ends."""
    opening = {mark: [m.start() for m in _OPENING[mark].finditer(line)] for mark in _OPENING}
    closing = {mark: [m.end() - 1 for m in _CLOSING[mark].finditer(line)] for mark in _CLOSING}
    found, at = [], 0
    while at < len(line):
        if line[at] in _BLANKS:
            at += 1
        else:
            word, at = _word(line, at, opening, closing)
            found.append((word, at))
    return found


def _word(line: str, at: int, opening: Marks, closing: Marks) -> tuple[str, int]:
    parts, may_quote = [], True
    while at < len(line) and line[at] not in _BLANKS:
        mark = line[at]
        end = _next(closing.get(mark, ()), at) if may_quote else None
        another = _next(opening.get(mark, ()), at)
        if end is None or (another is not None and another < end):
            parts.append(mark)
            may_quote = mark == "="
            at += 1
        else:
            parts.append(_content(mark, line[at + 1 : end]))
            at = end + 1
    return "".join(parts), at


def _next(places: Sequence[int], at: int) -> int | None:
    """The first of `places` behind `at`."""
    number = bisect_right(places, at)
    return places[number] if number < len(places) else None


def _content(mark: str, text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if mark == '"' else text
