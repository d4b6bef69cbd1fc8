"""SQLite: opening it, reading, writing, and what goes wrong with it.

A writing transaction is BEGIN IMMEDIATE from its first moment (a deferred one fails or loses
updates, docs/decisions/0020), and a process has one writer: threads queue for it here and not by
spinning in SQLite. Readers have connections of their own that can't write.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, QueuePool, create_engine

from bastion.errors import Misconfigured, Unavailable
from bastion.store.database import PATIENCE, READERS

KEPT: Final = 4
"""Readers that are kept: each has a cache of up to 2 MB, and two descriptors. What a rush needs
beyond that is opened for it, in less than a millisecond."""


class Sqlite:
    """An SQLite file with its readers and its writer, each waiting `patience` seconds for its turn.

    It is a `bastion.store.database.Database`.
    """

    def __init__(self, file: Path, patience: float = PATIENCE) -> None:
        self.file = file
        self.name = str(file)
        self.patience = patience
        more = READERS - KEPT
        self._reader = _engine(file, patience, (KEPT, more), ("PRAGMA query_only = ON",))
        self._writer = _engine(file, patience, (1, 0), _WRITER)
        self._watch: sqlite3.Connection | None = None
        self._watch_lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view for the length of the block."""
        with self._reader.connect() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that excludes other writers; rolled back when the block raises.

        It is on the disk when the block is left. Not to be nested: the second would wait for
        the first.
        """
        with self._writer.connect() as connection, connection.begin():
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def aside(self) -> AbstractContextManager[Connection]:
        """As `write`: there is one writer at a time."""
        return self.write()

    def version(self) -> int:
        """A stamp that changes whenever anybody has written. Takes microseconds.

        `PRAGMA data_version` on a connection that is kept for it, so writes of this process count
        as well as those of others.
        """
        with self._watch_lock:
            if self._watch is None:
                self._watch = _connect(self.file, self.patience)
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def leads(self) -> bool:
        """A file is for one machine."""
        return True

    def trouble(self, error: BaseException | None) -> str:
        """What is wrong with it, and the mend: what stands behind its name in a sentence."""
        name = str(getattr(error, "sqlite_errorname", "")).removeprefix("SQLITE_")
        return _TROUBLES.get(name.partition("_")[0], "does not answer")

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


def _engine(file: Path, patience: float, size: tuple[int, int], pragmas: tuple[str, ...]) -> Engine:
    """`size` is how many connections are kept, and how many more there may be for a moment.

    Nothing listens to its events: one listener makes every statement of the engine dearer.
    """

    def connect() -> sqlite3.Connection:
        connection = _connect(file, patience)
        try:
            for pragma in pragmas:
                _insist(connection, pragma, patience)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    return create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=size[0],
        max_overflow=size[1],
        pool_use_lifo=True,
        pool_timeout=patience,
    )


def file_of(url: str) -> Path:
    """The file that a URL of SQLite names. Raises Misconfigured where it names none.

    What stands behind `sqlite:///` is the path as it is: a blank or a per cent sign is one.
    """
    file = url.removeprefix("sqlite://")
    if not file.startswith("/") or file in ("/", "/:memory:") or "?" in file or "\0" in file:
        raise Misconfigured("The database URL names no file: write sqlite:///FILE, nothing behind.")
    return Path(file.removeprefix("/"))


def make_file(file: Path) -> None:
    """An empty database file that only its owner reads; one that is there is left as it is."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable(f"{file} can't be made: {error.strerror}.") from error


_TROUBLES = {
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
