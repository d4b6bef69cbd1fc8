"""Strangers at the door are counted by source and minute, and never written down one by one."""

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest

from bastion.limits import Limit
from tests.corpus.by_hand import by_hand
from tests.corpus.world import World, served, told_of_limits, until

HERE = "127.0.0.1"


def counted(world: World) -> int:
    """The failures since the last look; all come from this machine."""
    taken = world.services.failures.take(world.now + timedelta(minutes=1))
    assert all(each.source == HERE for each in taken)
    return sum(each.times for each in taken)


async def soon(world: World, number: int) -> None:
    """Waits until so many have been counted, and no more."""
    seen = 0

    def enough() -> bool:
        nonlocal seen
        seen += counted(world)
        return seen >= number

    await until(enough)
    assert seen == number


async def test_who_knocks_with_strange_keys_counts_once_for_each(bare: World) -> None:
    """Three keys that nobody has enrolled, and then nothing more."""
    strange = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(3)]
    with pytest.raises(asyncssh.PermissionDenied):
        async with bare.outer(*strange):
            pass
    await soon(bare, 3)


async def test_who_knocks_and_says_nothing_counts_once(bare: World) -> None:
    """A connection that is closed before anybody is named."""
    async with by_hand(bare):
        pass
    await soon(bare, 1)


async def test_other_keys_before_the_right_one_are_no_failure(bare: World) -> None:
    """A client tries what it has; who gets in has not failed."""
    alice = bare.enrol("alice")
    strange = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(3)]
    async with bare.outer(*strange, alice.key, name="alice") as outer:
        assert (await outer.run("status")).exit_status == 0
    await bare.still_serves()  # what ended before that is counted by now
    assert counted(bare) == 0


async def test_a_wrong_signature_counts_although_the_next_is_right(bare: World) -> None:
    """Whoever shows another's public key and signs by her own is no honest client."""
    alice, bob = bare.enrol("alice"), bare.enrol("bob")
    async with by_hand(bare) as hand:
        hand.sign("whoever", alice.key, bob.public.blob)
        await until(lambda: hand.failures)
        hand.sign("whoever", alice.key)
        await until(lambda: hand.in_)
    await soon(bare, 1)


async def test_who_finds_no_place_has_not_failed(template: Path, tmp_path: Path) -> None:
    """Turned away before a key exchange: that is counted by itself, by limit, source and minute."""
    async with served(template, tmp_path / "home", unauthenticated_per_source="5") as world:
        async with AsyncExitStack() as stack:
            for _ in range(5):
                await stack.enter_async_context(by_hand(world))
            for _ in range(3):
                with pytest.raises(asyncssh.DisconnectError, match="from your network"):
                    async with world.outer():
                        pass
        await soon(world, 5)
        assert world.reached(Limit.UNAUTHENTICATED_PER_SOURCE) == 3
    assert told_of_limits(tmp_path / "home") == [("nobody", HERE, "unauthenticated_per_source", 3)]
