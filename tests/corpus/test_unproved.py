"""Who it is: the key that has signed, and nothing that was only offered before it.

x/crypto CVE-2024-45337, JumpServer's and Warpgate's tokens by public key: the last key *offered*
was taken for the one that signed. asyncssh up to 2.24.0: the options of a certificate that was
never proved stayed for the plain key after it.
"""

import asyncio

import asyncssh
import pytest
from asyncssh.public_key import SSHKeyPair

from bastion.authority.keyfiles import Which, read_private
from bastion.inventory import Role
from tests.corpus.by_hand import by_hand
from tests.corpus.world import LOGIN, OPERATOR, Person, World, until


async def who(connection: asyncssh.SSHClientConnection) -> str:
    """What the bastion calls whoever signed in."""
    return str((await connection.run()).stdout)


def pretending(person: Person, blob: bytes, algorithm: bytes) -> SSHKeyPair:
    """A key pair that shows `blob` and signs with the person's own key: the proof is wrong."""
    pair = asyncssh.load_keypairs([person.key])[0]
    pair.public_data = blob
    pair.algorithm = algorithm
    pair.sig_algorithm = b"ssh-ed25519"
    return pair


async def test_a_jump_works_at_all(world: World) -> None:
    """The world of these tests is a real one: without an attack, one gets in and is recorded."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        done = await inner.run("echo in")
    assert (done.stdout, done.exit_status) == ("in\n", 0)
    assert [session.user for session in world.sessions] == ["alice"]
    assert '"in\\n"' in world.shown(world.sessions[0])


async def test_an_admins_key_that_was_only_offered_counts_for_nothing(world: World) -> None:
    """CVE-2024-45337: offer an admin's public key, then sign with one's own. One is oneself."""
    alice, root = world.contractor(), world.enrol("rita", Role.ADMIN)
    pretended = pretending(alice, root.public.blob, b"ssh-ed25519")
    async with world.outer(pretended, alice.key) as outer:
        assert (await who(outer)).startswith("You are alice (contractor)")
        assert (await outer.run("kill S-1 --reason spite")).exit_status == 2


async def test_an_offer_without_any_signature_counts_for_nothing(world: World) -> None:
    """The same by hand: the offer is answered, never signed, and followed by one's own key."""
    alice, root = world.contractor(), world.enrol("rita", Role.ADMIN)
    async with by_hand(world) as hand:
        hand.offer("whoever", root.public.blob)
        await until(lambda: hand.said_ok)
        hand.sign("whoever", alice.key)
        await until(lambda: hand.in_)
        assert (await who(hand.conn)).startswith("You are alice ")


async def test_offers_and_signatures_in_one_breath_are_kept_apart(world: World) -> None:
    """Sent without waiting: each request ends the one before, and none lends it its key."""
    alice, root = world.contractor(), world.enrol("rita", Role.ADMIN)
    async with by_hand(world) as hand:
        for number in range(8):
            hand.offer(f"name{number}", root.public.blob)
            hand.sign(f"name{number}", alice.key, root.public.blob)
        hand.sign("whoever", alice.key)
        await until(lambda: hand.in_)
        assert (await who(hand.conn)).startswith("You are alice ")


async def test_a_signature_is_for_one_user_name(world: World) -> None:
    """A signature that was made for one name is none for another."""
    alice = world.contractor()
    async with by_hand(world) as hand:
        hand.sign("other", alice.key, signed_user="alice")
        await until(lambda: hand.failures)
        assert not hand.in_


async def test_an_unproved_certificate_leaves_nothing_behind(world: World) -> None:
    """asyncssh 2.24.0: a stranger's certificate is offered with a wrong signature, then comes the
    plain key. Neither the certificate's forced command nor its owner remains."""
    alice, bob = world.contractor(), world.contractor("bob")
    ca = read_private(world.services.home.keys / Which.USER_CA)
    forced = ca.generate_user_certificate(
        bob.key, "bob", principals=["bob", "alice"], valid_before="+1d", force_command="echo FORCED"
    )
    for certificate in (forced, world.certify(bob)):
        pretended = pretending(alice, certificate.public_data, certificate.algorithm)
        async with world.outer(pretended, alice.key) as outer:
            assert (await who(outer)).startswith("You are alice ")
            async with world.inner(outer, alice.key) as inner:
                assert (await inner.run("echo mine")).stdout == "mine\n"


async def test_an_unproved_certificate_alone_opens_nothing(world: World) -> None:
    """A public certificate is no secret: who can't sign for its key is nobody."""
    alice, mallory = (
        world.contractor(),
        Person("mallory", asyncssh.generate_private_key("ssh-ed25519")),
    )
    certificate = world.certify(alice)
    pretended = pretending(mallory, certificate.public_data, certificate.algorithm)
    with pytest.raises(asyncssh.PermissionDenied):
        async with world.outer(pretended, mallory.key):
            raise AssertionError("somebody unknown is in")


@pytest.mark.parametrize("name", ["bob", "BOB", "Bob", "ｂｏｂ", "bo\u00adb"])
async def test_nobody_signs_in_under_another_users_name(world: World, name: str) -> None:
    """Whatever the name is written like (case, full width, soft hyphen), it is another user's."""
    alice, _ = world.contractor(), world.enrol("bob")
    with pytest.raises(asyncssh.PermissionDenied):
        async with world.outer(alice.key, name=name):
            raise AssertionError("alice is in as bob")


@pytest.mark.parametrize("name", ["../../etc/passwd", "alice; id", "C-1", "$(id)", "root", "%s%n"])
async def test_a_user_name_is_never_more_than_a_name(world: World, name: str) -> None:
    """AsyncSSH 2.23, JumpServer: a user name became a path or a command. Here the key counts."""
    alice = world.contractor()
    async with world.outer(alice.key, name=name) as outer:
        assert (await who(outer)).startswith("You are alice ")
    await world.still_serves()


@pytest.mark.parametrize("login", ["../deploy", "deploy ", "DEPLOY", "-oProxyCommand=id", "root"])
async def test_a_login_is_what_was_granted_to_the_letter(world: World, login: str) -> None:
    """Inside too: whatever is not the granted login is refused, with no certificate made."""
    alice = world.contractor()
    made = len(world.services.store.ledger())
    async with world.outer(alice.key) as outer:
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.inner(outer, alice.key, login=login):
                raise AssertionError(f"in as {login}")
    assert len(world.services.store.ledger()) == made


async def test_a_refused_login_is_not_kept_for_the_next_name(world: World) -> None:
    """Names tried in turn inside: what was allowed for one is nothing for another."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer, by_hand(world, outer) as hand:
        hand.offer(LOGIN, alice.public.blob)
        await until(lambda: hand.said_ok)
        hand.sign("root", alice.key)
        await until(lambda: hand.failures)
        assert not hand.in_
        assert "not granted" in hand.banner


async def test_disabled_and_past_accounts_are_nobody(world: World) -> None:
    """An account that is shut, or over, signs in no more, by key or by certificate."""
    alice = world.contractor()
    certificate = world.certify(alice)
    async with world.outer(alice.key):
        pass
    world.services.enrolment.disable(OPERATOR, "alice", world.now)
    for key in (alice.key, (alice.key, certificate)):
        with pytest.raises(asyncssh.PermissionDenied):
            async with asyncio.timeout(2), world.outer(key):
                raise AssertionError("a closed account is in")
