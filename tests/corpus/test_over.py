"""Over means over: one connection kept open (ControlMaster) gives nothing beyond the end."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest

from bastion.inventory import Role
from tests.corpus.world import HOST, OPERATOR, World, target_for, until

SOON = timedelta(seconds=1)


async def refused(inner: asyncssh.SSHClientConnection, mark: Path) -> str:
    """What one hears who asks for a command that leaves a mark; it must not be there after."""
    done = await inner.run(f"echo ran > {mark}")
    assert done.exit_status == 254, (done.exit_status, done.stderr)
    assert not _made(mark)
    return str(done.stderr)


def _made(mark: Path) -> bool:
    return mark.exists()


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that only a command at the target makes."""
    return tmp_path / "mark"


async def test_a_kept_connection_does_not_outlive_its_grant(world: World, mark: Path) -> None:
    """A connection that is kept open over the end of the grant opens no channel after it."""
    alice = world.contractor(lasting=3 * SOON)
    async with world.jump(alice) as inner:
        assert (await inner.run("true")).exit_status == 0
        ends = world.services.store.grants()[0].ends_at
        await until(lambda: world.now > ends)
        assert "ended at" in await refused(inner, mark)


async def test_no_way_is_opened_after_the_end(world: World) -> None:
    """A forward that is opened after expiry, on an outer connection that was there before it."""
    alice = world.contractor(lasting=3 * SOON)
    ends = world.services.store.grants()[0].ends_at
    async with world.outer(alice.key) as outer:
        await until(lambda: world.now > ends)
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.inner(outer, alice.key):
                raise AssertionError("a jump after the end")
    assert not world.sessions


async def test_a_cut_leaves_nothing_hanging(world: World) -> None:
    """After a revocation the person's connections, inner and outer, close as ever."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer:
        async with world.inner(outer) as inner:
            running = await inner.create_process("sleep 60", stderr=asyncssh.STDOUT)
            await until(lambda: world.sessions)
            world.services.access.revoke(OPERATOR, 1, "enough", world.now)
            done = await asyncio.wait_for(running.wait(), 1)
            assert "G-1 was revoked" in str(done.stdout)
            inner.close()
            await asyncio.wait_for(inner.wait_closed(), 1)
        outer.close()
        await asyncio.wait_for(outer.wait_closed(), 1)
    await until(lambda: world.sessions[0].end_reason == "revoked")


async def test_a_kept_connection_does_not_outlive_a_revocation(world: World, mark: Path) -> None:
    """The same where the grant is revoked: an inner connection does not remember it as good."""
    alice = world.contractor()
    grant = world.services.store.grants()[0]
    async with world.jump(alice) as inner:
        assert (await inner.run("true")).exit_status == 0
        world.services.access.revoke(OPERATOR, grant.id, "enough", world.now)
        assert "was revoked" in await refused(inner, mark)


async def test_a_kept_connection_does_not_outlive_its_certificate(world: World, mark: Path) -> None:
    """A revoked certificate refuses new channels too, not new jumps alone."""
    alice = world.contractor()
    serial = world.services.store.ledger()[-1].serial
    async with world.jump(alice) as inner:
        assert (await inner.run("true")).exit_status == 0
        world.services.access.revoke_certificate(OPERATOR, serial, "lost", world.now)
        assert "certificate" in await refused(inner, mark)


async def test_a_kept_connection_does_not_outlive_the_host(world: World, mark: Path) -> None:
    """A host that was taken out of the inventory, or moved, is not reached by an old proof."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        assert (await inner.run("true")).exit_status == 0
        world.services.store.remove_host(HOST, OPERATOR, world.now)
        assert "no access" in await refused(inner, mark)


