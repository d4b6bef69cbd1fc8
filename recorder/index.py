"""The index of sessions: its table and its queries, and the only SQL of the recorder.

It gives back values (`Session`), never rows, and does not know which database it talks to:
somebody hands in a `Database` whose `write()` is a transaction that excludes other writers
from its start (BEGIN IMMEDIATE on SQLite). It blocks; callers use threads.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    TypeDecorator,
    insert,
    select,
    update,
)
from sqlalchemy import (
    Index as SqlIndex,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from recorder.errors import IndexUnavailable
from recorder.session import Ending, EndReason, Kind, Session, SessionInfo, Stored

MOST_ROWS = 1000


class Database(Protocol):
    """Where the table lives. Both give a connection for the length of a `with` block."""

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction: committed at the end of the block, rolled back if it raises."""

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view, nothing written."""


class Utc(TypeDecorator[datetime]):
    """A moment: aware in Python, UTC in the database. A naive datetime is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, as SQLite keeps no zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From UTC, with its zone again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()
_big = BigInteger().with_variant(Integer, "sqlite")

sessions = Table(
    "sessions",
    metadata,
    Column("id", _big, primary_key=True, autoincrement=True),
    Column("connection", _big, nullable=False),
    Column("user", String(64), nullable=False),
    Column("grant_id", _big, nullable=False),
    Column("host", String(255), nullable=False),
    Column("login", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("command", Text),
    Column("source", String(64), nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("end_reason", String(32)),
    Column("exit_status", _big),
    Column("exit_signal", String(32)),
    Column("bytes_in", _big, nullable=False, server_default="0"),
    Column("bytes_out", _big, nullable=False, server_default="0"),
    Column("path", Text, nullable=False),
    Column("sha256", String(64)),
    Column("size", _big, nullable=False, server_default="0"),
    Column("events", _big, nullable=False, server_default="0"),
    Column("sealed", Boolean, nullable=False),
    sqlite_autoincrement=True,
)
SqlIndex("ix_sessions_user", sessions.c.user, sessions.c.id)
SqlIndex("ix_sessions_host", sessions.c.host, sessions.c.id)
SqlIndex("ix_sessions_grant", sessions.c.grant_id, sessions.c.id)
SqlIndex("ix_sessions_started", sessions.c.started_at)
_is_live = sessions.c.ended_at.is_(None)
SqlIndex("ix_sessions_live", sessions.c.id, sqlite_where=_is_live, postgresql_where=_is_live)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions a list is about; what is None does not narrow it.

    `since` and `until` speak of the start: since <= started_at < until.
    """

    user: str | None = None
    host: str | None = None
    login: str | None = None
    grant: int | None = None
    kind: Kind | None = None
    live: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


class Index:
    """The sessions of one archive. Raises IndexUnavailable when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, info: SessionInfo, started_at: datetime, place: Callable[[int], str]) -> Session:
        """Insert a session's row, and let `place(id)` make its file, in one transaction.

        `place` gives the file's path. What it raises undoes the row, so no row that others
        can see is without a file.
        """
        with self._writing() as connection:
            row = connection.execute(
                insert(sessions).values(_opening(info, started_at)).returning(sessions.c.id)
            ).scalar_one()
            path = place(row)
            connection.execute(update(sessions).where(sessions.c.id == row).values(path=path))
            return _session(connection.execute(select(sessions).where(sessions.c.id == row)).one())

    def complete(self, session: int, ending: Ending, stored: Stored) -> bool:
        """Write how a session ended. False if it had ended already: the first end stays."""
        statement = (
            update(sessions)
            .where(sessions.c.id == session, _is_live)
            .values(_closing(ending, stored))
        )
        with self._writing() as connection:
            return connection.execute(statement).rowcount == 1

    def get(self, session: int) -> Session | None:
        """The session with this number."""
        found = self._fetch(select(sessions).where(sessions.c.id == session))
        return found[0] if found else None

    def find(
        self, wanted: Wanted | None = None, *, limit: int = 100, before: int | None = None
    ) -> list[Session]:
        """The newest sessions first, at most `limit` (and never over 1000) of them.

        For the next page give the last one's id as `before`.
        """
        statement = _narrowed(select(sessions), wanted or Wanted())
        if before is not None:
            statement = statement.where(sessions.c.id < before)
        return self._fetch(
            statement.order_by(sessions.c.id.desc()).limit(max(0, min(limit, MOST_ROWS)))
        )

    def _fetch(self, statement: Select[tuple[object, ...]]) -> list[Session]:
        with _renamed(), self._database.read() as connection:
            return [_session(row) for row in connection.execute(statement)]

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _renamed(), self._database.write() as connection:
            yield connection


@contextmanager
def _renamed() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        raise IndexUnavailable(
            f"the index of sessions is not available: {_cause(error)}"
        ) from error


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def _narrowed(statement: Select[tuple[object, ...]], wanted: Wanted) -> Select[tuple[object, ...]]:
    columns = sessions.c
    for column, value in (
        (columns.user, wanted.user),
        (columns.host, wanted.host),
        (columns.login, wanted.login),
        (columns.grant_id, wanted.grant),
        (columns.kind, wanted.kind and wanted.kind.value),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.live is not None:
        statement = statement.where(_is_live if wanted.live else ~_is_live)
    if wanted.since is not None:
        statement = statement.where(columns.started_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(columns.started_at < wanted.until)
    return statement


def _opening(info: SessionInfo, started_at: datetime) -> dict[str, object]:
    return {
        "connection": info.connection,
        "user": info.user,
        "grant_id": info.grant,
        "host": info.host,
        "login": info.login,
        "kind": info.kind.value,
        "command": info.command,
        "source": info.source,
        "started_at": started_at,
        "path": "",
        "sealed": False,
    }


def _closing(ending: Ending, stored: Stored) -> dict[str, object]:
    return {
        "ended_at": ending.at,
        "end_reason": ending.reason.value,
        "exit_status": ending.exit_status,
        "exit_signal": ending.exit_signal,
        "bytes_in": ending.bytes_in,
        "bytes_out": ending.bytes_out,
        "sha256": stored.sha256,
        "size": stored.size,
        "events": stored.events,
    }


def _session(row: Row[tuple[object, ...]]) -> Session:
    return Session(
        id=row.id,
        connection=row.connection,
        user=row.user,
        grant=row.grant_id,
        host=row.host,
        login=row.login,
        kind=Kind(row.kind),
        command=row.command,
        source=row.source,
        started_at=row.started_at,
        ended_at=row.ended_at,
        end_reason=EndReason(row.end_reason) if row.end_reason else None,
        exit_status=row.exit_status,
        exit_signal=row.exit_signal,
        bytes_in=row.bytes_in,
        bytes_out=row.bytes_out,
        recording=Stored(row.path, row.sha256, row.size, row.events, row.sealed),
    )
