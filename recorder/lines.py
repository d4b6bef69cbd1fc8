"""A line of a transcript: when it was shown, where it came from, and its text, which only prints.

Pure. Who made lines of a recording is not known here.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 4000
"""Characters of a line; what is longer becomes several."""

_LATEST = 1e9
"""Seconds; no session lasts so long, whatever its recording says."""


class Place(StrEnum):
    """Where a line stood.

    SCREEN   what the target showed
    COMMAND  the command line that the session was for
    FILE     what became of a file that went over by sftp or scp
    BASTION  our own: said to the contractor, or about the transcript (then in parentheses)
    """

    SCREEN = "screen"
    COMMAND = "command"
    FILE = "file"
    BASTION = "bastion"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `time` is in seconds since the session's start, `text` is printable."""

    time: float
    text: str
    place: Place = Place.SCREEN


def lines_of(time: float, text: str, place: Place) -> Iterator[Line]:
    """What one line of text becomes: nothing when it is blank, several when it is long."""
    text = printable(text).rstrip()
    for start in range(0, len(text), LONGEST):
        yield Line(time, text[start : start + LONGEST], place)


def offset(time: float) -> float:
    """A time of an event as one that a session can have, to the millisecond."""
    return round(min(max(time, 0.0), _LATEST), 3)


def printable(text: str) -> str:
    """`text` as it reads: in composed characters, without what is not seen, on one line.

    Marks that turn the direction of writing and the like are left out; whatever else does not
    print becomes a blank or U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    composed = unicodedata.normalize("NFC", text)
    if composed.isprintable():
        return composed
    return "".join(c if c.isprintable() else _seen(c) for c in composed)


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return " " if category in ("Zs", "Zl", "Zp") or character in "\t\n\r\v\f" else "\ufffd"
