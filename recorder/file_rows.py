"""What became of files that went over, in the database: the statements.

Values in, values out; it blocks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from sqlalchemy import ColumnElement, Row, Select, delete, insert, or_, select

from recorder.database import Database, renamed
from recorder.index_tables import files, sessions
from recorder.rows import session_of
from recorder.session import Session
from recorder.told import Told
from recorder.transfers import Direction, FileEvent, escaped, unescaped

MOST: Final = 1000
"""Rows of one list."""

_BATCH = 500
"""Rows in one statement."""


@dataclass(frozen=True, slots=True)
class WantedFiles:
    """Which files a list is about; what is None does not narrow it.

    `path` is matched with either path of an operation, as recordings write it (`escaped`): `*` is
    any characters, `?` is one. `since` and `until`: since <= at < until.
    """

    user: str | None = None
    host: str | None = None
    session: int | None = None
    path: str | None = None
    sha256: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileRow:
    """What became of one file: in which session, whose, and when."""

    session: Session
    number: int
    at: datetime
    event: FileEvent


class FileRows:
    """The files of one archive's sessions. Raises IndexUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, session: int, told: Iterable[Told]) -> None:
        """Write what became of a session's files, in place of what was written before.

        The recording is the evidence, and this is read back from it: twice is the same as once.
        """
        rows = (_file_values(session, number, each) for number, each in enumerate(told, 1))
        with renamed(), self._database.write() as connection:
            connection.execute(delete(files).where(files.c.session == session))
            while batch := list(islice(rows, _BATCH)):
                connection.execute(insert(files), batch)

    def find(self, wanted: WantedFiles | None = None, *, limit: int = 100) -> list[FileRow]:
        """The newest files first, at most `limit` (and never over 1000) of them."""
        statement = _narrowed_files(wanted or WantedFiles()).order_by(
            files.c.session.desc(), files.c.number.desc()
        )
        with renamed(), self._database.read() as connection:
            rows = connection.execute(statement.limit(max(0, min(limit, MOST)))).all()
            numbers = {row.session for row in rows}
            of = select(sessions).where(sessions.c.id.in_(numbers))
            known = {row.id: session_of(row) for row in connection.execute(of)}
        return [FileRow(known[row.session], row.number, row.at, _event(row)) for row in rows]

    def of(self, session: Session) -> Iterator[FileRow]:
        """All files of a session, in the order in which they were told; read by and by."""
        last = 0
        while True:
            statement = (
                select(files)
                .where(files.c.session == session.id, files.c.number > last)
                .order_by(files.c.number)
                .limit(_BATCH)
            )
            with renamed(), self._database.read() as connection:
                rows = connection.execute(statement).all()
            yield from (FileRow(session, row.number, row.at, _event(row)) for row in rows)
            if len(rows) < _BATCH:
                return
            last = rows[-1].number


def _narrowed_files(wanted: WantedFiles) -> Select[tuple[object, ...]]:
    statement = select(files).join(sessions, sessions.c.id == files.c.session)
    conditions: list[ColumnElement[bool]] = []
    for column, value in (
        (sessions.c.user, wanted.user),
        (sessions.c.host, wanted.host),
        (files.c.session, wanted.session),
        (files.c.sha256, wanted.sha256),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.path is not None:
        pattern = _pattern(wanted.path)
        columns = (files.c.path, files.c.other)
        conditions.append(or_(*(column.like(pattern, escape="!") for column in columns)))
    if wanted.since is not None:
        conditions.append(files.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(files.c.at < wanted.until)
    return statement.where(*conditions)


def _pattern(glob: str) -> str:
    """As LIKE has it."""
    literal = "".join(f"!{c}" if c in "!%_" else c for c in glob)
    return literal.replace("*", "%").replace("?", "_")


def _file_values(session: int, number: int, told: Told) -> dict[str, object]:
    event = told.event
    return {
        "session": session,
        "number": number,
        "at": told.at,
        "operation": event.operation,
        "path": escaped(event.path),
        "other": None if event.other is None else escaped(event.other),
        "direction": None if event.direction is None else event.direction.value,
        "bytes": event.bytes,
        "sha256": event.sha256,
        "result": event.result,
        "sequential": event.sequential,
    }


def _event(row: Row[tuple[object, ...]]) -> FileEvent:
    return FileEvent(
        row.operation,
        unescaped(row.path),
        None if row.other is None else unescaped(row.other),
        None if row.direction is None else Direction(row.direction),
        row.bytes,
        row.sha256,
        row.result,
        row.sequential,
    )
