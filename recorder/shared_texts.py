"""The text index in PostgreSQL: one for all machines, beside what it is made from.

    searched   how far each session is indexed, and by which machine
    chunks     lines, some dozens in each row, compressed, with their words (tsvector, GIN)

The words are ours (`lexemes`), so that no configuration of the server's language decides what is
found. What is written here waits for no writer at the doors, and keeps none waiting.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from itertools import islice
from typing import Final, Protocol

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Text,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.dialects.postgresql import insert as upsert

from recorder.chunks import Chunk, filled, packed
from recorder.database import renamed
from recorder.index_tables import chunks, searched
from recorder.lexemes import lexemes, looked_for
from recorder.needle import Needle
from recorder.session import Session
from recorder.sieve import Search, about_of, milliseconds, whose
from recorder.texts import Found, Standing, State, Update, WantedLines

TOGETHER: Final = 20
"""Chunks that are looked at between two rests."""

PAGE: Final = 500
"""Candidates of which the numbers are fetched at once."""

_TURN: Final = text("SELECT pg_advisory_xact_lock(7024)")
"""One who writes into the index at a time: two machines may drop the same session."""

_c, _s = chunks.c, searched.c


class Beside(Protocol):
    """A PostgreSQL, as this room needs it."""

    def read(self) -> AbstractContextManager[Connection]:
        """One consistent view, nothing written."""

    def aside(self) -> AbstractContextManager[Connection]:
        """A transaction that keeps no other writer waiting."""


class SharedTexts:
    """Implements `texts.Texts`; `node` is the machine that makes transcripts here."""

    def __init__(self, database: Beside, node: str) -> None:
        self._database = database
        self._node = node

    def close(self) -> None:
        """Nothing is held."""

    def write(self, updates: Sequence[Update]) -> None:
        """Keep all of them, or none. What is GONE stays so."""
        with self._writing() as connection:
            for each in updates:
                self._keep(connection, each)

    def standings(self, sessions: Collection[int]) -> Mapping[int, Standing]:
        """What is known of these sessions, as far as anything is."""
        asked = select(_s.session, _s.state, _s.reason, _s.left_out).where(_s.session.in_(sessions))
        with renamed(), self._database.read() as connection:
            rows = connection.execute(asked).all()
        return {row.session: Standing(State(row.state), row.reason, row.left_out) for row in rows}

    def between(self, first: int, last: int) -> Mapping[int, State]:
        """The states of the sessions with these numbers and those between them."""
        asked = select(_s.session, _s.state).where(_s.session.between(first, last))
        with renamed(), self._database.read() as connection:
            return {row.session: State(row.state) for row in connection.execute(asked)}

    def take_over(self, session: int) -> None:
        """Have one that another machine recorded made anew by this one. What is GONE stays so."""
        values = {"state": State.AGAIN.value, "reason": None, "left_out": False, "node": self._node}
        statement = upsert(searched).values(session=session, **values)
        with self._writing() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["session"], set_=values, where=_s.state != State.GONE.value
                )
            )

    def is_made_here(self, session: int) -> bool:
        """Whether this machine is known to make a session's transcript."""
        asked = select(_s.node).where(_s.session == session)
        with renamed(), self._database.read() as connection:
            return connection.execute(asked).scalar() == self._node

    def again(self, limit: int) -> list[int]:
        """Sessions that this machine is to make anew, the oldest first."""
        mine = (_s.state == State.AGAIN.value, _s.node == self._node)
        asked = select(_s.session).where(*mine).order_by(_s.session).limit(limit)
        with renamed(), self._database.read() as connection:
            return list(connection.execute(asked).scalars())

    def find(
        self,
        needle: Needle,
        wanted: WantedLines,
        *,
        limit: int,
        rest: Callable[[], object] = lambda: None,
    ) -> Found:
        """The lines that hold it, at most `limit`; `rest` is called between pieces of work."""
        search = Search(needle, wanted, limit)
        with renamed(), self._database.read() as connection:
            for numbers in _candidates(connection, needle, wanted):
                rest_of_them = iter(numbers)
                while some := list(islice(rest_of_them, TOGETHER)):
                    for row in _bodies(connection, some):
                        search.look(row.session, row.began, row.body)
                    rest()
                    if search.over:
                        return search.found()
        return search.found()

    def forget(self, session: int) -> None:
        """Drop all that there is of a session, for good. Once more does nothing."""
        gone = {"state": State.GONE.value, "reason": None, "left_out": False, "node": self._node}
        statement = upsert(searched).values(session=session, **gone)
        with self._writing() as connection:
            connection.execute(delete(chunks).where(_c.session == session))
            connection.execute(
                statement.on_conflict_do_update(index_elements=["session"], set_=gone)
            )

    def make_anew(self) -> None:
        """Have all of it made anew; until then it stays as it is."""
        over = [each.value for each in (State.WHOLE, State.CLOSED, State.FAILED)]
        statement = update(searched).where(_s.state.in_(over)).values(state=State.AGAIN.value)
        with self._writing() as connection:
            connection.execute(statement)

    def tidy(self) -> bool:
        """The server does that by itself (autovacuum)."""
        return False

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with renamed(), self._database.aside() as connection:
            connection.execute(_TURN)
            yield connection

    def _keep(self, connection: Connection, kept: Update) -> None:
        session, standing = kept.session, kept.standing
        known = connection.execute(select(_s.state).where(_s.session == session.id)).scalar()
        if known == State.GONE.value:
            return
        dropped = delete(chunks).where(_c.session == session.id)
        connection.execute(dropped if kept.anew else dropped.where(_c.open))
        values = {
            "state": standing.state.value,
            "reason": standing.reason,
            "left_out": standing.left_out,
            "node": self._node,
        }
        _put(connection, session.id, values)
        for chunk in kept.chunks:
            connection.execute(insert(chunks).values(_row(session, chunk, is_open=False)))
        for chunk in filled(kept.tail):
            connection.execute(insert(chunks).values(_row(session, chunk, is_open=True)))


