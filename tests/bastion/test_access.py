"""The verbs of access, on a real store and a real authority."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import asyncssh
import pytest

from bastion.access import Access
from bastion.actor import Actor
from bastion.authority import Authority, certify_host, make_keys, read_public_key
from bastion.errors import BadInput, Conflict, NotFound, Refused, Unavailable
from bastion.granting import Proposal
from bastion.grants import Grant, State
from bastion.home import POLICY
from bastion.inventory import PublicKey, User
from bastion.people import People
from bastion.rules import parse_rules
from bastion.store import Store
from tests.bastion.worlds import HOUR, NOW, ROOT, SECOND, SHELL, TICK, host, selectors

BOB = Actor("bob", "10.0.0.9")
LIFETIME = timedelta(hours=8)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Keys for all tests here."""
    keys = tmp_path_factory.mktemp("keys")
    make_keys(keys)
    certify_host(keys, ("bastion",), timedelta(days=1), NOW)
    return Authority.load(keys)


def fresh_key() -> PublicKey:
    """A real key."""
    private = asyncssh.generate_private_key("ssh-ed25519")
    return read_public_key(private.export_public_key("openssh"))


@pytest.fixture
def alice(store: Store) -> User:
    """With a real key; and prod-host to go to."""
    user = User(name="alice", roles=frozenset(), keys=(fresh_key(),))
    store.add_user(user, ROOT, NOW)
    store.add_host(host(), ROOT, NOW)
    return user


RULES = parse_rules(POLICY, "policy.toml")


@pytest.fixture
def access(store: Store, authority: Authority) -> Access:
    """The verbs."""
    return Access(store, authority, LIFETIME, lambda: RULES, People({}))


def proposal(ends_at: datetime = NOW + HOUR, starts_at: datetime | None = None) -> Proposal:
    """A shell as deploy on prod-host."""
    return Proposal(
        user="alice",
        hosts=selectors("prod-host"),
        logins=frozenset({"deploy"}),
        allows=SHELL,
        ends_at=ends_at,
        reason="to see",
        starts_at=starts_at,
    )


Give = Callable[..., Grant]


@pytest.fixture
def give(access: Access, alice: User) -> Give:
    """Bob gives alice a grant."""
    return lambda *times: access.grant(BOB, proposal(*times), NOW).grant


def test_a_grant_is_kept(access: Access, give: Give, store: Store) -> None:
    """With its number, and as it was judged."""
    granted = give()
    assert str(granted) == "G-1"
    assert store.grant(1) == granted


def test_a_refusal_writes_nothing(access: Access, alice: User, store: Store) -> None:
    """An unknown user, a rule that is broken."""
    with pytest.raises(NotFound, match="There is no user carol: bastion-admin user add"):
        access.grant(BOB, replace(proposal(), user="carol"), NOW)
    with pytest.raises(Refused, match="herself"):
        access.grant(Actor("alice"), proposal(), NOW)
    with pytest.raises(NotFound, match="no host nowhere"):
        access.grant(BOB, replace(proposal(), hosts=selectors("nowhere")), NOW)
    assert store.grants() == []


def test_a_revocation_is_by_somebody_for_a_reason(access: Access, give: Give, store: Store) -> None:
    """Once."""
    give()
    with pytest.raises(BadInput, match="The reason is empty"):
        access.revoke(BOB, 1, " ", NOW)
    revoked = access.revoke(BOB, 1, "enough", NOW + SECOND)
    assert (revoked.revoked_by, revoked.revoke_reason) == ("bob", "enough")
    assert revoked.state(NOW + SECOND) is State.REVOKED
    with pytest.raises(Conflict, match="G-1 was revoked by bob already"):
        access.revoke(BOB, 1, "enough", NOW + SECOND)


def test_a_certificate_is_good_until_the_grant_ends(
    access: Access, give: Give, alice: User, store: Store, tmp_path: Path
) -> None:
    """It stands in the ledger, and ssh-keygen reads its file."""
    give()
    issued = access.certificate(alice, alice.keys[0], NOW, "10.1.2.3")
    assert issued.valid_before == NOW + HOUR
    assert [g.id for g in issued.grants] == [1]
    (line,) = store.certificates("alice", alice.keys[0].fingerprint)
    assert (line.serial, line.grants) == (issued.serial, frozenset({1}))
    assert line.live(NOW)
    assert not line.live(NOW + HOUR)
    assert store.ledger()[0].source == "10.1.2.3"
    file = tmp_path / "id-cert.pub"
    file.write_text(issued.line)
    shown = subprocess.run(
        ["ssh-keygen", "-Lf", file], capture_output=True, text=True, check=True
    ).stdout
    assert f'Key ID: "alice C-{issued.serial}"' in shown


def test_a_certificate_is_no_longer_than_the_setting(
    access: Access, give: Give, alice: User
) -> None:
    """Eight hours, unless told otherwise."""
    give(NOW + timedelta(days=30))
    assert access.certificate(alice, alice.keys[0], NOW).valid_before == NOW + LIFETIME


