"""Getting what nobody else agreed to: one's own approvals, old ones, borrowed ones, wider ones.

Every verb is asked for over SSH, of a bastion that serves; only clocks are put forward and only
operators act behind the curtain.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest
from asyncssh.public_key import SSHOpenSSHCertificate

from bastion.actor import Actor
from bastion.enrolment import UserChange
from bastion.events import Happened, What
from bastion.grants import Grant
from bastion.inventory import Role
from bastion.requests import Request, Standing
from bastion.store.events import Wanted
from bastion.store.journal import Journal
from tests.corpus.tokens import Inserted, Token
from tests.corpus.world import HOST, LOGIN, OPERATOR, Person, World, until

ASK = f"request {HOST} --login {LOGIN} --shell --for 1h --reason the disk is full"
ONE = 'approvals = [{ from = ["@leads"] }]'
TWO = 'approvals = [{ from = ["@leads"], count = 2 }]'
LEADS = frozenset({"leads"})


def rule_by(world: World, *lines: str) -> None:
    """Write rules: one for whoever asks, with these lines."""
    said = {line.partition("=")[0].strip() for line in lines}
    usual = {
        "name": '"a rule"',
        "who": '["@contractors"]',
        "hosts": '["*"]',
        "logins": '["*"]',
        "allow": '["shell"]',
        "longest": '"2h"',
    }
    rest = [f"{key} = {value}" for key, value in usual.items() if key not in said]
    world.services.home.policy.write_text("\n".join(["[[rule]]", *rest, *lines, ""]))


async def says(world: World, person: Person, line: str, *keys: object) -> tuple[int, str]:
    """`ssh bastion LINE`, on a connection of its own: the exit status and all that it said."""
    async with world.outer(*(keys or (person.key,)), name=person.name) as connection:
        return await said(connection, line)


async def said(connection: asyncssh.SSHClientConnection, line: str) -> tuple[int, str]:
    """The same on a connection that is open."""
    ran = await asyncio.wait_for(connection.run(line), 10)
    assert ran.exit_status is not None
    return ran.exit_status, str(ran.stdout) + str(ran.stderr)


async def done(world: World, person: Person, line: str, *keys: object) -> str:
    """The same, where it has to work."""
    status, heard = await says(world, person, line, *keys)
    assert status == 0, heard
    return heard


async def refused(world: World, person: Person, line: str, *keys: object) -> str:
    """The same, where it must not; it is said in one sentence."""
    status, heard = await says(world, person, line, *keys)
    assert status in (1, 2), heard
    assert "Traceback" not in heard
    return heard


def request(world: World, number: int = 1) -> Request:
    """As it is kept."""
    found = world.services.inbox.request(number)
    assert found is not None
    return found


def grants(world: World) -> list[Grant]:
    """All of them, the oldest first."""
    return world.services.store.grants()[::-1]


def events(world: World, what: What) -> list[Happened]:
    """What of this kind the log has, the oldest first."""
    found = Journal(world.services.store).events(Wanted(what=frozenset({what})))
    return [event.happened for event in found][::-1]


def told(world: World, what: What) -> list[str]:
    """Who did this, as the log has it."""
    return [event.actor for event in events(world, what)]


@contextmanager
def later(world: World, moment: datetime) -> Iterator[None]:
    """The clock shows `moment` from now on."""
    clock = world.services.clock
    ahead, wall = moment - clock.now(), clock._wall
    clock._wall = lambda: wall() + ahead
    yield
    clock._wall = wall


@pytest.fixture
def alice(world: World) -> Person:
    """A contractor; one of @leads has to agree to what she asks for."""
    rule_by(world, ONE)
    return world.enrol("alice", groups=frozenset({"contractors"}))


@pytest.fixture
def bob(world: World) -> Person:
    """One of @leads."""
    return world.enrol("bob", Role.APPROVER, groups=LEADS)


@pytest.fixture
def carol(world: World) -> Person:
    """Another one."""
    return world.enrol("carol", Role.APPROVER, groups=LEADS)


@pytest.fixture
def both(world: World) -> Person:
    """A contractor who leads."""
    rule_by(world, ONE)
    groups = LEADS | {"contractors"}
    return world.enrol("both", Role.CONTRACTOR, Role.APPROVER, groups=groups)


def another_key(world: World, person: Person) -> asyncssh.SSHKey:
    """A further key of hers."""
    other = Person(person.name, asyncssh.generate_private_key("ssh-ed25519"))
    world.services.enrolment.add_key(OPERATOR, person.name, other.public, world.now)
    return other.key


# The honest way, so that the others can be told from it


async def test_what_somebody_else_agreed_to_is_given(
    world: World, alice: Person, bob: Person
) -> None:
    """Asked, approved, certified, used; and not a moment before."""
    heard = await done(world, alice, ASK)
    assert heard.startswith("R-1")
    assert "no grant" in await refused(world, alice, "cert")
    async with world.outer(alice.key, name="alice") as outer:
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.inner(outer, alice.key):
                raise AssertionError("a way was open while the request waited")
    assert (await done(world, bob, "approve R-1")).startswith("G-1")
    await done(world, alice, "cert")
    async with world.jump(alice) as inner:
        assert (await inner.run("true")).exit_status == 0


# One person


async def test_approving_ones_own(world: World, both: Person) -> None:
    """With the role, and in the group that the rule names."""
    await done(world, both, ASK)
    assert "Nobody approves what is for herself" in await refused(world, both, "approve R-1")
    assert request(world).standing(world.now) is Standing.PENDING
    assert grants(world) == []
    assert told(world, What.REQUEST_REFUSED) == ["both"]


async def test_approving_with_the_requesters_second_key(world: World, both: Person) -> None:
    """Neither does the second approve what the first asked for, nor the other way round."""
    second = another_key(world, both)
    await done(world, both, ASK)
    await done(world, both, ASK, second)
    assert "Nobody approves" in await refused(world, both, "approve R-1", second)
    assert "Nobody approves" in await refused(world, both, "approve R-2")
    assert grants(world) == []


async def test_two_approvals_by_one_person(world: World, alice: Person, bob: Person) -> None:
    """Two keys, two connections, the same moment: still one of two."""
    rule_by(world, TWO)
    second = another_key(world, bob)
    await done(world, alice, ASK)
    heard = await asyncio.gather(
        *(says(world, bob, "approve R-1", key) for key in (bob.key, second, bob.key, second))
    )
    assert sorted(status for status, _ in heard) == [0, 1, 1, 1]
    assert sum("approved R-1 already; it takes somebody else" in text for _, text in heard) == 3
    assert request(world).approvers == ("bob",)
    assert grants(world) == []


async def test_two_people_in_the_same_moment(
    world: World, alice: Person, bob: Person, carol: Person
) -> None:
    """One grant, and whoever is late hears whose it was."""
    await done(world, alice, ASK)
    heard = await asyncio.gather(*(says(world, who, "approve R-1") for who in (bob, carol)))
    assert sorted(status for status, _ in heard) == [0, 1]
    assert any("R-1 was approved as G-1 already, by" in text for _, text in heard)
    assert len(grants(world)) == 1
    assert len(told(world, What.GRANT_GIVEN)) == 1


async def test_whoever_let_her_in_does_not_approve(world: World, bob: Person) -> None:
    """Her sponsor, who added the account, who enrolled a key of hers."""
    rule_by(world, ONE)
    change = UserChange(groups=frozenset({"contractors"}))
    by_bob = Actor("bob", account="bob")
    for name, actor, changed in (
        ("vouched-for", OPERATOR, replace(change, sponsor="bob")),
        ("added", by_bob, change),
    ):
        person = Person(name, asyncssh.generate_private_key("ssh-ed25519"))
        world.services.enrolment.add_user(actor, name, [person.public], changed, world.now)
        await done(world, person, ASK)
    keyed = world.enrol("keyed", groups=frozenset({"contractors"}))
    other = Person("keyed", asyncssh.generate_private_key("ssh-ed25519"))
    world.services.enrolment.add_key(by_bob, "keyed", other.public, world.now)
    await done(world, keyed, ASK)
    world.services.enrolment.remove_key(by_bob, "keyed", other.public.fingerprint, world.now)
    assert "bob vouches for vouched-for" in await refused(world, bob, "approve R-1")
    assert "bob let added in here" in await refused(world, bob, "approve R-2")
    assert "bob let keyed in here" in await refused(world, bob, "approve R-3")
    assert grants(world) == []


async def test_a_puppet_approver(world: World, both: Person) -> None:
    """Whoever has somebody of her own making approve: adding one is told, and is no second person.

    The other way round, whoever makes somebody who asks does not approve for her.
    """
    by_both = Actor("both", account="root")
    change = UserChange(roles=frozenset({Role.APPROVER}), groups=LEADS)
    puppet = Person("puppet", asyncssh.generate_private_key("ssh-ed25519"))
    world.services.enrolment.add_user(by_both, "puppet", [puppet.public], change, world.now)
    assert told(world, What.USER_ADDED)[-1] == "both"
    await done(world, both, ASK)
    assert "both let puppet in here" in await refused(world, puppet, "approve R-1")
    straw = Person("straw", asyncssh.generate_private_key("ssh-ed25519"))
    asks = UserChange(groups=frozenset({"contractors"}))
    world.services.enrolment.add_user(by_both, "straw", [straw.public], asks, world.now)
    await done(world, straw, ASK)
    assert "both let straw in here" in await refused(world, both, "approve R-2")
    assert grants(world) == []


async def test_a_key_slipped_to_an_approver(world: World, both: Person, bob: Person) -> None:
    """Enrolling a key for an approver, to approve one's own with it."""
    slipped = Person("bob", asyncssh.generate_private_key("ssh-ed25519"))
    by_both = Actor("both", account="root")
    world.services.enrolment.add_key(by_both, "bob", slipped.public, world.now)
    assert told(world, What.KEY_ENROLLED)[-1] == "both"
    await done(world, both, ASK)
    assert "both gave bob that key" in await refused(world, slipped, "approve R-1")
    assert grants(world) == []
    await done(world, bob, "approve R-1")


