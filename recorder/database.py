"""A database as the recorder needs one, and its errors as ours.

Which one it is, nobody here knows.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from recorder.errors import ConnectionLost, IndexUnavailable, NotTaken

V = TypeVar("V")

TRIES: Final = 3
"""How often a database that answers fails to give a row until the row is what is wrong."""


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

    None stands for what can't be read. `answers` raises where it is the database that is away. One
    that was away for a moment only has said nothing of what it keeps: it is asked again.
    """
    if len(numbers) == 1:
        return _tolerantly(fetched, numbers, answers)
    try:
        return fetched(numbers)
    except (IndexUnavailable, ValueError, TypeError):
        each = (_tolerantly(fetched, [number], answers) for number in numbers)
        return {number: found for one in each for number, found in one.items()}


def _tolerantly(
    fetched: Callable[[Collection[int]], dict[int, V | None]],
    number: Collection[int],
    answers: Callable[[], object],
) -> dict[int, V | None]:
    for _ in range(TRIES):
        try:
            return fetched(number)
        except ConnectionLost:
            raise
        except (IndexUnavailable, ValueError, TypeError):
            answers()
    return dict.fromkeys(number)


@contextmanager
def renamed() -> Iterator[None]:
    """What the database raises, as IndexUnavailable."""
    try:
        yield
    except (DataError, IntegrityError) as error:
        raise NotTaken(f"the index of sessions does not take that: {_cause(error)}") from error
    except (DBAPIError, PoolTimeout) as error:
        lost = isinstance(error, DBAPIError) and error.connection_invalidated
        kind = ConnectionLost if lost else IndexUnavailable
        raise kind(f"the index of sessions is not available: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).splitlines()
    return said[0] if said else "it gives no reason"
