"""The index of sessions and of the files that went over in them: its queries.

It gives back values (`Session`), never rows, and does not know which database it talks to:
somebody hands in a `Database` whose `write()` is a transaction that excludes other writers
from its start (BEGIN IMMEDIATE on SQLite). It blocks; callers use threads.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from recorder.ceilings import Ceiling, Ceilings, Live, TooMany, Whose
from recorder.errors import IndexUnavailable, NotTaken
from recorder.index_tables import files, is_kept, is_live, is_uncompacted, sessions
from recorder.session import (
    Compaction,
    Ending,
    EndReason,
    Kind,
    Session,
    SessionInfo,
    Shipment,
    Stored,
)
from recorder.told import Told
from recorder.transfers import Direction, FileEvent, escaped, unescaped

log = logging.getLogger(__name__)

V = TypeVar("V")

MOST_ROWS = 1000

_BATCH = 500
"""Rows in one statement."""


class Database(Protocol):
    """Where the table lives. Both give a connection for the length of a `with` block."""

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction: committed at the end of the block, rolled back if it raises."""

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view, nothing written."""


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


class Index:
    """The sessions of one archive. Raises IndexUnavailable when the database does not answer.

    `runner` names this process: what it adds is its own to record.
    """

    def __init__(self, database: Database, runner: str | None = None) -> None:
        self._database = database
        self._runner = runner

    def add(
        self,
        info: SessionInfo,
        started_at: datetime,
        place: Callable[[int], str],
        ceilings: Ceilings | None = None,
    ) -> Session:
        """Insert a session's row, and let `place(id)` make its file, in one transaction.

        `place` gives the file's path. What it raises undoes the row, so no row that others
        can see is without a file. Raises TooMany where so many go on as `ceilings` allow: whatever
        others add at the same time, no more do.
        """
        with self._writing() as connection:
            if ceilings is not None:
                full = _full(connection, Whose(info.user, info.grant, info.host), ceilings)
                if full is not None:
                    raise TooMany(full)
            row = connection.execute(
                insert(sessions).values(self._opened(info, started_at)).returning(sessions.c.id)
            ).scalar_one()
            path = place(row)
            connection.execute(update(sessions).where(sessions.c.id == row).values(path=path))
            return _session(connection.execute(select(sessions).where(sessions.c.id == row)).one())

    def full(self, whose: Whose, ceilings: Ceilings) -> Ceiling | None:
        """What would keep such a session from beginning now; nothing is kept free for it."""
        with renamed(), self._database.read() as connection:
            return _full(connection, whose, ceilings)

    def _opened(self, info: SessionInfo, started_at: datetime) -> dict[str, object]:
        return _opening(info, started_at) | {"runner": self._runner}

    def complete(self, session: int, ending: Ending, stored: Stored) -> bool:
        """Write how a session ended. False if it had ended already: the first end stays.

        But where others took this process's for lost, it was not.
        """
        open_ = or_(is_live, and_(*self._mistaken()))
        statement = update(sessions).where(sessions.c.id == session, open_)
        with self._writing() as connection:
            return connection.execute(statement.values(_closing(ending, stored))).rowcount == 1

    def runners(self) -> frozenset[str]:
        """The processes that live sessions are of."""
        statement = select(sessions.c.runner).where(is_live, sessions.c.runner.is_not(None))
        with renamed(), self._database.read() as connection:
            return frozenset(connection.execute(statement.distinct()).scalars())

    def lose(self, runners: Collection[str], at: datetime) -> list[Session]:
        """End as `lost` what these carried, on a machine that is gone; what that was."""
        theirs = (is_live, sessions.c.runner.in_(runners))
        values = {"ended_at": at, "end_reason": EndReason.LOST.value}
        with self._writing() as connection:
            statement = update(sessions).where(*theirs).values(values).returning(sessions)
            return sorted(map(_session, connection.execute(statement)), key=lambda each: each.id)

    def find_again(self, numbers: Collection[int]) -> frozenset[int]:
        """These of this process's go on: whoever took them for lost was mistaken.

        Gives those that another one has recovered meanwhile, and so are over.
        """
        these = sessions.c.id.in_(numbers)
        with self._writing() as connection:
            again = update(sessions).where(these, *self._mistaken())
            connection.execute(again.values(ended_at=None, end_reason=None))
            others = sessions.c.runner.is_distinct_from(self._runner)
            return frozenset(
                connection.execute(select(sessions.c.id).where(these, others)).scalars()
            )

    def _mistaken(self) -> tuple[ColumnElement[bool], ...]:
        """What this process carries, and others took for lost."""
        return (
            sessions.c.runner == self._runner,
            sessions.c.end_reason == EndReason.LOST.value,
            sessions.c.sha256.is_(None),
        )

    def lost(self, runners: Collection[str]) -> list[Session]:
        """Those of these that were taken for lost, and whose recordings nobody has closed."""
        return self._fetch(
            select(sessions)
            .where(
                sessions.c.end_reason == EndReason.LOST.value,
                sessions.c.sha256.is_(None),
                sessions.c.runner.in_(runners),
            )
            .order_by(sessions.c.id)
            .limit(MOST_ROWS)
        )

    def keep_recording(self, session: Session, ending: Ending, stored: Stored) -> None:
        """What was recorded of one that was lost; that it was stays, and when that was seen.

        Unless another machine carries it meanwhile.
        """
        values = _closing(ending, stored)
        del values["ended_at"], values["end_reason"]
        lost = (
            sessions.c.id == session.id,
            sessions.c.runner.is_not_distinct_from(session.runner),
            sessions.c.sha256.is_(None),
        )
        with self._writing() as connection:
            connection.execute(update(sessions).where(*lost).values(values))

    def get(self, session: int) -> Session | None:
        """The session with this number."""
        found = self._fetch(select(sessions).where(sessions.c.id == session))
        return found[0] if found else None

    def numbers(self, after: int | None = None, limit: int = MOST_ROWS) -> list[int]:
        """The numbers of sessions in their order, at most `limit`; those after `after`."""
        statement = select(sessions.c.id).order_by(sessions.c.id).limit(limit)
        if after is not None:
            statement = statement.where(sessions.c.id > after)
        return self._numbers(statement)

    def live(self) -> set[int]:
        """The numbers of the sessions that have not ended yet."""
        with renamed(), self._database.read() as connection:
            return set(connection.execute(select(sessions.c.id).where(is_live)).scalars())

    def read(self, numbers: Collection[int]) -> dict[int, Session | None]:
        """The sessions with these numbers, as far as there are; None is a row that can't be read.

        For whoever judges rows: a row that nobody of ours has written hides no other.
        """

        def fetched(some: Collection[int]) -> dict[int, Session | None]:
            found = self._fetch(select(sessions).where(sessions.c.id.in_(some)))
            return {session.id: session for session in found}

        return tolerantly(fetched, numbers, self.numbers)

    def present(self, numbers: Collection[int]) -> dict[int, str | None]:
        """Which of these sessions have a row, and their recording's path, if it can be read."""

        def fetched(some: Collection[int]) -> dict[int, str | None]:
            asked = select(sessions.c.id, sessions.c.path).where(sessions.c.id.in_(some))
            with renamed(), self._database.read() as connection:
                found = connection.execute(asked).all()
            return {number: path if isinstance(path, str) else None for number, path in found}

        return tolerantly(fetched, numbers, self.numbers)

    def count(self) -> int:
        """How many sessions there are."""
        with renamed(), self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(sessions)).scalar_one()

    def find(
        self, wanted: Wanted | None = None, *, limit: int = 100, before: int | None = None
    ) -> list[Session]:
        """The newest sessions first, at most `limit` (and never over 1000) of them.

        For the next page give the last one's id as `before`. A row that can't be read is left out:
        `verify` tells of it.
        """
        most, ordered = max(0, min(limit, MOST_ROWS)), sessions.c.id.desc()
        while True:
            statement = _narrowed(select(sessions), wanted or Wanted())
            if before is not None:
                statement = statement.where(sessions.c.id < before)
            page = statement.order_by(ordered).limit(most)
            try:
                return self._fetch(page)
            except (IndexUnavailable, ValueError, TypeError):
                numbers = self._numbers(page.with_only_columns(sessions.c.id))
            read = self.read(numbers)
            found = [session for number in numbers if (session := read.get(number)) is not None]
            log.error("%d rows of sessions can't be read", len(numbers) - len(found))
            if found or not numbers:
                return found
            before = numbers[-1]

    def kept_hosts(self) -> list[str]:
        """The hosts of which there are recordings, by name.

        A name that can't be read hides no other; then it takes longer.
        """
        statement = select(sessions.c.host).where(is_kept).distinct()
        try:
            with renamed(), self._database.read() as connection:
                found = set(connection.execute(statement).scalars())
        except IndexUnavailable:
            found = {each.host for each in self._readable() if each.recording.let_go_at is None}
        return sorted(host for host in found if isinstance(host, str))

    def _readable(self) -> Iterator[Session]:
        after = None
        while page := self.numbers(after):
            yield from (each for each in self.read(page).values() if each is not None)
            after = page[-1]

    def kept(
        self, host: str, began_before: datetime, *, limit: int, after: int | None = None
    ) -> list[int]:
        """The numbers of sessions on a host that are over and were not let go, the oldest first.

        At most `limit`; for the next page, `after` is the last one.
        """
        began, number = sessions.c.started_at, sessions.c.id
        statement = select(number).where(is_kept, ~is_live, sessions.c.host == host)
        statement = statement.where(began < began_before)
        if after is not None:
            last = select(began).where(number == after).scalar_subquery()
            statement = statement.where(began >= last, or_(began > last, number > after))
        with renamed(), self._database.read() as connection:
            return list(
                connection.execute(statement.order_by(began, number).limit(limit)).scalars()
            )

    def uncompacted(self, ended_before: datetime, *, limit: int, after: int) -> list[int]:
        """Sessions that ended before that time and are sealed, whose recording nobody has looked
        at to compact it, and that was not let go: the oldest first, after the number `after`."""
        columns = sessions.c
        statement = select(columns.id).where(
            is_uncompacted,
            is_kept,
            columns.sealed,
            columns.ended_at < ended_before,
            columns.id > after,
        )
        return self._numbers(statement.order_by(columns.id).limit(limit))

    def compacted(
        self,
        numbers: Collection[int],
        compaction: Compaction,
        size: int | None = None,
        points: str | None = None,
    ) -> None:
        """Write what became of the files of these sessions."""
        statement = update(sessions).where(sessions.c.id.in_(numbers))
        with self._writing() as connection:
            connection.execute(
                statement.values(compaction=compaction.value, compacted_size=size, points=points)
            )

    def keep_files(self, session: int, told: Iterable[Told]) -> None:
        """Write what became of a session's files, in place of what was written before.

        The recording is the evidence, and this is read back from it: twice is the same as once.
        """
        rows = (_file_values(session, number, each) for number, each in enumerate(told, 1))
        with self._writing() as connection:
            connection.execute(delete(files).where(files.c.session == session))
            while batch := list(islice(rows, _BATCH)):
                connection.execute(insert(files), batch)

    def find_files(self, wanted: WantedFiles | None = None, *, limit: int = 100) -> list[FileRow]:
        """The newest files first, at most `limit` (and never over 1000) of them."""
        statement = _narrowed_files(wanted or WantedFiles()).order_by(
            files.c.session.desc(), files.c.number.desc()
        )
        with renamed(), self._database.read() as connection:
            rows = connection.execute(statement.limit(max(0, min(limit, MOST_ROWS)))).all()
            numbers = {row.session for row in rows}
            of = select(sessions).where(sessions.c.id.in_(numbers))
            known = {row.id: _session(row) for row in connection.execute(of)}
        return [FileRow(known[row.session], row.number, row.at, _event(row)) for row in rows]

    def files_of(self, session: Session) -> Iterator[FileRow]:
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

    def _fetch(self, statement: Select[tuple[object, ...]]) -> list[Session]:
        with renamed(), self._database.read() as connection:
            return [_session(row) for row in connection.execute(statement)]

    def _numbers(self, statement: Select[int]) -> list[int]:
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with renamed(), self._database.write() as connection:
            yield connection


def _full(connection: Connection, whose: Whose, ceilings: Ceilings) -> Ceiling | None:
    columns, number = sessions.c, func.count()
    counted = (
        number,
        number.filter(columns.user == whose.user),
        number.filter(columns.grant_id == whose.grant),
        number.filter(columns.host == whose.host),
    )
    found = connection.execute(select(*counted).select_from(sessions).where(is_live)).one()
    return ceilings.reached(Live(*found))


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
        statement = statement.where(is_live if wanted.live else ~is_live)
    if wanted.since is not None:
        statement = statement.where(columns.started_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(columns.started_at < wanted.until)
    return statement


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
        recording=_stored(row),
        runner=row.runner,
    )


def _stored(row: Row[tuple[object, ...]]) -> Stored:
    return Stored(
        row.path,
        row.sha256,
        row.size,
        row.events,
        row.sealed,
        row.let_go_at,
        Compaction(row.compaction) if row.compaction else None,
        row.compacted_size,
        row.points,
        Shipment(row.shipment) if row.shipment else None,
    )