# Keys and sign-ins


async def test_a_stolen_key_file_where_hardware_is_demanded(
    world: World, alice: Person, bob: Person
) -> None:
    """The file signs in, and does not approve; the token does."""
    rule_by(world, ONE, 'approver_keys = "hardware"')
    token = Token()
    world.services.enrolment.add_key(OPERATOR, "bob", token.public, world.now)
    await done(world, alice, ASK)
    heard = await refused(world, bob, "approve R-1")
    assert "Approving this takes a hardware key" in heard
    assert grants(world) == []
    await done(world, bob, "approve R-1", Inserted(token))
    (given,) = grants(world)
    assert given.approved_by == ("bob",)
    assert request(world).approvals[0].fingerprint == token.public.fingerprint


async def test_a_file_that_says_it_is_a_token(world: World, alice: Person, bob: Person) -> None:
    """Offering the token's public key first, and signing with the file, is the file's sign-in."""
    rule_by(world, ONE, 'approver_keys = "hardware"')
    token = Token()
    world.services.enrolment.add_key(OPERATOR, "bob", token.public, world.now)
    await done(world, alice, ASK)
    broken = Inserted(replace(token, private=Token().private))
    broken.key_public_data = broken.public_data = token.blob
    assert "hardware" in await refused(world, bob, "approve R-1", broken, bob.key)
    assert grants(world) == []


