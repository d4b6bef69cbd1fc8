"""Turns: what is asked for at once is done together, and nothing keeps the others."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from recorder.turns import Turns


class Work:
    """Doubles numbers; the first turn lasts until it is told to go on. 13 is no number."""

    def __init__(self, most: int = 64) -> None:
        self.turns = Turns(self._done, most)
        self.done: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def _done(self, numbers: Sequence[int]) -> list[int]:
        self.done.append(list(numbers))
        self.begun.set()
        self.go_on.wait(10)
        if 13 in numbers:
            raise ValueError("13")
        if 666 in numbers:
            raise SystemExit
        return [2 * number for number in numbers]

    def asked(self, first: int, *others: int) -> list[int | BaseException]:
        """What each is given, where all others come while the first one's turn lasts."""
        with ThreadPoolExecutor(len(others) + 1) as threads:
            came = [threads.submit(self.turns.do, first)]
            self.begun.wait(10)
            for waiting, number in enumerate(others, 1):
                came.append(threads.submit(self.turns.do, number))
                while len(self.turns._waiting) < waiting:
                    pass
            self.go_on.set()
            return [each.exception() or each.result() for each in came]


def test_who_comes_meanwhile_is_served_in_the_next_turn_together() -> None:
    """Nobody waits for company: the first went alone."""
    work = Work()
    assert work.asked(1, 2, 3, 4) == [2, 4, 6, 8]
    assert work.done == [[1], [2, 3, 4]]


def test_a_turn_has_a_limit() -> None:
    """Who is beyond it has the turn after."""
    work = Work(most=2)
    assert work.asked(1, 2, 3, 4) == [2, 4, 6, 8]
    assert work.done == [[1], [2, 3], [4]]


def test_what_goes_wrong_with_one_is_heard_by_that_one_alone() -> None:
    """The others are done each by itself."""
    work = Work()
    first, second, third = work.asked(1, 13, 3)
    assert (first, third) == (2, 6)
    assert isinstance(second, ValueError)
    assert work.done == [[1], [13, 3], [13], [3]]


def test_a_thread_that_ends_in_its_turn_ends_no_other() -> None:
    """What it had taken along is done by whoever waits for it."""
    work = Work()
    first, second, third = work.asked(1, 666, 3)
    assert (first, third) == (2, 6)
    assert isinstance(second, SystemExit)


def test_it_can_be_asked_again_after_a_failure() -> None:
    """Nothing is left of it."""
    work = Work()
    work.go_on.set()
    with pytest.raises(ValueError, match="13"):
        work.turns.do(13)
    assert work.turns.do(4) == 8
