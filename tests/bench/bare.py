"""Three handshakes and nothing else: a jump host of asyncssh's that answers inside, as ours does.

It lets everybody in, asks no database, keeps nothing and records nothing, and has asyncssh as it
comes. What it takes is the floor: no bastion that is written with that library takes less.

Run as a program with the target's port, its host key and a file with a key that it takes, it prints
its own port, and ends with its stdin.
"""

import asyncio
import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import asyncssh
from asyncssh.connection import SSHClientConnection, SSHServerConnection

from bastion.wire.connections import shared_options
from tests.bench.crowd import Way
from tests.bench.house import DIRECT, LOGIN, House
from tests.e2e.warm import ROOT


class _Far(asyncssh.SSHClientSession[bytes]):
    """The session at the target."""

    def __init__(self, near: asyncssh.SSHServerChannel[bytes]) -> None:
        self._near = near

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._near.write(data)


class _Near(asyncssh.SSHServerSession[bytes]):
    """The one inside: it begins when the target has it."""

    _chan: asyncssh.SSHServerChannel[bytes]

    def __init__(self, middle: "_Middle") -> None:
        self._middle = middle
        self._connection: SSHClientConnection | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan

    def pty_requested(self, *_: object) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._task = asyncio.get_running_loop().create_task(self._begin(command))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _begin(self, command: str) -> None:
        self._connection = await self._middle.connected()
        await self._connection.create_session(
            lambda: _Far(self._chan), command, term_type="xterm", encoding=None
        )


class _Inside(asyncssh.SSHServer):
    def __init__(self, middle: "_Middle") -> None:
        self._middle = middle

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> _Near:
        return _Near(self._middle)


class _Outside(asyncssh.SSHServer):
    def __init__(self, middle: "_Middle") -> None:
        self._middle = middle

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True

    def connection_requested(self, *_: object) -> SSHServerConnection:  # type: ignore[override]
        return self._middle.inside()


class _Middle:
    """What all connections share: options that are made once, and where the target is."""

    def __init__(self, port: int, host_key: str, key_file: str) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        pinned = [asyncssh.import_public_key(host_key)]
        self._client = asyncssh.SSHClientConnectionOptions(
            **shared_options(),
            username=LOGIN,
            client_keys=[key_file],
            agent_path=None,
            known_hosts=(pinned, [], []),
            keepalive_interval=0,
        )
        self._server = asyncssh.SSHServerConnectionOptions(
            **shared_options(),
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            keepalive_interval=0,
            line_editor=False,
            encoding=None,
        )

    def outside(self) -> SSHServerConnection:
        return self._answering(lambda: _Outside(self))

    def inside(self) -> SSHServerConnection:
        return self._answering(lambda: _Inside(self))

    def _answering(self, owner: Callable[[], asyncssh.SSHServer]) -> SSHServerConnection:
        options = copy.copy(self._server)
        options.protocol_factory = owner
        return SSHServerConnection(self._loop, options)

    async def connected(self) -> SSHClientConnection:
        options = copy.copy(self._client)
        options.host, options.port = "127.0.0.1", self._port
        options.waiter = self._loop.create_future()
        _, connection = await self._loop.create_connection(
            lambda: SSHClientConnection(self._loop, options, wait="auth"), "127.0.0.1", self._port
        )
        await options.waiter
        return connection


async def _serves(port: str, host_key: str, key_file: str) -> None:
    middle = _Middle(int(port), host_key, key_file)
    server = await middle._loop.create_server(middle.outside, "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def bare(made: House, way: Way) -> Iterator[tuple[int, Way]]:
    """One before the house's target, as `way` takes it: its process, and the way by it."""
    target = made.target
    words = (str(target.port), target.host_key_line, str(made.place / DIRECT))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bare", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield process.pid, replace(way, port=port)
        finally:
            process.communicate(timeout=20)


if __name__ == "__main__":
    asyncio.run(_serves(*sys.argv[1:]))
