"""Watching: each look is told of when it begins and when it ends, and kept only as long as that."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bastion.actor import Actor
from bastion.errors import Conflict
from bastion.events import What
from bastion.inventory import Role, User
from bastion.people import People
from bastion.store import Store
from bastion.store.journal import Journal
from bastion.store.watchers import FORGOTTEN, Watchers
from bastion.watchers import LEASE, MOST
from bastion.watching import Watching
from recorder.session import Kind, Session, Stored
from tests.bastion.worlds import NOW, ROOT, SECOND, key

S31 = Session(
    *(31, 7, "alice", 1, "web-1", "deploy", Kind.SHELL, None, "192.0.2.7", NOW),
    *(None, None, None, None, 0, 0, Stored("S-31.cast")),
)
RITA = Actor("rita", "192.0.2.9", key=key("rita-1"))


@pytest.fixture
def watching(peopled: Store) -> Watching:
    """With alice, who is watched, and rita, an auditor."""
    peopled.add_user(User("rita", frozenset({Role.AUDITOR}), keys=(key("rita-1"),)), ROOT, NOW)
    return Watching(Watchers(peopled), People({"op": "rita"}))


def names(watching: Watching, at: datetime) -> list[tuple[str, bool]]:
    """Who watches S-31, and whether that counts."""
    seen = watching.of([S31], at).get(31, [])
    return [(each.watcher.name, each.why_not is None) for each in seen]


def told(store: Store) -> list[tuple[What, str, str | None]]:
    """The looks in the log: how each began and ended."""
    events = [each.happened for each in Journal(store).after(0)]
    about = (What.RECORDING_LOOKED_AT, What.WATCH_ENDED)
    return [(each.what, each.actor, each.why) for each in events if each.what in about]


def test_a_look_lasts_from_its_first_beat_to_its_end(watching: Watching, peopled: Store) -> None:
    """Before anything was shown nobody watches yet. Both ends are told, each once."""
    look = watching.begin(RITA, S31, NOW)
    assert names(watching, NOW) == []
    look.beat(NOW)
    assert names(watching, NOW) == [("rita", True)]
    look.end(NOW + SECOND)
    look.end(NOW + SECOND)
    assert names(watching, NOW + SECOND) == []
    assert told(peopled) == [
        (What.RECORDING_LOOKED_AT, "rita", None),
        (What.WATCH_ENDED, "rita", "left"),
    ]


def test_a_beat_is_kept_once_a_second(watching: Watching, peopled: Store) -> None:
    """It is asked for many times a second, and each one kept is a write."""
    look = watching.begin(RITA, S31, NOW)
    for tenths in range(25):
        look.beat(NOW + tenths * timedelta(milliseconds=100))
    (kept,) = Watchers(peopled).of([31])
    assert (kept.beats, kept.seen_at) == (3, NOW + 2 * SECOND)


def test_one_who_stops_is_gone_and_begins_anew(watching: Watching, peopled: Store) -> None:
    """Stopped for minutes she is taken out of the database, and told; her next beat is a look."""
    look = watching.begin(RITA, S31, NOW)
    look.beat(NOW)
    later = NOW + FORGOTTEN + LEASE
    assert names(watching, NOW + LEASE) == []
    watching.forget(NOW + LEASE)
    watching.forget(later)
    look.beat(later)
    assert names(watching, later) == [("rita", True)]
    begun = (What.RECORDING_LOOKED_AT, "rita", None)
    assert told(peopled) == [begun, (What.WATCH_ENDED, "rita", "lost"), begun]


def test_whoever_else_watches_is_seen_with_whether_it_counts(watching: Watching) -> None:
    """In the order in which they came; the same person may watch twice."""
    account = Actor("rita", "local", account="op")
    for who in (ROOT, Actor("alice", "192.0.2.7", key=key("alice-1")), RITA, account):
        watching.begin(who, S31, NOW).beat(NOW)
    assert names(watching, NOW) == [
        ("os:root", False),
        ("alice", False),
        ("rita", True),
        ("rita", True),
    ]
    over = replace(S31, ended_at=NOW)
    assert watching.of([over], NOW) == {}


def test_so_many_watch_and_no_more(watching: Watching) -> None:
    """The others hear why not."""
    for _ in range(MOST):
        watching.begin(RITA, S31, NOW)
    with pytest.raises(Conflict, match="watch S-31 already: wait for one to leave"):
        watching.begin(RITA, S31, NOW)
    watching.begin(RITA, replace(S31, id=32), NOW)


def test_whether_ones_own_look_counts_is_said_before_it_does(watching: Watching) -> None:
    """As a sentence, where it does not."""
    assert watching.why_not(watching.begin(RITA, S31, NOW), S31, NOW) is None
    said = watching.why_not(watching.begin(ROOT, S31, NOW), S31, NOW)
    assert said == "os:root is nobody that the bastion knows: map the account to a user."
