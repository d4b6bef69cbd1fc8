"""Who may be among a target's paths at a time: readers together, a writer alone. Pure.

Two sessions as one login of a host see the same tree. What one of them renames or links while the
other's path is between being resolved and being opened would lead the other astray: so a flow
that changes the tree goes alone, across all sessions, and the rest share. First come, first in:
whoever waits is never overtaken. No clock here: who takes too long is for others to say.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol


class Turn(Protocol):
    """One session, as far as its place among others is concerned."""

    def called(self) -> None:
        """Its turn has come, after it had to wait."""

    def overdue(self, sentence: str) -> None:
        """It was in too long while others waited: it has to end, and never goes on."""


class Order(Protocol):
    """The order of one host and login, as a session sees it. A turn is in at most once."""

    def enter(self, turn: Turn, *, alone: bool) -> bool:
        """Whether it may go at once; if not, it is called."""

    def leave(self, turn: Turn) -> None:
        """It is done: all that it asked of the target has been answered."""

    def abandon(self, turn: Turn) -> None:
        """It is gone, wherever it was: what it asked for last may not be done yet."""


class Unshared:
    """The order where there is nobody else."""

    def enter(self, turn: Turn, *, alone: bool) -> bool:
        """At once."""
        return True

    def leave(self, turn: Turn) -> None:
        """Nobody waits."""

    def abandon(self, turn: Turn) -> None:
        """Nobody waits."""


@dataclass(frozen=True, slots=True)
class _Place:
    turn: Turn
    alone: bool


class Queue:
    """Who is in, and who waits, in the order in which they came."""

    def __init__(self) -> None:
        self._inside: list[_Place] = []
        self._waiting: deque[_Place] = deque()

    @property
    def inside(self) -> tuple[Turn, ...]:
        """Who is in: one alone, or some together."""
        return tuple(place.turn for place in self._inside)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def alone(self, turn: Turn) -> bool:
        """Whether it is in, and nobody else may be."""
        return any(place.alone and place.turn is turn for place in self._inside)

    def enter(self, turn: Turn, *, alone: bool) -> bool:
        """Whether it is in at once; else it waits behind all others."""
        self._waiting.append(_Place(turn, alone))
        return turn in self._admitted()

    def leave(self, turn: Turn) -> tuple[Turn, ...]:
        """It is neither in nor waiting any more; who is in by that, in their order."""
        self._inside = [place for place in self._inside if place.turn is not turn]
        self._waiting = deque(place for place in self._waiting if place.turn is not turn)
        return self._admitted()

    def _admitted(self) -> tuple[Turn, ...]:
        admitted = []
        while self._waiting and self._fits(self._waiting[0]):
            place = self._waiting.popleft()
            self._inside.append(place)
            admitted.append(place.turn)
        return tuple(admitted)

    def _fits(self, place: _Place) -> bool:
        return not self._inside or not (place.alone or self._inside[0].alone)
