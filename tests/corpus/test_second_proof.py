"""`ssh -N -g -L 22123:prod-host:22 bastion`: another person, without a key, comes in through it.

Only `-J` and `-W` (originator 127.0.0.1:65535) are the person's own ssh; on any other channel the
same key has to sign a second time.
"""

import asyncssh
import pytest

from tests.corpus.by_hand import by_hand
from tests.corpus.world import JUMP, LOGIN, Person, World, until

TUNNELS = [
    ("127.0.0.1", 40_000),
    ("192.0.2.7", 65_535),
    ("localhost", 65_535),
    ("127.0.0.1 ", 65_535),
    ("127.0.0.1\0", 65_535),
    ("::ffff:127.0.0.1", 65_535),
    ("127.0.0.1", 65_535 + (1 << 16)),
    ("", 0),
]


async def test_the_persons_own_jump_needs_no_second_proof(world: World) -> None:
    """One touch of a hardware key is enough: no key is asked for inside."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer, world.inner(outer, originator=JUMP) as inner:
        assert (await inner.run("true")).exit_status == 0


@pytest.mark.parametrize("originator", TUNNELS, ids=str)
async def test_who_comes_by_a_tunnel_has_to_prove_again(
    world: World, originator: tuple[str, int]
) -> None:
    """Without a key, with the key of somebody else who may go there too, with another key of the
    same person: none is let in. The key that opened the tunnel is."""
    alice, bob = world.contractor(), world.contractor("bob")
    second = Person("alice", asyncssh.generate_private_key("ssh-ed25519"))
    world.services.store.enrol_key("alice", second.public, "os:root", world.now)
    async with world.outer(alice.key) as outer:
        for keys in ((), (bob.key,), (second.key,)):
            with pytest.raises(asyncssh.PermissionDenied):
                async with world.inner(outer, *keys, originator=originator):
                    raise AssertionError("somebody else is in by alice's tunnel")
        async with world.inner(outer, bob.key, alice.key, originator=originator) as inner:
            assert (await inner.run("true")).exit_status == 0
    assert {session.user for session in world.sessions} == {"alice"}


async def test_an_offer_in_the_tunnel_is_no_proof(world: World) -> None:
    """Whoever knows the public half offers it, and signs with what he has."""
    alice = world.contractor()
    mallory = asyncssh.generate_private_key("ssh-ed25519")
    async with world.outer(alice.key) as outer, by_hand(world, outer) as hand:
        hand.offer(LOGIN, alice.public.blob)
        await until(lambda: hand.said_ok)
        hand.sign(LOGIN, mallory, alice.public.blob)
        await until(lambda: hand.failures)
        assert not hand.in_
        hand.sign(LOGIN, alice.key, signed_user="root")
        await until(lambda: hand.failures == 2)
        assert not hand.in_


async def test_the_outer_proof_is_none_inside(world: World) -> None:
    """The signature of the outer sign-in is bound to the outer connection: replayed, it fails."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer, by_hand(world, outer) as hand:
        hand.conn._session_id, inside = outer._session_id, hand.conn._session_id
        hand.sign(LOGIN, alice.key)
        hand.conn._session_id = inside
        await until(lambda: hand.failures)
        assert not hand.in_
