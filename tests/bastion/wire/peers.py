"""Our server connection on loopback, with plain asyncssh as its client, for tests of the wire."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncssh

from bastion.wire.connections import ServerConnection, shared_options
from bastion.wire.packets import Turn


class Open(asyncssh.SSHServer):
    """Lets anybody in, and answers each session channel with what `session` makes."""

    def __init__(self, session: Callable[[], asyncssh.SSHServerSession[bytes]]):
        self.session = session

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return self.session()


@asynccontextmanager
async def serving(
    session: Callable[[], asyncssh.SSHServerSession[bytes]],
    kind: type[ServerConnection] = ServerConnection,
    **options: object,
) -> AsyncIterator[int]:
    """The port of a server of ours, of this `kind`, whose sessions are `session()`."""
    loop = asyncio.get_running_loop()
    prepared = asyncssh.SSHServerConnectionOptions(
        **shared_options(),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        gss_host=None,
        **options,
    )
    turn = Turn()
    server = await loop.create_server(
        lambda: kind(loop, prepared, turn, lambda: Open(session)), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def connected(port: int, **options: object) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Plain asyncssh, connected to `port`."""
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        username="u",
        known_hosts=None,
        client_keys=None,
        agent_path=None,
        config=None,
        gss_host=None,
        **options,
    ) as connection:
        yield connection
