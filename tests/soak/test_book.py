"""The book: a session that nobody opened, that is not in the table, or that outlived its grant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from recorder import Kind, Session
from recorder.session import Stored
from tests.soak.book import FELT, Book, outlived

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SESSION = Session(
    id=1,
    connection=1,
    user="alice",
    grant=1,
    host="prod-host",
    login="deploy",
    kind=Kind.EXEC,
    command=": soak-1; true",
    source="127.0.0.1",
    started_at=NOW,
    ended_at=NOW,
    end_reason=None,
    exit_status=0,
    exit_signal=None,
    bytes_in=0,
    bytes_out=0,
    recording=Stored("S-1"),
)
FORWARD = replace(SESSION, id=2, kind=Kind.FORWARD, command="localhost:1")


def test_what_was_seen_to_begin_has_a_session() -> None:
    """One; what was only tried may have one."""
    book = Book()
    tag = book.tag()
    book.tries(Kind.FORWARD, 2)
    book.saw(Kind.FORWARD)
    assert book.held_against([FORWARD]) == []
    assert book.held_against([SESSION, FORWARD, FORWARD]) == []
    book.saw(tag)
    assert book.held_against([FORWARD]) == [f"{tag} has no session"]


def test_what_nobody_opened_is_found() -> None:
    """More of a kind than were tried, a command twice, one that is unknown."""
    book = Book()
    book.saw(book.tag())
    assert book.held_against([SESSION, SESSION]) == ["soak-1: 2 sessions, 1 seen to begin, 1 tried"]
    unknown = replace(SESSION, command=": soak-7; true")
    assert book.held_against([SESSION, unknown, FORWARD]) == [
        "soak-7: 1 sessions, 0 seen to begin, 0 tried",
        "forward: 1 sessions, 0 seen to begin, 0 tried",
    ]


def test_a_session_that_has_outlived_its_grant_is_found() -> None:
    """By more than it takes to be felt."""
    just = replace(SESSION, ended_at=NOW + FELT)
    late = replace(SESSION, id=3, ended_at=NOW + FELT + timedelta(seconds=1))
    assert outlived([SESSION, just], {1: NOW}) == []
    assert outlived([just, late], {1: NOW}) == ["S-3 has outlived G-1 by 16.0 s"]