async def test_approving_over_somebodys_old_connection(
    world: World, alice: Person, bob: Person
) -> None:
    """A ControlMaster socket that is found open does not approve where that takes a sign-in."""
    rule_by(world, ONE, 'approver_login = "2m"')
    await done(world, alice, ASK)
    async with world.outer(bob.key, name="bob") as old:
        with later(world, world.now + timedelta(minutes=3)):
            status, heard = await said(old, "approve R-1")
            assert status == 1
            assert "no older than 2m: connect anew (ssh -o ControlPath=none)" in heard
            assert grants(world) == []
            await done(world, bob, "approve R-1")


async def test_a_key_that_was_stolen_and_taken_away(
    world: World, alice: Person, bob: Person, carol: Person
) -> None:
    """What it has approved counts no more once it is known to be stolen."""
    rule_by(world, TWO)
    stolen = another_key(world, bob)
    await done(world, alice, ASK)
    await done(world, bob, "approve R-1", stolen)
    thief = Person("bob", stolen)
    world.services.enrolment.remove_key(OPERATOR, "bob", thief.public.fingerprint, world.now)
    await done(world, carol, "approve R-1")
    assert grants(world) == []
    await done(world, bob, "approve R-1")
    assert len(grants(world)) == 1


async def test_an_approver_who_is_one_no_more_on_a_kept_connection(
    world: World, alice: Person, bob: Person
) -> None:
    """The role, the group and the account count as they are, not as they were at sign-in."""
    await done(world, alice, ASK)
    enrolment = world.services.enrolment
    async with world.outer(bob.key, name="bob") as kept:
        assert (await said(kept, "requests"))[0] == 0
        enrolment.set_user(OPERATOR, "bob", UserChange(groups=frozenset({"ops"})), world.now)
        assert "not for bob to decide" in (await said(kept, "approve R-1"))[1]
        change = UserChange(roles=frozenset({Role.CONTRACTOR}), groups=LEADS)
        enrolment.set_user(OPERATOR, "bob", change, world.now)
        assert (await said(kept, "approve R-1"))[0] != 0
    assert grants(world) == []


