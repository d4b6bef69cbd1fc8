"""The index of sessions: its queries.

It gives back values (`Session`), never rows, and does not know which database it talks to:
somebody hands in a `Database` whose `write()` is a transaction that excludes other writers
from its start (BEGIN IMMEDIATE on SQLite). It blocks; callers use threads.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, insert, or_, select, update

from recorder.ceilings import Ceiling, Ceilings, Live, TooMany, Whose
from recorder.database import Database, renamed, tolerantly
from recorder.errors import IndexUnavailable
from recorder.file_rows import FileRows
from recorder.index_tables import is_kept, is_live, is_uncompacted, sessions
from recorder.rows import closing, opening, session_of
from recorder.session import (
    Compaction,
    Ending,
    EndReason,
    Kind,
    Session,
    SessionInfo,
    Stored,
    session_name,
)

log = logging.getLogger(__name__)

MOST_ROWS = 1000

_s = sessions.c
_MISTAKEN = (
    _s.runner.is_not_distinct_from(bindparam("own")),
    _s.end_reason == EndReason.LOST.value,
    _s.sha256.is_(None),
)
"""What the process `own` carries, and others took for lost."""

# What each session's beginning and end ask is built once.
_begin = insert(sessions).returning(_s.id)
_this = update(sessions).where(_s.id == bindparam("number"))
_place = _this.values(path=bindparam("placed")).returning(sessions)
_end = _this.where(or_(is_live, and_(*_MISTAKEN)))
_end_whole = _end.returning(sessions)
_count = (
    select(
        func.count(),
        func.count().filter(_s.user == bindparam("of_user")),
        func.count().filter(_s.grant_id == bindparam("of_grant")),
        func.count().filter(_s.host == bindparam("of_host")),
    )
    .select_from(sessions)
    .where(is_live)
)


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


Told = Callable[[Connection, Sequence[Session]], object]
"""Is told of sessions that begin, or are over now, and keeps it in the transaction that is handed
to it."""

Rows = Iterable[Row[tuple[object, ...]]]


class Index:
    """The sessions of one archive. Raises IndexUnavailable when the database does not answer.

    `runner` names this process: what it adds is its own to record. Whoever keeps what happened is
    `told` in the same transaction: both, or neither. `files` are those that went over in its
    sessions.
    """

    def __init__(
        self,
        database: Database,
        runner: str | None = None,
        told: Told = lambda *_: None,
    ) -> None:
        self._database = database
        self._runner = runner
        self._told = told
        self.files = FileRows(database)

    def add(
        self,
        info: SessionInfo,
        started_at: datetime,
        place: Callable[[int], str],
        ceilings: Ceilings | None = None,
    ) -> Session:
        """Insert a session's row, let `place(id)` make its file, and tell, in one transaction.

        `place` gives the file's path. What it raises undoes the row, so no row that others
        can see is without a file. Raises TooMany where so many go on as `ceilings` allow: whatever
        others add at the same time, no more do.
        """
        with self._writing() as connection:
            if ceilings is not None:
                full = _full(connection, Whose(info.user, info.grant, info.host), ceilings)
                if full is not None:
                    raise TooMany(full)
            opened = opening(info, started_at) | {"runner": self._runner}
            number = connection.execute(_begin, opened).scalar_one()
            placed = {"number": number, "placed": place(number)}
            session = session_of(connection.execute(_place, placed).one())
            self._told(connection, [session])
            return session

    def full(self, whose: Whose, ceilings: Ceilings) -> Ceiling | None:
        """What would keep such a session from beginning now; nothing is kept free for it."""
        with renamed(), self._database.read() as connection:
            return _full(connection, whose, ceilings)

    def complete(self, session: int, ending: Ending, stored: Stored) -> bool:
        """Write how a session ended. False if it had ended already: the first end stays.

        But where others took this process's for lost, it was not. One whose row can't be read is
        over all the same, and not told of: `verify` tells.
        """
        closed = closing(ending, stored) | {"number": session, "own": self._runner}
        try:
            with self._writing() as connection:
                return bool(self._over(connection, connection.execute(_end_whole, closed)))
        except (ValueError, TypeError) as error:
            log.error("%s is over, and that can't be told: %s", session_name(session), error)
            with self._writing() as connection:
                return connection.execute(_end, closed).rowcount == 1

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
            return self._over(connection, connection.execute(statement))

    def find_again(self, numbers: Collection[int]) -> frozenset[int]:
        """These of this process's go on: whoever took them for lost was mistaken.

        Gives those that another one has recovered meanwhile, and so are over.
        """
        these = sessions.c.id.in_(numbers)
        with self._writing() as connection:
            again = update(sessions).where(these, *_MISTAKEN)
            connection.execute(again.values(ended_at=None, end_reason=None), {"own": self._runner})
            others = sessions.c.runner.is_distinct_from(self._runner)
            return frozenset(
                connection.execute(select(sessions.c.id).where(these, others)).scalars()
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
        values = closing(ending, stored)
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

    def _fetch(self, statement: Select[tuple[object, ...]]) -> list[Session]:
        with renamed(), self._database.read() as connection:
            return [session_of(row) for row in connection.execute(statement)]

    def _numbers(self, statement: Select[int]) -> list[int]:
        with renamed(), self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def _over(self, connection: Connection, rows: Rows) -> list[Session]:
        """What these rows are, in order, which are over now: told of."""
        found = sorted(map(session_of, rows), key=lambda session: session.id)
        if found:
            self._told(connection, found)
        return found

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with renamed(), self._database.write() as connection:
            yield connection


def _full(connection: Connection, whose: Whose, ceilings: Ceilings) -> Ceiling | None:
    found = connection.execute(
        _count, {"of_user": whose.user, "of_grant": whose.grant, "of_host": whose.host}
    ).one()
    return ceilings.reached(Live(*found))


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
