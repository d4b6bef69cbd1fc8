"""Recordings in a few words, and what their transcripts say."""

from collections.abc import Callable, Iterable

from recorder import Line, Place, Transcripts
from recorder.asciicast import Code, Event, Header, Note, Word

Shown = tuple[float, str]


def header(columns: int = 80, rows: int = 24, **facts: object) -> Header:
    return Header(columns, rows, 0, "S-1", session=facts)


def shown(*items: Shown) -> list[Event]:
    """What the target showed on stdout, and when."""
    return [Event(time, Code.OUT, text) for time, text in items]


def said(time: float, text: str, word: Word = Word.SAID) -> list[Event]:
    """A line of ours."""
    return [Event(time, Code.NOTE, Note(word).label()), Event(time, Code.OUT, text)]


def lines(
    events: Iterable[Event], head: Header | None = None, redact: Callable[[str], str] | None = None
) -> list[Line]:
    made = Transcripts() if redact is None else Transcripts(redact)
    return list(made.lines(head or header(), events))


def texts(events: Iterable[Event], head: Header | None = None) -> list[str]:
    """The lines' texts only."""
    return [line.text for line in lines(events, head)]


def ours(made: Iterable[Line]) -> list[str]:
    """The texts of those that are the bastion's own."""
    return [line.text for line in made if line.place is Place.BASTION]
