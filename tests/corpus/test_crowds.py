"""More sessions than there may be: the one too many hears so, and nothing is opened for it."""

import asyncio
from pathlib import Path

import asyncssh
import pytest

from bastion.limits import Limit
from tests.corpus.world import HOST, commands, served, target_for, told_of_limits, until


async def test_one_session_too_many_is_refused_and_the_next_is_not(
    template: Path, tmp_path: Path
) -> None:
    """Of one grant; and of one user, by several."""
    home = tmp_path / "home"
    async with (
        served(template, home, sessions_per_grant=2, sessions_per_user=3) as world,
        target_for(world),
    ):
        alice = world.contractor()
        async with world.jump(alice) as inner:
            first = await inner.create_process("read x")
            second = await inner.create_process("read x")
            third = await inner.run("true")
            assert third.exit_status == 254
            assert third.stderr == (
                "bastion: G-1 has as many sessions open as it may, 2; end one first.\n"
            )
            first.stdin.write("\n")
            await first.wait()
            assert (await inner.run("true")).exit_status == 0
            second.stdin.write("\n")
            await second.wait()
        assert len(world.sessions) == 3
        assert world.reached(Limit.SESSIONS_PER_GRANT) == 1

        bob = world.contractor("bob", commands("sleep 60"))
        world.grant(bob, commands("sleep 61"))
        world.certify(bob)
        async with world.jump(bob) as inner:
            for line in ("sleep 60", "sleep 60", "sleep 61"):
                await inner.create_process(line)
            await until(lambda: sum(each.live for each in world.sessions) == 3)
            more = await inner.run("sleep 61")
            assert "you have as many sessions open as you may, 3" in str(more.stderr)
    assert told_of_limits(home) == [
        ("alice", "127.0.0.1", "sessions_per_grant", 1),
        ("bob", "127.0.0.1", "sessions_per_user", 1),
    ]


async def test_of_many_at_once_exactly_so_many_begin(template: Path, tmp_path: Path) -> None:
    """All start requests in one breath, of different people at one host."""
    async with (
        served(template, tmp_path / "home", sessions_per_host=5) as world,
        target_for(world),
    ):
        people = [world.contractor(name) for name in ("alice", "bob")]
        async with world.jump(people[0]) as one, world.jump(people[1]) as two:
            tries = [each.run("read x") for each in [one, two] * 6]
            running = [asyncio.ensure_future(each) for each in tries]  # noqa: TID251
            done, going_on = set(), set(running)
            while len(going_on) > 5:
                more, going_on = await asyncio.wait(
                    going_on, return_when=asyncio.FIRST_COMPLETED, timeout=5
                )
                assert more
                done |= more
            assert {each.result().exit_status for each in done} == {254}
            assert all(f"{HOST} has as many" in str(each.result().stderr) for each in done)
            live = [each for each in world.sessions if each.live]
            assert len(live) == 5
            assert len(world.sessions) == 5
        await asyncio.wait(going_on)
        for each in going_on:
            each.exception()


async def test_break_glass_is_not_kept_out(template: Path, tmp_path: Path) -> None:
    """Where everything is full somebody has to get in who can do something about it."""
    async with served(template, tmp_path / "home", sessions=1) as world, target_for(world):
        alice, bob = world.contractor(), world.enrol("bob")
        world.grant(bob, emergency=True)
        world.certify(bob)
        async with world.jump(alice) as inner, world.jump(bob) as urgent:
            await inner.create_process("read x")
            await until(lambda: len(world.sessions) == 1)
            more = await inner.run("true")
            assert "the bastion carries as many sessions as it may" in str(more.stderr)
            assert (await urgent.run("true")).exit_status == 0


async def test_one_connection_too_many_of_a_user_is_ended(template: Path, tmp_path: Path) -> None:
    """With one key from everywhere: it ends after signing in, opens nothing, and is no failure
    of its network. Another user is let in, and she again when one of hers has ended."""
    home = tmp_path / "home"
    async with (
        served(template, home, connections_per_user=2, failures_per_source=1) as world,
        target_for(world),
    ):
        alice, bob = world.contractor(), world.contractor("bob")
        async with world.outer(alice.key) as first, world.outer(alice.key):
            for _ in range(3):
                with pytest.raises(asyncssh.Error):
                    async with world.outer(alice.key) as third:
                        await third.run("status")
            assert world.reached(Limit.CONNECTIONS_PER_USER) == 3
            async with world.jump(bob) as inner:
                assert (await inner.run("true")).exit_status == 0
            first.close()
            await first.wait_closed()
            async with world.jump(alice) as inner:
                assert (await inner.run("true")).exit_status == 0
    assert told_of_limits(home) == [("alice", "127.0.0.1", "connections_per_user", 3)]