def _put(connection: Connection, session: int, values: Mapping[str, object]) -> None:
    """What is known of a session, in place of what was."""
    statement = upsert(searched).values(session=session, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["session"], set_=dict(values))
    )


def _row(session: Session, chunk: Chunk, *, is_open: bool) -> dict[str, object]:
    times = [line.time for line in chunk]
    began, ended = (
        milliseconds(session.started_at + timedelta(seconds=each))
        for each in (min(times), max(times))
    )
    words = lexemes(line.text for line in chunk) | set(about_of(session).split())
    return {
        "session": session.id,
        "began": began,
        "ended": ended,
        "open": is_open,
        "words": func.array_to_tsvector(cast(literal(sorted(words), ARRAY(Text)), ARRAY(Text))),
        "body": packed(chunk),
    }


def _candidates(
    connection: Connection, needle: Needle, wanted: WantedLines
) -> Iterator[Sequence[int]]:
    """The numbers of chunks that may hold it, the newest first, a page at a time."""
    query = cast(literal(looked_for(needle, whose(wanted))), TSQUERY)
    asked = select(_c.id).where(_c.words.bool_op("@@")(query), *_conditions(wanted))
    page = connection.execute(asked.order_by(_c.id.desc()).limit(PAGE)).scalars().all()
    while page:
        yield page
        if len(page) < PAGE:
            return
        older = asked.where(_c.id < page[-1]).order_by(_c.id.desc()).limit(PAGE)
        page = connection.execute(older).scalars().all()


def _conditions(wanted: WantedLines) -> Iterator[ColumnElement[bool]]:
    if wanted.session is not None:
        yield _c.session == wanted.session
    if wanted.since is not None:
        yield _c.ended >= milliseconds(wanted.since)
    if wanted.until is not None:
        yield _c.began < milliseconds(wanted.until)


def _bodies(connection: Connection, numbers: Sequence[int]) -> Sequence[Row[int, int, bytes]]:
    """What lies in these chunks, the newest first."""
    asked = select(_c.session, _c.began, _c.body).where(_c.id.in_(numbers))
    return connection.execute(asked.order_by(_c.id.desc())).all()