# Another thing than was approved


async def test_an_approval_is_for_what_was_asked(
    world: World, alice: Person, bob: Person, carol: Person
) -> None:
    """A request that is changed is another one: what was said to the first counts for nothing."""
    rule_by(world, TWO)
    await done(world, alice, ASK)
    await done(world, bob, "approve R-1")
    await done(world, alice, "cancel R-1")
    await done(world, alice, ASK.replace("1h", "2h"))
    assert "R-1 was withdrawn by alice" in await refused(world, carol, "approve R-1")
    await done(world, carol, "approve R-2")
    assert request(world, 2).approvers == ("carol",)
    assert grants(world) == []


async def test_an_approval_that_comes_too_late(world: World, alice: Person, bob: Person) -> None:
    """What nobody decided in time is asked anew; what waited for yesterday is over."""
    await done(world, alice, ASK)
    with later(world, request(world).stale_at):
        assert "R-1 has gone stale" in await refused(world, bob, "approve R-1")
    assert grants(world) == []


async def test_an_approval_by_rules_that_are_gone(
    world: World, alice: Person, bob: Person, carol: Person
) -> None:
    """Stricter ones, others, none: today's decide, at each approval."""
    rule_by(world, TWO)
    await done(world, alice, ASK)
    await done(world, bob, "approve R-1")
    rule_by(world, 'approvals = [{ from = ["@security"] }]')
    assert "not for carol to decide" in await refused(world, carol, "approve R-1")
    world.services.home.policy.write_text("")
    assert "can't be approved any more" in await refused(world, carol, "approve R-1")
    assert grants(world) == []


async def test_a_shorter_approval_is_no_longer_when_another_follows(
    world: World, alice: Person, bob: Person, carol: Person
) -> None:
    """Nobody stretches what somebody has cut short."""
    rule_by(world, TWO)
    await done(world, alice, ASK)
    await done(world, bob, "approve R-1 --for 10m")
    assert "never longer" in await refused(world, carol, "approve R-1 --for 2h")
    await done(world, carol, "approve R-1 --for 1h")
    (given,) = grants(world)
    assert given.ends_at - given.starts_at == timedelta(minutes=10)


# What a certificate says


