"""Which events are about a grant: all that it is tied to, and nothing of another grant's."""

import random

import pytest

from bastion.events import Details, Event, Happened, What
from bastion.store import Store
from bastion.store.about import BATCH, Circle
from bastion.store.journal import Journal
from tests.bastion.worlds import NOW, SECOND

WHOLE = Circle(
    grant=7,
    user="alice",
    requests=frozenset({1, 2}),
    sessions=frozenset({31, 32}),
    connections=frozenset({5, 6}),
    serials=frozenset({100, 101}),
    policies=frozenset({"ab" * 32}),
)
NARROW = Circle(
    grant=7,
    user="alice",
    requests=frozenset({1, 2}),
    sessions=frozenset({31}),
    connections=frozenset({5}),
    serials=frozenset({100}),
    policies=frozenset({"ab" * 32}),
    narrowed=True,
)


def some(chance: random.Random) -> Happened:
    """Something, perhaps about the grant."""
    what = chance.choice(
        (What.SESSION_STARTED, What.CERTIFICATE_SIGNED, What.RULES_CHANGED, What.DOOR_REFUSED)
    )
    details: dict[str, Details] = {
        "serial": chance.choice((99, 100, 101)),
        "version": chance.choice(("ab" * 32, "cd" * 32)),
    }
    return Happened(
        what,
        "alice",
        user=chance.choice(("alice", "bob", None)),
        request=chance.choice((None, None, 1, 2, 3)),
        grant=chance.choice((None, None, 7, 8)),
        connection=chance.choice((None, None, 5, 6, 9)),
        session=chance.choice((None, None, 31, 32, 33)),
        details=details if chance.random() < 0.8 else {},
    )


def about(circle: Circle, event: Event) -> bool:
    """The same said in Python."""
    told = event.happened
    if told.grant not in (None, circle.grant):
        return told_in_details(circle, told)
    mine = told.session in circle.sessions or told.request in circle.requests
    mine = mine or told.connection in circle.connections
    if not circle.narrowed:
        mine = mine or told.grant == circle.grant
    else:
        mine = mine or (told.grant == 7 and told.session is None and told.connection is None)
        mine = mine and told.session in (None, *circle.sessions)
    return mine or told_in_details(circle, told)


def told_in_details(circle: Circle, told: Happened) -> bool:
    """A certificate of the user's, or the rules that it was judged by."""
    if told.what is What.RULES_CHANGED:
        return told.details.get("version") in circle.policies
    certified = told.what is What.CERTIFICATE_SIGNED and told.connection is None
    return certified and told.user == "alice" and told.details.get("serial") in circle.serials


@pytest.mark.parametrize("circle", [WHOLE, NARROW], ids=["whole", "one session"])
def test_what_is_about_a_grant(store: Store, circle: Circle) -> None:
    """As one would say it of each event; none of a later number than was asked for."""
    journal, chance = Journal(store), random.Random(11)  # noqa: S311 (no secret)
    told = [(some(chance), NOW + SECOND * number) for number in range(1200)]
    events = journal.tell_all(told)
    expected = [event.id for event in events if about(circle, event)]
    assert 50 < len(expected) < 1100
    assert journal.numbers_about(circle, events[-1].id) == expected
    assert journal.numbers_about(circle, 300) == [number for number in expected if number <= 300]
    assert [event.id for event in journal.with_numbers(expected)] == expected


def test_a_grant_may_have_very_many_sessions(store: Store) -> None:
    """More numbers than a statement takes."""
    journal = Journal(store)
    many = frozenset(range(1, 3 * BATCH))
    circle = Circle(7, "alice", frozenset(), many, many, frozenset(), frozenset())
    told = [Happened(What.SESSION_KILLED, "bob", session=number) for number in sorted(many)]
    journal.tell_all([(each, NOW) for each in told])
    journal.tell(Happened(What.SESSION_KILLED, "bob", session=9999), NOW)
    assert len(journal.numbers_about(circle, 9999)) == len(many)


def test_details_that_can_not_be_read_are_about_nothing(store: Store) -> None:
    """A list, or nothing, where an object belongs."""
    journal = Journal(store)
    journal.tell(Happened(What.RULES_CHANGED, "bob", details={"version": ["ab" * 32]}), NOW)
    journal.tell(Happened(What.RULES_CHANGED, "bob"), NOW)
    assert journal.numbers_about(WHOLE, 9) == []
