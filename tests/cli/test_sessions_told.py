"""A session's row and the event that tells of it: both, or neither."""

import pytest

from bastion.app import Services
from bastion.events import What
from recorder import TooMany
from tests.bastion.test_sessions_at_once import INFO, MOST
from tests.bastion.worlds import NOW


def refused(number: int) -> str:
    """No file can be made."""
    raise OSError(f"no room for S-{number}")


def test_whoever_sees_a_session_finds_in_the_log_that_it_began(services: Services) -> None:
    """Its row is nowhere without the event, so a row that is taken away is missed at once."""
    session = services.index.add(INFO, NOW, lambda number: f"S-{number}")
    assert services.journal.about_sessions([session.id]) == {(session.id, What.SESSION_STARTED)}
    assert [of for _, of in services.journal.sessions_begun()] == [session.id]
    newest = services.journal.events(limit=1)[0]
    assert (newest.happened.user, newest.happened.connection) == (INFO.user, INFO.connection)
    assert newest.at == NOW


def test_a_session_that_does_not_begin_is_not_told_of(services: Services) -> None:
    """Neither where its file can't be made, nor where there is no room for it."""
    with pytest.raises(OSError, match="no room for S-1"):
        services.index.add(INFO, NOW, refused)
    for _ in range(MOST.each_grant):
        services.index.add(INFO, NOW, lambda number: f"S-{number}", MOST)
    with pytest.raises(TooMany):
        services.index.add(INFO, NOW, lambda number: f"S-{number}", MOST)
    begun = [of for _, of in services.journal.sessions_begun()]
    assert begun == sorted(row.id for row in services.index.find())
    assert len(begun) == MOST.each_grant
