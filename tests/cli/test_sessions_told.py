"""A session's row and the events that tell of its beginning and its end: both, or neither."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, update

from bastion.app import Services
from bastion.events import Happened, What
from recorder import EndReason, Index, Session, TooMany
from recorder.index_tables import sessions
from recorder.session import Ending, Stored
from tests.bastion.test_sessions_at_once import INFO, MOST
from tests.bastion.worlds import NOW, SECOND

CLOSED = Ending(EndReason.CLOSED, NOW + SECOND, exit_status=3)


def begun(services: Services) -> Session:
    """One more session."""
    return services.index.add(INFO, NOW, lambda number: f"S-{number}")


def told(services: Services, *of: What) -> list[Happened]:
    """What the log tells of sessions, oldest first."""
    happened = (event.happened for event in reversed(services.journal.events()))
    return [each for each in happened if each.what in of]


def refused(number: int) -> str:
    """No file can be made."""
    raise OSError(f"no room for S-{number}")


def test_whoever_sees_a_session_finds_in_the_log_that_it_began(services: Services) -> None:
    """Its row is nowhere without the event, so a row that is taken away is missed at once."""
    session = begun(services)
    [happened] = told(services, What.SESSION_STARTED, What.SESSION_ENDED)
    assert (happened.what, happened.session) == (What.SESSION_STARTED, session.id)
    assert (happened.user, happened.connection) == (INFO.user, INFO.connection)
    assert [of for _, of in services.journal.sessions_begun()] == [session.id]


def test_a_session_that_does_not_begin_is_not_told_of(services: Services) -> None:
    """Neither where its file can't be made, nor where there is no room for it."""
    with pytest.raises(OSError, match="no room for S-1"):
        services.index.add(INFO, NOW, refused)
    for _ in range(MOST.each_grant):
        services.index.add(INFO, NOW, lambda number: f"S-{number}", MOST)
    with pytest.raises(TooMany):
        services.index.add(INFO, NOW, lambda number: f"S-{number}", MOST)
    began = [happened.session for happened in told(services, What.SESSION_STARTED)]
    assert began == sorted(row.id for row in services.index.find())
    assert len(began) == MOST.each_grant


def test_an_end_is_told_once(services: Services) -> None:
    """By whoever wrote it first; a second end is none."""
    session = begun(services)
    stored = Stored("S-1", "ab" * 32, 10, 2)
    assert services.index.complete(session.id, CLOSED, stored)
    assert not services.index.complete(session.id, CLOSED, stored)
    [happened] = told(services, What.SESSION_ENDED)
    assert (happened.session, happened.why) == (session.id, EndReason.CLOSED)
    assert happened.details["exit_status"] == 3
    assert happened.details["sha256"] == stored.sha256


def test_each_that_is_lost_is_told_of(services: Services) -> None:
    """All that a machine carried which does not answer any more, however many and however old."""
    first, second, third = (begun(services) for _ in range(3))
    services.index.complete(second.id, CLOSED, Stored("S-2"))
    services.index.lose([str(first.runner)], NOW + SECOND)
    ends = told(services, What.SESSION_ENDED)
    assert [(each.session, each.why) for each in ends] == [
        (second.id, EndReason.CLOSED),
        (first.id, EndReason.LOST),
        (third.id, EndReason.LOST),
    ]


def test_a_row_that_cannot_be_read_is_over_all_the_same(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever spoils a live session's row keeps it neither alive nor from being sealed; the service
    says that it could not tell of it."""
    session = begun(services)
    with services.store.write() as connection:
        connection.execute(update(sessions).values(kind="unheard-of"))
    assert services.index.complete(session.id, CLOSED, Stored("S-1"))
    assert not services.index.live()
    assert told(services, What.SESSION_ENDED) == []
    assert f"{session.name} is over, and that can't be told" in caplog.text


def test_what_cannot_be_told_has_not_begun(services: Services) -> None:
    """Where the log takes no event there is no session; but one that is over is over."""

    def no(connection: Connection, told: Sequence[Session]) -> None:
        raise ValueError("the log does not take that")

    session = begun(services)
    untold = Index(services.store.database, services.store.chain.boot, told=no)
    with pytest.raises(ValueError, match="the log does not take that"):
        untold.add(INFO, NOW, lambda number: f"S-{number}")
    assert [row.id for row in services.index.find()] == [session.id]
    assert untold.complete(session.id, CLOSED, Stored("S-1"))
    assert not services.index.live()
