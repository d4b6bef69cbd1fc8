"""The dossier of a grant: all that belongs to it, and nothing of others."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bastion.dossier import Dossier, Registry
from bastion.jumps import Jump
from bastion.ledger import Draft, Kind, Signed
from bastion.store import Store
from recorder import Index, Session, SessionInfo
from recorder import Kind as What
from tests.bastion.stories import ONE_LEAD, PEOPLE, Story, ruled
from tests.bastion.worlds import HOUR, NOW, ROOT, host


@pytest.fixture
def told(store: Store) -> Story:
    """alice asks, bob agrees: G-1. carol lets it last longer, by other rules. G-2 is another."""
    for user in PEOPLE:
        store.add_user(user, ROOT, NOW)
    store.add_host(host("web-1", labels={("owner", "carol")}), ROOT, NOW)
    story = Story(store, ruled(ONE_LEAD))
    store.keep_policy(story.rules.text, story.rules.version, ROOT, NOW)
    story.ask()
    story.approve("bob", 1, comment="go on")
    story.rules = ruled(ONE_LEAD, ONE_LEAD)
    story.now = NOW + timedelta(minutes=30)
    store.keep_policy(story.rules.text, story.rules.version, ROOT, story.now)
    story.extend("alice")
    story.approve("carol", 2)
    story.ask()
    story.approve("dave", 3)
    return story


def jump(store: Store, certificate: int | None, user: str = "alice") -> int:
    """A connection by a certificate."""
    return store.open_connection(
        Jump(0, user, "SHA256:k", certificate, "192.0.2.7", "web-1", "deploy", "SSH-2.0-x", NOW)
    )


def signed(store: Store, kind: Kind, grants: set[int], connection: int | None = None) -> int:
    """A certificate in the ledger."""
    draft = Draft(kind, "alice", frozenset(grants), NOW, "192.0.2.7", connection, "web-1")

    def sign(serial: int) -> Signed:
        whole = ("line", b"blob", f"{serial:064}", serial, "id", "SHA256:k", ("alice",))
        return Signed(*whole, NOW, NOW + HOUR)

    return store.sign_into_ledger(draft, sign).serial


def session(store: Store, grant: int, connection: int) -> Session:
    """A session that began."""
    info = SessionInfo(
        connection=connection,
        user="alice",
        grant=grant,
        host="web-1",
        login="deploy",
        kind=What.SHELL,
        source="192.0.2.7",
    )
    return Index(store.database).add(info, NOW, lambda number: f"S-{number}.cast")


def dossier(story: Story, number: int = 1, only: Session | None = None) -> Dossier:
    """Of that grant, or of one of its sessions."""
    grant = story.store.grant(number)
    assert grant is not None
    registry = Registry(story.store, story.inbox, Index(story.store.database))
    return registry.dossier(grant, only, story.now)


def test_who_asked_and_who_agreed(told: Story) -> None:
    """The request and those to extend it, everybody named in them, the rules of each time."""
    found = dossier(told)
    assert [str(each) for each in found.requests] == ["R-1", "R-2"]
    assert [name for name, _ in found.people] == ["alice", "bob", "carol"]
    assert all(user is not None for _, user in found.people)
    assert len(found.policies) == 2
    assert found.policies[0].at < found.policies[1].at
    assert found.name == "G-1"
    assert [str(each) for each in dossier(told, 2).requests] == ["R-3"]


def test_a_name_that_is_no_users_is_told_as_such(told: Story) -> None:
    """An account of the machine ended it."""
    told.revoke(1)
    assert dict(dossier(told).people)["os:root"] is None


def test_what_was_signed_and_who_came_through(told: Story) -> None:
    """Certificates that count for it; connections that carried it, or can have been for nothing
    else."""
    both = signed(told.store, Kind.USER, {1, 2})
    own = signed(told.store, Kind.USER, {1})
    signed(told.store, Kind.USER, {2})
    carried = jump(told.store, both)
    refused = jump(told.store, own)
    jump(told.store, both)
    jump(told.store, None, user="bob")
    target = signed(told.store, Kind.TARGET, {1}, carried)
    signed(told.store, Kind.TARGET, {2}, jump(told.store, both))
    first, second = session(told.store, 1, carried), session(told.store, 1, carried)
    session(told.store, 2, carried)
    found = dossier(told)
    assert [each.serial for each in found.certificates] == [both, own, target]
    assert [each.id for each in found.connections] == [carried, refused]
    assert [each.id for each in found.sessions] == [first.id, second.id]
    assert found.live == found.sessions


def test_the_dossier_of_a_session_has_no_other(told: Story) -> None:
    """Its own connection and the target's certificate for that; all of the request and grant."""
    user = signed(told.store, Kind.USER, {1})
    one, other = jump(told.store, user), jump(told.store, user)
    mine = signed(told.store, Kind.TARGET, {1}, one)
    signed(told.store, Kind.TARGET, {1}, other)
    wanted, _ = session(told.store, 1, one), session(told.store, 1, other)
    found = dossier(told, only=wanted)
    assert found.name == wanted.name
    assert [each.id for each in found.sessions] == [wanted.id]
    assert [each.id for each in found.connections] == [one]
    assert [each.serial for each in found.certificates] == [user, mine]
    assert [str(each) for each in found.requests] == ["R-1", "R-2"]
    assert found.circle().narrowed
    assert replace(found, only=None).circle().sessions == frozenset({wanted.id})


def test_its_events_are_found_by_its_circle(told: Story) -> None:
    """What came of it from the rules to the last extension; nothing of the other grant."""
    found = dossier(told)
    numbers = told.journal.numbers_about(found.circle(), told.journal.last())
    events = list(told.journal.with_numbers(numbers))
    assert [event.happened.what.value for event in events] == [
        *("rules.changed", "request.made", "request.approved", "grant.given"),
        *("rules.changed", "request.made", "request.approved", "grant.extended"),
    ]
    assert {event.happened.grant for event in events} == {None, 1}
