"""Holding on to what is not used: sessions in which nothing moves, and clients that are gone."""

import asyncio
from pathlib import Path

from bastion.limits import Limit
from recorder import EndReason
from tests.corpus.world import commands, served, target_for, told_of_limits, until


async def test_a_shell_in_which_nothing_moves_is_warned_and_ends(
    template: Path, tmp_path: Path
) -> None:
    """One that says something now and then does not, nor one in which somebody types."""
    home = tmp_path / "home"
    async with served(template, home, idle="2s") as world, target_for(world):
        alice = world.contractor()
        async with world.jump(alice) as inner:
            idle = await inner.create_process("read x", term_type="xterm")
            talking = await inner.create_process("while sleep 0.5; do echo x; done")
            listening = await inner.create_process("cat >/dev/null")
            shown = ""
            async with asyncio.timeout(8):
                while not idle.stdout.at_eof():
                    listening.stdin.write("x")
                    shown += await idle.stdout.read(1000)
                    await asyncio.sleep(0.1)
            assert "bastion: nothing has moved here for 1s; this session ends in 1s" in shown
            assert "bastion: nothing has moved here for 2s; this session is over." in shown
            await idle.wait()
            assert idle.exit_status == 255
            assert not talking.is_closing()
            await until(lambda: not world.sessions[0].live)
            reasons = [each.end_reason for each in world.sessions]
            assert reasons[0] is EndReason.IDLE
            assert reasons[1] is None
    assert told_of_limits(home)[0] == ("alice", "127.0.0.1", "idle", 1)


async def test_a_guided_prompt_at_which_nobody_types_ends(template: Path, tmp_path: Path) -> None:
    """It is no session, and holds a place all the same."""
    async with served(template, tmp_path / "home", idle="1s") as world, target_for(world):
        alice = world.contractor(allows=commands("echo hello"))
        async with world.jump(alice) as inner:
            prompt = await inner.create_process(term_type="xterm")
            prompt.stdin.write("echo hello\r")
            async with asyncio.timeout(6):
                shown = await prompt.stdout.read()
            assert "hello\r\n" in shown
            assert "bastion: nothing has moved here for 1s; this session is over." in shown
            assert prompt.exit_status == 255
        assert world.reached(Limit.IDLE) == 1
        assert [each.end_reason for each in world.sessions] == [EndReason.CLOSED]


async def test_a_connection_on_which_nothing_is_open_ends(template: Path, tmp_path: Path) -> None:
    """`ssh -N`, outside and within a jump; not one through which a session goes on."""
    async with served(template, tmp_path / "home", idle="1s") as world, target_for(world):
        alice = world.contractor()
        async with (
            world.outer(alice.key, name="alice") as empty,
            world.jump(alice) as within,
            world.jump(alice) as busy,
        ):
            talking = await busy.create_process("while sleep 0.3; do echo x; done")
            await asyncio.wait_for(empty.wait_closed(), 4)
            await asyncio.wait_for(within.wait_closed(), 4)
            await talking.stdout.readexactly(10)
        assert world.reached(Limit.IDLE) >= 2


async def test_a_client_that_says_nothing_any_more_is_gone(template: Path, tmp_path: Path) -> None:
    """Half open: its connection stands, and nobody answers there. Its session ends, its place is
    free, and what came until then is in the recording."""
    home = tmp_path / "home"
    async with served(template, home, dead="1s") as world, target_for(world):
        alice = world.contractor()
        async with world.outer(alice.key, name="alice") as outer, world.inner(outer) as inner:
            running = await inner.create_process("echo begun; read x")
            assert await running.stdout.readline() == "begun\n"
            transport = outer._transport
            assert isinstance(transport, asyncio.Transport)
            transport.pause_reading()
            await until(lambda: world.reached(Limit.DEAD) == 1)
            await until(lambda: not world.sessions[0].live)
            assert "begun" in world.shown(world.sessions[0])
            transport.resume_reading()
        await world.still_serves()
    assert told_of_limits(home) == [("alice", "127.0.0.1", "dead", 1)]


async def test_a_stalled_client_of_a_flood_is_gone(template: Path, tmp_path: Path) -> None:
    """It asked for `yes` and reads no more: nothing is kept for it beyond what is on its way."""
    async with served(template, tmp_path / "home", dead="1s") as world, target_for(world):
        alice = world.contractor()
        async with world.outer(alice.key, name="alice") as outer, world.inner(outer) as inner:
            flood = await inner.create_process("yes")
            await flood.stdout.readline()
            transport = outer._transport
            assert isinstance(transport, asyncio.Transport)
            transport.pause_reading()
            await until(lambda: world.reached(Limit.DEAD) == 1)
            await until(lambda: not world.sessions[0].live)
            session = world.sessions[0]
            assert session.recording.sha256 is not None
            transport.resume_reading()
        await world.still_serves()
