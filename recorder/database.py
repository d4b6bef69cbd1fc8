"""A database as the recorder needs one, and its errors as ours.

Which one it is, nobody here knows.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from recorder.errors import IndexUnavailable, NotTaken

V = TypeVar("V")


class Database(Protocol):
    """Where the table lives. Both give a connection for the length of a `with` block."""

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction: committed at the end of the block, rolled back if it raises."""

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view, nothing written."""


def tolerantly(
    fetched: Callable[[Collection[int]], dict[int, V | None]],
    numbers: Collection[int],
    answers: Callable[[], object],
) -> dict[int, V | None]:
    """What `fetched` gives for these numbers, all at once; where that fails each by itself.

    None stands for what can't be read. `answers` raises where it is the database that is away.
    """
    try:
        return fetched(numbers)
    except (IndexUnavailable, ValueError, TypeError):
        if len(numbers) != 1:
            each = (tolerantly(fetched, [number], answers) for number in numbers)
            return {number: found for one in each for number, found in one.items()}
        answers()
        return dict.fromkeys(numbers)


@contextmanager
def renamed() -> Iterator[None]:
    """What the database raises, as IndexUnavailable."""
    try:
        yield
    except (DataError, IntegrityError) as error:
        raise NotTaken(f"the index of sessions does not take that: {_cause(error)}") from error
    except (DBAPIError, PoolTimeout) as error:
        raise IndexUnavailable(
            f"the index of sessions is not available: {_cause(error)}"
        ) from error


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