async def test_a_certificate_is_not_renewed_past_the_grant(
    world: World, alice: Person, bob: Person
) -> None:
    """However often and however late it is fetched; after the end there is none."""
    await done(world, alice, ASK)
    await done(world, bob, "approve R-1")
    (given,) = grants(world)

    async def ends() -> datetime:
        line = (await done(world, alice, "cert")).splitlines()[0]
        certificate = asyncssh.import_certificate(line)
        assert isinstance(certificate, SSHOpenSSHCertificate)
        return datetime.fromtimestamp(certificate._valid_before, UTC)

    assert await ends() <= given.ends_at
    with later(world, given.ends_at - timedelta(minutes=1)):
        assert await ends() <= given.ends_at
    with later(world, given.ends_at):
        assert "no grant" in await refused(world, alice, "cert")
        async with world.outer(alice.key, name="alice") as outer:
            with pytest.raises(asyncssh.PermissionDenied):
                async with world.inner(outer, alice.key):
                    raise AssertionError("in after the end")


async def test_a_source_limit_outlives_a_reissue(world: World, alice: Person, bob: Person) -> None:
    """A new certificate for the same grant is not good from everywhere."""
    rule_by(world, ONE, 'sources = ["192.0.2.0/24"]')
    await done(world, alice, ASK)
    await done(world, bob, "approve R-1")
    for _ in range(2):
        await done(world, alice, "cert")
        async with world.outer(alice.key, name="alice") as outer:
            with pytest.raises(asyncssh.PermissionDenied):
                async with world.inner(outer, alice.key):
                    raise AssertionError("in from elsewhere")
    assert {event.why for event in events(world, What.CONNECTION_REFUSED)} == {"source"}


# Over the end


def _hours_around(now: datetime) -> tuple[str, datetime]:
    """Hours that are open now, and when they close."""
    begin = now.replace(minute=0, second=0, microsecond=0)
    close = begin + timedelta(hours=2)
    return f"{begin:%H:%M}-{close:%H:%M}", close


async def test_a_connection_kept_open_over_the_close_of_its_hours(
    world: World, alice: Person, bob: Person, tmp_path: Path
) -> None:
    """The session is cut when they close, and the connection opens no other channel."""
    hours, close = _hours_around(world.now)
    rule_by(world, ONE, f'hours = "{hours}"', 'longest = "30d"')
    await done(world, alice, ASK.replace("1h", "3d"))
    await done(world, bob, "approve R-1")
    await done(world, alice, "cert")
    async with world.jump(alice) as inner:
        running = await inner.create_process("sleep 60", stderr=asyncssh.STDOUT)
        await until(lambda: world.sessions and world.sessions[0].live)
        with later(world, close):
            ended = await asyncio.wait_for(running.wait(), 2)
            assert f"the hours of G-1 (mon-sun {hours} UTC) are over" in str(ended.stdout)
            mark = tmp_path / "mark"
            again = await inner.run(f"touch {mark}")
            assert again.exit_status != 0
            assert not mark.exists()
    assert grants(world)[0].ends_at > close


async def test_extending_is_approved_too(world: World, alice: Person, bob: Person) -> None:
    """She asks for more time and does not give it to herself; with it, the session goes on."""
    await done(world, alice, ASK)
    await done(world, bob, "approve R-1")
    await done(world, alice, "cert")
    (given,) = grants(world)
    async with world.jump(alice) as inner:
        running = await inner.create_process("cat", stderr=asyncssh.STDOUT)
        await until(lambda: world.sessions and world.sessions[0].live)
        heard = await done(world, alice, "request --extend G-1 --for 30m --reason not done yet")
        assert heard.startswith("R-2")
        assert (await says(world, alice, "extend G-1 --for 30m"))[0] != 0
        assert (await says(world, alice, "approve R-2"))[0] != 0
        assert grants(world) == [given]
        await done(world, bob, "approve R-2")
        assert "too long" in await refused(world, bob, "extend G-1 --for 1h")
        end = given.ends_at + timedelta(minutes=30)
        assert grants(world)[0].ends_at == end
        with later(world, given.ends_at + timedelta(minutes=1)):
            running.stdin.write("still here\n")
            assert await asyncio.wait_for(running.stdout.readline(), 2) == "still here\n"
        with later(world, end):
            ended = await asyncio.wait_for(running.wait(), 2)
            assert "G-1 ended at" in str(ended.stdout)


