"""The index: who, where and when, newest first, and moments that keep their zone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import delete, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import CreateTable

from recorder import EndReason, Index, Kind, SessionInfo, Stored, Wanted
from recorder.database import Database
from recorder.index_tables import sessions
from recorder.session import Ending
from tests.recorder.places import MORNING, exec_of, shell

TALLINN = timezone(timedelta(hours=2))


def add(index: Index, info: SessionInfo, at: datetime = MORNING) -> int:
    return index.add(info, at, lambda session: f"S-{session}.cast").id


def close(index: Index, session: int, reason: EndReason = EndReason.CLOSED) -> bool:
    ending = Ending(reason=reason, at=MORNING + timedelta(hours=1))
    return index.complete(session, ending, Stored(f"S-{session}.cast", "ab" * 32, 10, 2))


def test_lists_are_narrowed_and_newest_first(index: Index) -> None:
    """Each filter narrows; together they narrow further."""
    alice = add(index, exec_of(user="alice"))
    bob = add(index, replace(shell(), user="bob", grant=8), MORNING + timedelta(hours=2))
    other = add(index, replace(exec_of(), host="db-1", login="root"))
    close(index, alice)

    def found(wanted: Wanted) -> list[int]:
        return [session.id for session in index.find(wanted)]

    assert found(Wanted()) == [other, bob, alice]
    assert found(Wanted(user="alice")) == [other, alice]
    assert found(Wanted(user="alice", host="web-1")) == [alice]
    assert found(Wanted(login="root")) == [other]
    assert found(Wanted(grant=8)) == [bob]
    assert found(Wanted(kind=Kind.SHELL)) == [bob]
    assert found(Wanted(live=True)) == [other, bob]
    assert found(Wanted(live=False)) == [alice]
    assert found(Wanted(since=MORNING + timedelta(hours=1))) == [bob]
    assert found(Wanted(until=MORNING + timedelta(hours=2))) == [other, alice]
    assert found(Wanted(user="'; DROP TABLE sessions; --")) == []


def test_pages_follow_one_another(index: Index) -> None:
    """The last id of a page asks for the next; a page has an end."""
    ids = [add(index, exec_of()) for _ in range(7)]
    first = index.find(limit=3)
    second = index.find(limit=3, before=first[-1].id)
    third = index.find(limit=3, before=second[-1].id)
    assert [s.id for s in first + second + third] == ids[::-1]
    assert index.find(limit=-1) == []


def test_an_end_is_written_once(index: Index) -> None:
    """Whoever comes second is told so and changes nothing."""
    session = add(index, exec_of())
    assert close(index, session, EndReason.REVOKED)
    assert not close(index, session, EndReason.INTERRUPTED)
    found = index.get(session)
    assert found is not None
    assert found.end_reason is EndReason.REVOKED
    assert found.recording == Stored(f"S-{session}.cast", "ab" * 32, 10, 2, sealed=False)


def test_a_moment_keeps_its_meaning(index: Index) -> None:
    """Noon in Tallinn is stored and given back as ten in UTC, aware."""
    session = index.get(add(index, exec_of(), datetime(2026, 11, 23, 12, tzinfo=TALLINN)))
    assert session is not None
    assert session.started_at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert session.started_at.tzinfo is UTC
    since = datetime(2026, 11, 23, 11, 59, tzinfo=TALLINN)
    assert [s.id for s in index.find(Wanted(since=since))] == [session.id]


def test_a_moment_without_a_zone_is_refused(index: Index) -> None:
    """Nobody guesses which noon was meant."""
    with pytest.raises(StatementError, match="without a zone"):
        add(index, exec_of(), datetime(2026, 11, 23, 12))  # noqa: DTZ001


def test_a_file_that_cannot_be_made_undoes_the_row(index: Index) -> None:
    """Row and file begin together or not at all."""

    def fail(session: int) -> str:
        raise OSError(28, f"no space for {session}")

    with pytest.raises(OSError, match="no space"):
        index.add(exec_of(), MORNING, fail)
    assert index.find() == []
    assert index.get(1) is None


def test_numbers_are_not_used_again(index: Index, database: Database) -> None:
    """S-2 never becomes another session's name, also when its row is gone."""
    add(index, exec_of())
    second = add(index, exec_of())
    with database.write() as connection:
        connection.execute(delete(sessions).where(sessions.c.id == second))
    assert add(index, exec_of()) == second + 1


@pytest.mark.parametrize("text", ["a\x00b", "\udcff", "naïve ☃"])
def test_any_command_can_be_stored(index: Index, text: str) -> None:
    """A client's bytes never make the row impossible."""
    session = index.get(add(index, exec_of(text)))
    assert session is not None
    assert session.command == exec_of(text).command


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        ("\"user\" = 'alice'", "ix_sessions_user"),
        ("host = 'web-1'", "ix_sessions_host"),
        ("grant_id = 7", "ix_sessions_grant"),
        ("ended_at IS NULL", "ix_sessions_live"),
    ],
)
def test_a_list_uses_an_index(database: Database, condition: str, name: str) -> None:
    """A year of sessions is neither read nor sorted to show today's."""
    asked = f"SELECT * FROM sessions WHERE {condition} ORDER BY id DESC"  # noqa: S608
    with database.read() as connection:
        if connection.dialect.name == "postgresql":  # which reads a table of no rows as it lies
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = connection.execute(text(f"EXPLAIN {asked}")).all()
        else:
            plan = connection.execute(text(f"EXPLAIN QUERY PLAN {asked}")).all()
    assert name in str(plan)


def test_postgresql_can_have_the_table_too() -> None:
    """The same table, in PostgreSQL's words."""
    statement = str(CreateTable(sessions).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "id BIGSERIAL NOT NULL" in statement
    assert "started_at TIMESTAMP WITH TIME ZONE NOT NULL" in statement
    assert '"user" VARCHAR(64) NOT NULL' in statement