def test_it_counts_for_all_that_begins_before_its_end(
    access: Access, give: Give, alice: User
) -> None:
    """Until the latest of their ends; a grant for next week needs another certificate."""
    give(NOW + HOUR)
    give(NOW + 3 * HOUR, NOW + 2 * HOUR)
    give(NOW + 99 * HOUR, NOW + LIFETIME)
    issued = access.certificate(alice, alice.keys[0], NOW)
    assert {g.id for g in issued.grants} == {1, 2}
    assert issued.valid_before == NOW + 3 * HOUR


def test_an_account_that_ends_first_ends_the_certificate(
    access: Access, give: Give, alice: User, store: Store
) -> None:
    """The ledger says no more than the account does."""
    give()
    store.update_user(replace(alice, until=NOW + SECOND), BOB, NOW)
    changed = store.user("alice")
    assert changed is not None
    assert access.certificate(changed, alice.keys[0], NOW).valid_before == NOW + SECOND


def test_without_a_grant_there_is_nothing_to_certify(
    access: Access, give: Give, alice: User, store: Store
) -> None:
    """None at all, one that is over, one that was revoked: it says what to do."""

    def refused(now: datetime) -> None:
        with pytest.raises(Refused, match="You have no grant, so there is nothing to certify"):
            access.certificate(alice, alice.keys[0], now)

    refused(NOW)
    give()
    access.revoke(BOB, 1, "enough", NOW)
    refused(NOW)
    give()
    refused(NOW + HOUR)
    assert store.ledger() == []


def test_a_grant_to_come_is_told(access: Access, give: Give, alice: User) -> None:
    """With when to come back."""
    give(NOW + timedelta(days=3), NOW + timedelta(days=2))
    with pytest.raises(Refused, match="G-1 begins at 2026-11-25 12:00 UTC: fetch"):
        access.certificate(alice, alice.keys[0], NOW)


def test_the_last_second_of_a_grant(access: Access, give: Give, alice: User, store: Store) -> None:
    """A certificate counts whole seconds: there is none for less than one."""
    give()
    issued = access.certificate(alice, alice.keys[0], NOW + HOUR - SECOND)
    assert issued.valid_before == NOW + HOUR
    with pytest.raises(Refused, match="ends at 2026-11-23 13:00 UTC"):
        access.certificate(alice, alice.keys[0], NOW + HOUR - SECOND + TICK)
    assert len(store.ledger()) == 1


def test_whoever_was_shut_out_meanwhile_gets_no_certificate(
    access: Access, give: Give, alice: User, store: Store
) -> None:
    """The key was taken away, it was never hers, the account was closed."""
    give()
    with pytest.raises(Refused, match="is not enrolled for you any more"):
        access.certificate(alice, fresh_key(), NOW)
    store.remove_key("alice", alice.keys[0].fingerprint, ROOT, NOW)
    with pytest.raises(Refused, match="is not enrolled for you any more"):
        access.certificate(alice, alice.keys[0], NOW)
    store.update_user(replace(alice, disabled_at=NOW), BOB, NOW)
    with pytest.raises(Refused, match="Your account is closed"):
        access.certificate(alice, alice.keys[0], NOW)
    assert store.ledger() == []


def test_a_clock_that_was_set_back_opens_nothing(
    access: Access, give: Give, alice: User, store: Store
) -> None:
    """A few seconds are nothing; but ending things always works."""
    give(NOW + 2 * HOUR)
    store.saw_time(NOW + HOUR)
    access.certificate(alice, alice.keys[0], NOW + HOUR - 5 * SECOND)
    for opens in (
        lambda: access.certificate(alice, alice.keys[0], NOW),
        lambda: access.grant(BOB, proposal(), NOW),
    ):
        with pytest.raises(Unavailable, match=r"The clock says 2026-11-23 12:00 UTC, but .*13:00"):
            opens()
    access.revoke(BOB, 1, "enough", NOW)


def test_certificates_are_revoked_by_their_serial(
    access: Access, give: Give, alice: User, store: Store
) -> None:
    """The grant stays; another certificate can be fetched."""
    give()
    serial = access.certificate(alice, alice.keys[0], NOW).serial
    access.revoke_certificate(BOB, serial, "lost", NOW)
    (line,) = store.certificates("alice", alice.keys[0].fingerprint)
    assert not line.live(NOW)
    assert access.certificate(alice, alice.keys[0], NOW).serial == serial + 1


def test_a_kill_is_kept_for_whoever_carries_the_session(access: Access, store: Store) -> None:
    """By whom, and why."""
    kill = access.kill(BOB, 31, "odd", NOW)
    assert store.kills_since(0) == [kill]
    assert (kill.session, kill.by, kill.reason) == (31, "bob", "odd")
    with pytest.raises(BadInput, match="The reason"):
        access.kill(BOB, 31, "\x1b", NOW)


def test_without_any_rule_it_says_what_to_write(
    store: Store, authority: Authority, alice: User
) -> None:
    """As in a home that was made before there were rules."""
    none = parse_rules("", "policy.toml")
    access = Access(store, authority, LIFETIME, lambda: none, People({}))
    with pytest.raises(Refused, match=r"no rules in policy\.toml.*operators = true"):
        access.grant(BOB, proposal(), NOW)
    assert access.grant(BOB, proposal(), NOW, override=True).grant.override
