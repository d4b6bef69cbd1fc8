"""What one more idle session costs in memory: on a connection of its own, and on a shared one.

Many sessions are opened by asyncssh instead of `ssh`, which spares the machine hundreds of
processes; it sends the originator that `ssh -J` sends, so the bastion sees what it always sees.
Each session is a program on a pty of the target that does nothing, recorded like any other.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import asyncssh
from asyncssh.connection import SSHClientConnection

from tests.bench import processes
from tests.bench.crowd import Jump
from tests.bench.figures import Row, below
from tests.bench.stage import SAME_KEX, Stage
from tests.e2e.contractor import HOST

_IDLE = "printf ready; exec sleep 240"
_AT_ONCE = 4
_KILOBYTE = 1000

Open = Callable[[], Awaitable[None]]


class Crowd:
    """Contractors with idle sessions; closed in the end."""

    def __init__(self, stage: Stage, stack: AsyncExitStack) -> None:
        self._stage = stage
        self._stack = stack
        contractor = stage.contractor
        self._options = asyncssh.SSHClientConnectionOptions(
            config=None,
            known_hosts=None,  # what is measured is at the other end
            client_keys=[(str(contractor.key), str(contractor.certificate))],
            agent_path=None,
            kex_algs=[SAME_KEX],
            encryption_algs=["aes128-gcm@openssh.com"],
            keepalive_interval=0,
        )

    async def by_bastion(self) -> None:
        """One more session on a connection of its own."""
        await self.session(await self.jump())

    async def by_proxyjump(self) -> None:
        """The same by way of the sshd that is the jump host."""
        stage = self._stage
        inner = await self._jump(stage.jump.port, stage.jump.login, "127.0.0.1", stage.target.port)
        await self.session(inner)

    async def jump(self) -> SSHClientConnection:
        """A connection through the bastion, with no session yet."""
        stage = self._stage
        return await self._jump(stage.bastion.port, stage.contractor.name, HOST, 22)

    async def _jump(self, port: int, user: str, host: str, host_port: int) -> SSHClientConnection:
        connect = asyncssh.connect("127.0.0.1", port, username=user, options=self._options)
        outer = await self._stack.enter_async_context(connect)
        tunnel = cast(SSHClientConnection, Jump(outer))
        login = self._stage.target.login
        inner = asyncssh.connect(
            host, host_port, tunnel=tunnel, username=login, options=self._options
        )
        return await self._stack.enter_async_context(inner)

    async def session(self, connection: SSHClientConnection) -> None:
        """An idle program on a pty."""
        process = await connection.create_process(_IDLE, term_type="xterm", encoding=None)
        await process.stdout.readuntil(b"ready")


def measure(stage: Stage, few: int, many: int) -> list[Row]:
    """The growth from `few` to `many` sessions, for each one more."""
    return asyncio.run(_measure(stage, few, many))


async def _measure(stage: Stage, few: int, many: int) -> list[Row]:
    shared = min(few, 50)
    sshd = await _proxyjump(stage, min(few, 20))
    rows = await _own_connections(stage, few, many, sshd)
    rows.append(await _shared_connection(stage, shared))
    return rows


async def _own_connections(stage: Stage, few: int, many: int, sshd: float | None) -> list[Row]:
    pid = stage.bastion.pid
    async with _crowd(stage) as crowd:
        await _open(few, crowd.by_bastion)
        rss, pss = await _settled(pid), processes.proportional(pid)
        await _open(many - few, crowd.by_bastion)
        more = many - few
        grown = (await _settled(pid) - rss) / more, (processes.proportional(pid) - pss) / more
    said = f"memory of one more idle session ({few} to {many}, a connection each)"
    return [
        below(f"{said}, RSS", "KB", None, grown[0] / _KILOBYTE, 200),
        below(f"{said}, PSS", "KB", sshd, grown[1] / _KILOBYTE, 200),
    ]


async def _shared_connection(stage: Stage, sessions: int) -> Row:
    pid = stage.bastion.pid
    async with _crowd(stage) as crowd:
        connection = await crowd.jump()
        await crowd.session(connection)
        before = await _settled(pid)
        await _open(sessions, lambda: crowd.session(connection))
        grown = (await _settled(pid) - before) / sessions
    said = f"memory of one more idle session ({sessions} on one connection), RSS"
    return Row(said, "KB", None, grown / _KILOBYTE, None)


async def _proxyjump(stage: Stage, sessions: int) -> float | None:
    """PSS of the jump host's processes for one connection, in KB; None where it can't be read."""
    async with _crowd(stage) as crowd:
        await _open(sessions, crowd.by_proxyjump)
        pids = list(processes.descendants(stage.jump_pid))
        try:
            return sum(map(processes.proportional, pids)) / sessions / _KILOBYTE
        except PermissionError:
            return None


@asynccontextmanager
async def _crowd(stage: Stage) -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        yield Crowd(stage, stack)
    await asyncio.to_thread(stage.settle)


async def _open(number: int, open_one: Open) -> None:
    """`number` more, a few at a time, as so many people would hardly come at once."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def opened() -> None:
        async with gate:
            await open_one()

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(opened())


async def _settled(pid: int) -> int:
    """RSS once it has stopped moving, or after five seconds."""
    before = 0
    for _ in range(10):
        await asyncio.sleep(0.5)
        now = processes.resident(pid)
        if abs(now - before) < 64 * 1024:
            return now
        before = now
    return before
