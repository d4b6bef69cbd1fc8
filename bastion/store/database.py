"""The database itself: opening it, reading, writing, and what goes wrong with it.

A writing transaction is BEGIN IMMEDIATE from its first moment (a deferred one fails or loses
updates, docs/decisions/0020), and a process has one writer: threads queue for it here and not by
spinning in SQLite. Readers have connections of their own that can't write.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bastion.errors import BastionError, Misconfigured, Unavailable

PATIENCE: Final = 5.0
"""Seconds to wait for a turn, unless told otherwise."""

READERS: Final = 16


class Database:
    """An SQLite file with its readers and its writer, each waiting `patience` seconds for its turn.

    `read()` and `write()` raise SQLAlchemy's errors as they are: this is what `recorder.index`
    takes. `Store` is the same with errors as sentences.
    """

    def __init__(self, file: Path, patience: float = PATIENCE) -> None:
        self.file = file
        self.patience = patience
        self._reader = _engine(file, patience, "BEGIN", READERS, ("PRAGMA query_only = ON",))
        self._writer = _engine(file, patience, "BEGIN IMMEDIATE", 1, _WRITER)
        self._watch: sqlite3.Connection | None = None
        self._watch_lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view for the length of the block."""
        with self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that excludes other writers; rolled back when the block raises.

        It is on the disk when the block is left. Not to be nested: the second would wait for
        the first.
        """
        with self._writer.connect() as connection, connection.begin():
            yield connection

    def version(self) -> int:
        """A stamp that changes whenever anybody has written. Takes microseconds.

        `PRAGMA data_version` on a connection that is kept for it, so writes of this process count
        as well as those of others.
        """
        with self._watch_lock:
            if self._watch is None:
                self._watch = _connect(self.file, self.patience)
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Give back all connections."""
        with self._watch_lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self._reader.dispose()
        self._writer.dispose()


_WRITER = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")


def _connect(file: Path, patience: float) -> sqlite3.Connection:
    """`mode=rw`: a file that is not there is an error, never an empty database."""
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=patience,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _insist(connection: sqlite3.Connection, pragma: str, patience: float) -> None:
    """SQLite's own patience does not hold for a change of the journal: others may be at it."""
    end = time.monotonic() + patience
    while True:
        try:
            connection.execute(pragma)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _engine(file: Path, patience: float, begin: str, size: int, pragmas: tuple[str, ...]) -> Engine:
    def connect() -> sqlite3.Connection:
        connection = _connect(file, patience)
        try:
            for pragma in pragmas:
                _insist(connection, pragma, patience)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=patience,
    )

    @event.listens_for(engine, "begin")
    def begins(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def file_of(url: str) -> Path:
    """The file that a database URL names. Raises Misconfigured for anything but an SQLite file.

    What stands behind `sqlite:///` is the path as it is: a blank or a per cent sign is one.
    """
    scheme, colon, rest = url.partition("://")
    if not colon:
        raise Misconfigured(f"{url[:80]!a} is no database URL: write it as in sqlite:///FILE.")
    if scheme != "sqlite":
        raise Misconfigured(f"{scheme[:40]!a} databases are not known yet: write sqlite:///FILE.")
    file = rest.removeprefix("/")
    if file in ("", rest, ":memory:") or "?" in file or "\0" in file:
        raise Misconfigured("The database URL names no file: write sqlite:///FILE, nothing behind.")
    return Path(file)


def make_file(file: Path) -> None:
    """An empty database file that only its owner reads; one that is there is left as it is."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable(f"{file} can't be made: {error.strerror}.") from error


@contextmanager
def as_sentences(file: Path) -> Iterator[None]:
    """What the database raises, as ours. A broken constraint is not for here."""
    try:
        yield
    except (BastionError, IntegrityError):
        raise
    except PoolTimeout as error:
        raise Unavailable(f"The database {file} is busy: no turn came up in time.") from error
    except DBAPIError as error:
        raise Unavailable(_sentence(file, error.orig)) from error
    except sqlite3.Error as error:
        raise Unavailable(_sentence(file, error)) from error


_SENTENCES = {
    "BUSY": "stays locked by another program: end that one, or try again",
    "LOCKED": "is locked by another program; try again",
    "READONLY": "can't be written: it, or its directory, is read-only for this account",
    "FULL": "can't be written: there is no space left on its disk",
    "IOERR": "can't be read or written: its disk fails; look at the system's log",
    "CANTOPEN": "can't be opened: it is missing, or this account may not read it",
    "PERM": "can't be opened: this account may not read it",
    "CORRUPT": "is damaged; restore it from a copy",
    "NOTADB": "is not a database; restore it from a copy",
    "ERROR": "does not have what is looked for; its schema is of another version",
}


def _sentence(file: Path, error: BaseException | None) -> str:
    name = str(getattr(error, "sqlite_errorname", "")).removeprefix("SQLITE_")
    known = _SENTENCES.get(name.partition("_")[0], "does not answer")
    return f"The database {file} {known}."
