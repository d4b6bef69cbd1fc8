"""The verbs of enrolment: users, keys, hosts, and whom a change lets in."""

from dataclasses import replace
from typing import Any

import pytest

from bastion.actor import Actor
from bastion.enrolment import Enrolment, UserChange
from bastion.errors import BadInput, Conflict, NotFound
from bastion.inventory import Host, Role
from bastion.store import Store
from tests.bastion.worlds import HOUR, NOW, SECOND, grant, host, key, selectors

ROOT = Actor("os:root")


@pytest.fixture
def enrolment(peopled: Store) -> Enrolment:
    """The verbs, with alice, bob and prod-host there."""
    return Enrolment(peopled)


# Users


def test_a_user_is_a_contractor_unless_told_otherwise(enrolment: Enrolment, peopled: Store) -> None:
    """Kept under the name in lower case, with who enrolled."""
    carol = enrolment.add_user(ROOT, "Carol", [key("c")], UserChange(), NOW)
    assert carol.name == "carol"
    assert carol.roles == {Role.CONTRACTOR}
    assert peopled.user("carol") == replace(carol, enrolled_by="os:root")
    dave = enrolment.add_user(ROOT, "dave", [], UserChange(roles=frozenset({Role.AUDITOR})), NOW)
    assert dave.roles == {Role.AUDITOR}


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"sponsor": "nobody-here"}, NotFound, "There is no user nobody-here"),
        ({"sponsor": "carol"}, NotFound, "There is no user carol"),
        ({"until": NOW}, BadInput, "is past: to shut the account now, disable it"),
        ({"email": "carol"}, BadInput, "'carol' is not an email address"),
        ({"email": "a@b\n"}, BadInput, "is not an email address"),
        ({"groups": frozenset({"a b"})}, BadInput, "group name"),
        ({"roles": frozenset()}, BadInput, "at least one role"),
    ],
)
def test_users_that_are_refused(
    enrolment: Enrolment, peopled: Store, change: dict[str, Any], error: type[Exception], said: str
) -> None:
    """With the reason, and nothing is kept."""
    with pytest.raises(error, match=said):
        enrolment.add_user(ROOT, "carol", [key("c")], UserChange(**change), NOW)
    assert peopled.user("carol") is None
    assert peopled.owner_of(b"c") is None


def test_what_is_set_and_what_is_left(enrolment: Enrolment, peopled: Store) -> None:
    """None leaves a value, an empty text takes it away."""
    before = peopled.user("alice")
    assert before is not None
    change = UserChange(
        email="a@b.example", sponsor="Bob", until=NOW + HOUR, groups=frozenset({"DB"})
    )
    after = enrolment.set_user(ROOT, "ALICE", change, NOW)
    assert after == replace(
        before, email="a@b.example", sponsor="bob", until=NOW + HOUR, groups=frozenset({"db"})
    )
    assert peopled.user("alice") == after
    enrolment.set_user(ROOT, "alice", UserChange(email="", sponsor="", without_end=True), NOW)
    assert peopled.user("alice") == replace(before, groups=frozenset({"db"}))
    with pytest.raises(BadInput, match="Nothing to set"):
        enrolment.set_user(ROOT, "alice", UserChange(), NOW)
    with pytest.raises(BadInput, match="her own sponsor"):
        enrolment.set_user(ROOT, "alice", UserChange(sponsor="alice"), NOW)
    with pytest.raises(NotFound, match="no user carol"):
        enrolment.set_user(ROOT, "carol", UserChange(email=""), NOW)


def test_an_account_is_shut_and_opened(enrolment: Enrolment, peopled: Store) -> None:
    """At once; twice is told."""
    assert not enrolment.disable(ROOT, "alice", NOW).may_sign_in(NOW)
    with pytest.raises(Conflict, match="alice is disabled already, since 2026-11-23 12:00 UTC"):
        enrolment.disable(ROOT, "alice", NOW + SECOND)
    assert enrolment.enable(ROOT, "alice", NOW).may_sign_in(NOW)
    with pytest.raises(Conflict, match="alice is not disabled"):
        enrolment.enable(ROOT, "alice", NOW)
    alice = peopled.user("alice")
    assert alice is not None
    assert alice.disabled_at is None


def test_keys_come_and_go(enrolment: Enrolment) -> None:
    """By fingerprint; what a user has is shown by what comes back."""
    more = enrolment.add_key(ROOT, "alice", key("second"), NOW)
    assert [k.comment for k in more.keys] == ["alice-1", "second"]
    less = enrolment.remove_key(ROOT, "alice", "SHA256:alice-1", NOW)
    assert [k.comment for k in less.keys] == ["second"]
    with pytest.raises(NotFound, match="alice has no key SHA256:alice-1"):
        enrolment.remove_key(ROOT, "alice", "SHA256:alice-1", NOW)
    with pytest.raises(Conflict, match="belongs to alice"):
        enrolment.add_key(ROOT, "bob", key("second"), NOW)
    with pytest.raises(NotFound, match="no user carol"):
        enrolment.add_key(ROOT, "carol", key("x"), NOW)


# Hosts


def test_a_host_that_nobody_is_waiting_for(enrolment: Enrolment, peopled: Store) -> None:
    """Is simply added."""
    changed = enrolment.add_host(ROOT, host("web-1"), NOW)
    assert changed.lets_in == ()
    assert peopled.host("web-1") == changed.host


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(host("web"), host_keys=()), "needs a host key, or a CA's"),
        (host("Web"), "lower case"),
        (host("web", aliases={"a b"}), "host name"),
        (host("web", labels={("env", "a b")}), "label"),
        (host("web", port=0), "no port"),
        (replace(host("web"), address="a b"), "host name"),
        (replace(host("web"), address=""), "not an address"),
    ],
)
def test_hosts_that_are_refused(enrolment: Enrolment, wrong: Host, said: str) -> None:
    """A host without a key would have to be trusted at first sight."""
    for verb in (enrolment.add_host, enrolment.set_host):
        with pytest.raises(BadInput, match=said):
            verb(ROOT, wrong, NOW)


