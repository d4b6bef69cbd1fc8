"""A database as the store needs one, and opening the kind that a URL names.

`sqlite` is one file for one machine; `postgres` is a server for several. Both give the same two
promises: a reader sees one moment, and a writer is alone from its first statement to its last.
"""

import sqlite3
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bastion.errors import BastionError, Unavailable

PATIENCE: Final = 5.0
"""Seconds to wait for a turn, unless told otherwise."""

READERS: Final = 16


class Database(Protocol):
    """One database. `name` is what people know it by: no password is in it.

    `read()` and `write()` raise SQLAlchemy's errors as they are: this is what `recorder.index`
    takes. `Store` is the same with errors as sentences.
    """

    name: str

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view for the length of the block; nothing can be written."""

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that excludes other writers; rolled back when the block raises.

        It is on the disk when the block is left. Not to be nested: the second would wait for
        the first.
        """

    def aside(self) -> AbstractContextManager[Connection]:
        """A transaction for what nobody decides by; where it can, it keeps no writer waiting."""

    def version(self) -> Hashable:
        """A stamp that changes whenever anybody has written."""

    def leads(self) -> bool:
        """Whether this process may do what is done once for all; asked again and again."""

    def trouble(self, error: BaseException | None) -> str:
        """What is wrong with it, and the mend: what stands behind its name in a sentence."""

    def close(self) -> None:
        """Give back all connections."""


@contextmanager
def as_sentences(database: Database) -> Iterator[None]:
    """What the database raises, as ours. A broken constraint is not for here."""
    try:
        yield
    except (BastionError, IntegrityError):
        raise
    except PoolTimeout as error:
        sentence = f"The database {database.name} is busy: no turn came up in time."
        raise Unavailable(sentence) from error
    except DBAPIError as error:
        raise _unavailable(database, error.orig) from error
    except sqlite3.Error as error:
        raise _unavailable(database, error) from error


def _unavailable(database: Database, error: BaseException | None) -> Unavailable:
    return Unavailable(f"The database {database.name} {database.trouble(error)}.")