async def test_what_was_revoked_is_not_extended(world: World, alice: Person, bob: Person) -> None:
    """Nor by a request that waited for it."""
    await done(world, alice, ASK)
    await done(world, bob, "approve R-1")
    await done(world, alice, "request --extend G-1 --for 30m --reason not done yet")
    world.services.access.revoke(OPERATOR, 1, "enough", world.now)
    assert "G-1 was revoked" in await refused(world, bob, "approve R-2")
    assert "G-1 was revoked" in await refused(world, bob, "extend G-1 --for 30m")


# Other ways to the same


async def test_who_is_no_approver_has_no_such_verb(world: World, alice: Person) -> None:
    """Contractors, auditors: not theirs, and it says so; the request waits on."""
    auditor = world.enrol("auditor", Role.AUDITOR, groups=LEADS)
    await done(world, alice, ASK)
    for person in (alice, auditor):
        for line in ("approve R-1", "deny R-1 --reason spite", "extend G-1 --for 1h"):
            assert (await says(world, person, line))[0] != 0
    assert request(world).standing(world.now) is Standing.PENDING


async def test_somebody_elses_request_is_not_hers_to_withdraw(world: World, alice: Person) -> None:
    """Nor to see: it sounds like one that is not there."""
    mallory = world.enrol("mallory", groups=frozenset({"contractors"}))
    await done(world, alice, ASK)
    there = await refused(world, mallory, "cancel R-1")
    away = await refused(world, mallory, "cancel R-7")
    assert there == away.replace("R-7", "R-1")
    assert (await says(world, mallory, "requests R-1"))[0] != 0
    assert "R-1" not in await done(world, mallory, "status")


async def test_no_name_can_be_found_by_asking(world: World, alice: Person) -> None:
    """A host that is there and one that is not sound alike, whatever is asked for of it."""
    line = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    world.add_host(22, line, name="vault-1")
    rule_by(world, ONE, 'hosts = ["prod-*"]')
    for more in ("", " --break-glass"):
        there = await refused(world, alice, ASK.replace(HOST, "vault-1") + more)
        away = await refused(world, alice, ASK.replace(HOST, "vault-2") + more)
        assert there == away.replace("vault-2", "vault-1")
        assert "mean" not in there + await refused(world, alice, ASK.replace(HOST, "prod-hsot"))


@pytest.mark.parametrize("text", ["\x1b]0;mine\x07", "\u202eevil", "x" * 501])
async def test_a_reason_is_no_place_for_escapes(
    world: World, alice: Person, bob: Person, text: str
) -> None:
    """Whoever approves reads it on a terminal: it is refused, and not shown raw in the refusal."""
    heard = await refused(world, alice, ASK.replace("the disk is full", text))
    assert text not in heard
    assert world.services.inbox.request(1) is None
    await done(world, alice, ASK)
    assert text not in await refused(world, bob, f"deny R-1 --reason {text}")
    assert text not in await refused(world, bob, f"approve R-1 --comment {text}")
    assert request(world).standing(world.now) is Standing.PENDING


async def test_break_glass_is_for_those_who_may(world: World, alice: Person, bob: Person) -> None:
    """For nobody else; at once, with a reason, told, and not looked away by herself."""
    rule_by(world, ONE)
    assert "in an emergency" in await refused(world, alice, f"{ASK} --break-glass")
    rule_by(world, "emergency = true")
    heard = await done(world, alice, f"{ASK} --break-glass")
    assert heard.startswith("R-1")
    (given,) = grants(world)
    assert (given.emergency, given.reviewed_at, given.approved_by) == (True, None, ())
    assert told(world, What.GRANT_GIVEN) == ["alice"]
    assert (await says(world, alice, "review G-1 --comment fine"))[0] != 0
    both = UserChange(roles=frozenset({Role.CONTRACTOR, Role.AUDITOR}))
    world.services.enrolment.set_user(OPERATOR, "alice", both, world.now)
    assert "your own" in await refused(world, alice, "review G-1 --comment fine")
    auditor = world.enrol("auditor", Role.AUDITOR)
    world.services.access.revoke(OPERATOR, 1, "it is mended", world.now)
    await done(world, auditor, "review G-1 --comment fine")