@pytest.mark.parametrize("selector", ["web-*", "label:env=prod", "web-1"])
def test_a_host_that_a_grant_would_cover_needs_a_word(
    enrolment: Enrolment, peopled: Store, selector: str
) -> None:
    """It says whom it lets in; with the word it is done, and says so too.

    Also where a grant names a host that was removed: the name may be another machine now.
    """
    peopled.add_grant(grant(hosts=selectors(selector)), ROOT, NOW)
    web = host("web-1", labels={("env", "prod")})
    with pytest.raises(Conflict, match=r"This would let in alice \(G-1\): say --widen"):
        enrolment.add_host(ROOT, web, NOW)
    assert peopled.host("web-1") is None
    changed = enrolment.add_host(ROOT, web, NOW, widen=True)
    assert [g.id for g in changed.lets_in] == [1]
    assert peopled.host("web-1") == web


def test_grants_that_are_over_let_nobody_in(enrolment: Enrolment, peopled: Store) -> None:
    """One that is to come does."""
    peopled.add_grant(grant(hosts=selectors("web-*"), ends_at=NOW), ROOT, NOW - HOUR)
    enrolment.add_host(ROOT, host("web-1"), NOW)
    peopled.add_grant(grant(hosts=selectors("web-2*"), starts_at=NOW + SECOND), ROOT, NOW)
    with pytest.raises(Conflict, match="G-2"):
        enrolment.add_host(ROOT, host("web-2"), NOW)


def test_many_are_not_all_named(enrolment: Enrolment, peopled: Store) -> None:
    """Five, and how many more."""
    for _ in range(8):
        peopled.add_grant(grant(hosts=selectors("web-*")), ROOT, NOW)
    with pytest.raises(Conflict, match=r"alice \(G-5\) and 3 more: say --widen"):
        enrolment.add_host(ROOT, host("web-1"), NOW)


def test_a_changed_label_or_alias_is_looked_at_too(enrolment: Enrolment, peopled: Store) -> None:
    """Only what a grant did not cover before; a change that narrows needs no word."""
    peopled.add_grant(grant(hosts=selectors("label:env=test")), ROOT, NOW)
    peopled.add_grant(grant(hosts=selectors("prod-host")), ROOT, NOW)
    with pytest.raises(Conflict, match=r"let in alice \(G-1\): say --widen"):
        enrolment.set_host(ROOT, host("prod-host", labels={("env", "test")}), NOW)
    enrolment.set_host(ROOT, host("prod-host", labels={("env", "dev")}), NOW)
    after = peopled.host("prod-host")
    assert after is not None
    assert (after.labels, after.aliases) == (frozenset({("env", "dev")}), frozenset())
    with pytest.raises(NotFound, match="no host web-1"):
        enrolment.set_host(ROOT, host("web-1"), NOW)


def test_set_host_takes_the_name_and_no_alias(enrolment: Enrolment) -> None:
    """An alias of another host is not that host."""
    with pytest.raises(NotFound, match="There is no host prod"):
        enrolment.set_host(ROOT, host("prod"), NOW)


def test_a_host_that_a_grant_names_is_not_removed_by_the_way(
    enrolment: Enrolment, peopled: Store
) -> None:
    """A pattern is no name; with force it goes, and the grant stays for what it is."""
    peopled.add_grant(grant(hosts=selectors("prod-*")), ROOT, NOW)
    one = peopled.add_grant(grant(), ROOT, NOW)
    with pytest.raises(
        Conflict, match=rf"prod-host is named by alice \({one}\): revoke that first"
    ):
        enrolment.remove_host(ROOT, "prod-host", NOW)
    assert enrolment.remove_host(ROOT, "PROD", NOW, force=True).name == "prod-host"
    assert peopled.hosts() == []
    with pytest.raises(NotFound, match="no host prod-host"):
        enrolment.remove_host(ROOT, "prod-host", NOW)


def test_a_host_whose_grants_are_over_is_removed(enrolment: Enrolment, peopled: Store) -> None:
    """Nobody is locked out of anything."""
    peopled.add_grant(grant(ends_at=NOW), ROOT, NOW - HOUR)
    assert enrolment.remove_host(ROOT, "prod-host", NOW).name == "prod-host"


def test_another_machine_under_a_name_that_is_granted_needs_a_word(
    enrolment: Enrolment, peopled: Store
) -> None:
    """A machine that keeps a key may move; one with none of the keys is as if it were added."""
    peopled.add_grant(grant(hosts=selectors("prod-host")), ROOT, NOW)
    moved = replace(host("prod-host"), address="10.0.0.9")
    assert enrolment.set_host(ROOT, moved, NOW).lets_in == ()
    another = replace(moved, host_keys=(key("another"),))
    with pytest.raises(Conflict, match=r"let in alice \(G-1\): say --widen"):
        enrolment.set_host(ROOT, another, NOW)
    both = replace(moved, host_keys=(*moved.host_keys, key("another")))
    assert enrolment.set_host(ROOT, both, NOW).lets_in == ()
    assert enrolment.set_host(ROOT, another, NOW).lets_in == ()
    changed = enrolment.set_host(ROOT, moved, NOW, widen=True)
    assert [each.id for each in changed.lets_in] == [1]
