"""A database, a clock and sessions to record, for the recorder's tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, create_engine, event

from bastion.store.postgres import Postgres
from recorder.database import Database
from recorder.index_tables import metadata
from recorder.session import Kind, SessionInfo, Size

MORNING = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Sqlite:
    """A `Database` over one SQLite file, as the recorder expects it."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 10})
        event.listen(self._engine, "connect", _leave_transactions_to_us)
        with self._engine.begin() as connection:
            metadata.create_all(connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()


def name_of(database: Database) -> str:
    """SQLite's file, or a PostgreSQL's URL: whoever has that can open it again."""
    assert isinstance(database, Sqlite | Postgres)
    return database.name


def _leave_transactions_to_us(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]
    connection.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]


class Clock:
    """Seconds and a time of day that go on only when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return MORNING + timedelta(seconds=self.seconds - 100.0)


def exec_of(command: str = "uname -a", user: str = "alice") -> SessionInfo:
    return SessionInfo(
        connection=3,
        user=user,
        grant=7,
        host="web-1",
        login="deploy",
        kind=Kind.EXEC,
        source="192.0.2.7",
        command=command,
    )


def shell(size: Size = Size(80, 24)) -> SessionInfo:
    return SessionInfo(
        connection=4,
        user="alice",
        grant=7,
        host="web-1",
        login="deploy",
        kind=Kind.SHELL,
        source="192.0.2.7",
        term="xterm-256color",
        terminal=size,
    )
