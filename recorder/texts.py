"""The text index as it is asked: which lines of which sessions hold a text.

It is made from transcripts and can be made anew at any time: it is no evidence. Values, and what
a text index has to do; which database does it is not known here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from recorder.chunks import Chunk
from recorder.lines import Line
from recorder.needle import Needle
from recorder.session import Kind, Session

MOST_HITS = 1000
MOST_OF_A_SESSION = 10
"""Lines of one session that are given where all sessions are searched."""


class State(StrEnum):
    """How far a session's transcript is indexed.

    GROWING  as far as the session had come
    WHOLE    all of it
    CLOSED   its commands and its files: what it showed is encrypted
    FAILED   as far as its recording could be read; the reason is kept
    AGAIN    all of it, and it is to be made anew
    GONE     nothing, as its recording was let go
    """

    GROWING = "growing"
    WHOLE = "whole"
    CLOSED = "closed"
    FAILED = "failed"
    AGAIN = "again"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a session: `left_out` says that its transcript does not hold everything."""

    state: State
    reason: str | None = None
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """More of a session's transcript: `chunks` are added, `tail` replaces the one before.

    `anew` drops everything that there is of it first.
    """

    session: Session
    standing: Standing
    chunks: Sequence[Chunk] = ()
    tail: Sequence[Line] = ()
    anew: bool = False


@dataclass(frozen=True, slots=True)
class WantedLines:
    """In which sessions, and when, a text is looked for; what is None does not narrow it.

    `since` and `until` speak of the line: since <= at < until.
    """

    session: int | None = None
    user: str | None = None
    host: str | None = None
    login: str | None = None
    grant: int | None = None
    kind: Kind | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that was found, and where in it."""

    session: int
    at: datetime
    line: Line
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The newest hits first. `more` says that there are more than were asked for; `more_in` names
    sessions with more than are given of one; `back_to` is how far it was searched, if not all."""

    hits: list[Hit] = field(default_factory=list)
    more: bool = False
    more_in: tuple[int, ...] = ()
    back_to: datetime | None = None


class Texts(Protocol):
    """A text index. It blocks. Raises IndexUnavailable."""

    def write(self, updates: Sequence[Update]) -> None:
        """Keep all of them, or none. What is GONE stays so."""

    def standings(self, sessions: Collection[int]) -> Mapping[int, Standing]:
        """What is known of these sessions, as far as anything is."""

    def between(self, first: int, last: int) -> Mapping[int, State]:
        """The states of the sessions with these numbers and those between them."""

    def take_over(self, session: int) -> None:
        """Have one that another machine recorded made anew by this one. What is GONE stays so."""

    def is_made_here(self, session: int) -> bool:
        """Whether this machine is known to make a session's transcript."""

    def again(self, limit: int) -> list[int]:
        """Sessions that are to be made anew, the oldest first."""

    def find(
        self,
        needle: Needle,
        wanted: WantedLines,
        *,
        limit: int,
        rest: Callable[[], object] = lambda: None,
    ) -> Found:
        """The lines that hold it, at most `limit`; `rest` is called between pieces of work."""

    def forget(self, session: int) -> None:
        """Drop all that there is of a session, for good. Once more does nothing."""

    def make_anew(self) -> None:
        """Have all of it made anew; until then it stays as it is."""

    def tidy(self) -> bool:
        """A step of taking what was dropped out of the file; whether there is another."""

    def close(self) -> None:
        """Let go of what is held."""
