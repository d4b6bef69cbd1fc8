"""News of what is open: all of it, however much came at once."""

import pytest

from bastion.lookout import Lookout
from bastion.news import Question, asked
from bastion.people import People
from bastion.store import Store, jumps
from bastion.store.watchers import Watchers
from tests.bastion.worlds import BOB, NOW


def test_more_kills_than_a_page_are_heard_of_at_once(
    peopled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left over would be heard of at the next change, whenever that is."""
    monkeypatch.setattr(jumps, "MOST_ROWS", 2)
    kills = [peopled.ask_kill(session, BOB, "why", NOW) for session in range(31, 36)]
    question = Question(
        None, None, last_kill=0, grants=frozenset(), names=frozenset(), watched=frozenset()
    )
    news = asked(peopled, Lookout(Watchers(peopled), People({})), question)
    assert news.kills == {kill.session: kill for kill in kills}
    assert news.last_kill == kills[-1].id
