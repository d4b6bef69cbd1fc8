"""Turns: what several threads ask for at once is done for all of them together.

Whoever comes while a turn is under way waits for the next one, which takes all along who wait by
then. So nobody waits for company, and the more there are the less each costs.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
V = TypeVar("V")


@dataclass(slots=True, eq=False)
class _Asked(Generic[T, V]):
    """What one thread asks for, and what came of it."""

    what: T
    over: bool = False
    done: V | None = None
    failure: Exception | None = None


class Turns(Generic[T, V]):
    """Does what is asked for by `work`, which is given some of it, and gives as much, in its order.

    At most `most` of it at once. What `work` raises for several is tried with each alone, and
    raised where it was asked for: so nothing keeps the others. It has to be such that it can be
    done again.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[V]], most: int) -> None:
        self._work = work
        self._most = most
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Asked[T, V]] = []

    def do(self, what: T) -> V:
        """What comes of it, by this thread's turn or another's."""
        mine: _Asked[T, V] = _Asked(what)
        with self._lock:
            self._waiting.append(mine)
        while not mine.over:
            with self._turn:
                if not mine.over:
                    self._take(mine)
        if mine.failure is not None:
            raise mine.failure
        return mine.done  # type: ignore[return-value] # it is over, and did not fail

    def _take(self, mine: _Asked[T, V]) -> None:
        with self._lock:
            some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            self._do(some)
        finally:  # what ends this thread ends nobody else's
            with self._lock:
                self._waiting[:0] = [each for each in some if not each.over and each is not mine]

    def _do(self, some: Sequence[_Asked[T, V]]) -> None:
        try:
            done = self._work([each.what for each in some])
        except Exception as error:  # noqa: BLE001 (it is raised where it was asked for)
            if len(some) == 1:
                some[0].failure, some[0].over = error, True
            else:
                for each in some:
                    self._do([each])
        else:
            for each, result in zip(some, done, strict=True):
                each.done, each.over = result, True