async def test_a_closed_account_closes_what_it_has_open(world: World) -> None:
    """`user disable` ends the outer connection, and every tunnel within, at once."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer:
        async with world.inner(outer) as inner:
            running = await inner.create_process("sleep 60")
            await until(lambda: world.sessions and world.sessions[0].live)
            world.services.enrolment.disable(OPERATOR, "alice", world.now)
            await asyncio.wait_for(running.wait_closed(), 1)
        await asyncio.wait_for(outer.wait_closed(), 1)
    await until(lambda: not world.sessions[0].live)
    assert world.sessions[0].end_reason == "revoked"


async def test_a_key_that_was_taken_away_closes_what_it_has_open(world: World) -> None:
    """A stolen key is taken away: whoever came in by it is out, also of the control plane."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer:
        assert (await outer.run("status")).exit_status == 0
        world.services.enrolment.remove_key(OPERATOR, "alice", alice.public.fingerprint, world.now)
        await asyncio.wait_for(outer.wait_closed(), 1)


async def test_a_kept_connection_does_not_keep_a_role(world: World) -> None:
    """Somebody who is an admin no more can't go on killing and revoking by a kept connection."""
    root = world.enrol("root-to-be", Role.ADMIN)
    world.contractor()
    async with world.outer(root.key) as outer:
        assert (await outer.run("grants")).exit_status == 0
        user = world.services.store.user(root.name)
        assert user is not None
        demoted = replace(user, roles=frozenset({Role.CONTRACTOR}))
        world.services.store.update_user(demoted, OPERATOR, world.now)
        done = await outer.run("revoke 1 --reason spite")
        assert done.exit_status != 0
    assert world.services.store.grants()[0].revoked_at is None


class Gate:
    """Stands before a target: lets nothing through until `open` is set."""

    def __init__(self, port: int) -> None:
        self.came, self.open, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._port = port

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        await self.open.wait()
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.TaskGroup() as group:
            group.create_task(_forward(reader, back))
            group.create_task(_forward(there, writer))
        self.left.set()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def gated(world: World) -> AsyncIterator[Gate]:
    """HOST, behind a gate that is shut."""
    async with target_for(world, "behind-the-gate") as target:
        gate = Gate(target.port)
        server = await asyncio.start_server(gate.pass_on, "127.0.0.1", 0)
        world.add_host(server.sockets[0].getsockname()[1], target.host_key_line)
        try:
            yield gate
        finally:
            gate.open.set()
            server.close()


async def test_nothing_is_started_for_a_grant_that_ended_while_connecting(
    bare: World, mark: Path
) -> None:
    """A start that is asked for just before the end, at a slow target, runs nothing after it."""
    alice = bare.contractor()
    async with gated(bare) as gate, bare.jump(alice) as inner, asyncio.TaskGroup() as group:
        asking = group.create_task(refused(inner, mark))
        await gate.came.wait()
        bare.services.access.revoke(OPERATOR, 1, "enough", bare.now)
        gate.open.set()
    assert "was revoked" in asking.result()
    assert not bare.sessions


async def test_whoever_leaves_while_the_target_is_reached_leaves_no_connection_there(
    bare: World,
) -> None:
    """Come, ask, go, again and again: each time a connection to the target would stay for ever."""
    alice = bare.contractor()
    async with gated(bare) as gate:
        async with bare.jump(alice) as inner, asyncio.TaskGroup() as group:
            group.create_task(_run_in_vain(inner))
            await gate.came.wait()
            inner.abort()
        await until(lambda: bare.services.store.connections()[0].ended_at is not None)
        gate.open.set()
        await asyncio.wait_for(gate.left.wait(), 1)


async def _run_in_vain(inner: asyncssh.SSHClientConnection) -> None:
    with suppress(asyncssh.Error, OSError):
        await inner.run("true")


async def test_an_end_is_felt_though_all_threads_are_busy(world: World) -> None:
    """An end is judged by the clock alone: no slow name server, database or verb puts it off."""
    alice = world.contractor(lasting=3 * SOON)
    released = threading.Event()
    async with world.jump(alice) as inner:
        running = await inner.create_process("sleep 60")
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, released.wait, 5) for _ in range(64)]
        try:
            await asyncio.wait_for(running.wait_closed(), 4)
        finally:
            released.set()
            await asyncio.gather(*busy)
