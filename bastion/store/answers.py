"""A connection to PostgreSQL that waits so long for an answer, and no longer.

The server has limits of its own, but one that stands still keeps none of them, and its machine's
kernel goes on telling ours that somebody is there. So this side counts as well.
"""

import time
from collections.abc import Generator
from typing import Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from psycopg.waiting import Ready, Wait

T = TypeVar("T")

_LOOK: Final = 0.5
"""Seconds between two looks at the clock while nothing comes."""


class Closed(psycopg.OperationalError):
    """No connection is made any more: this process is at its end."""


class Patient(psycopg.Connection[TupleRow]):
    """Closed for good when an answer has not come after `answer` seconds. Raises OperationalError.

    An answer is what one statement gives, a piece of a long one, or the end of a transaction.
    """

    answer = 65.0

    def wait(self, gen: PQGen[T], interval: float = _LOOK, timeout: float | None = None) -> T:
        """What `gen` gives, when the server has answered."""
        limited = self._limited(gen)
        return (
            super().wait(limited, interval)
            if timeout is None
            else super().wait(gen, interval, timeout)
        )

    def _limited(self, gen: PQGen[T]) -> Generator[Wait, Ready | int, T]:
        deadline = time.monotonic() + self.answer
        try:
            asked = next(gen)
            while True:
                ready = yield asked
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError("the server has stopped answering")
                asked = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result
