"""While a connection is new, what arrives is acknowledged at once."""

import asyncio
import copy
import gc
import socket
import weakref

import asyncssh
import pytest

from bastion.wire.connections import ClientConnection, ServerConnection, answering, shared_options
from bastion.wire.packets import PROMPT_READS, Turn
from tests.bastion.wire.peers import Open, connected, serving


class Socket:
    """Counts how often it was asked to acknowledge at once, and otherwise does nothing."""

    family = socket.AF_INET
    asked = 0

    def setsockopt(self, level: int, name: int, value: int) -> None:
        if (level, name, value) == (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1):
            self.asked += 1


class Wire(asyncio.Transport):
    """A transport that leads nowhere, over a socket that counts."""

    def __init__(self) -> None:
        self.socket = Socket()
        super().__init__({"socket": self.socket})

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass


async def test_only_the_first_reads_are_acknowledged_at_once() -> None:
    """Each read of the introductions, so that no client waits for it; later the kernel decides."""
    options = asyncssh.SSHServerConnectionOptions(
        **shared_options(),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        gss_host=None,
    )
    loop, wire = asyncio.get_running_loop(), Wire()
    connection = ServerConnection(
        loop, options, Turn(), lambda: Open(asyncssh.SSHServerSession[bytes])
    )
    connection.connection_made(wire)
    assert wire.socket.asked == 1
    for count in range(2, 100):
        connection.data_received(b"S")  # a version that goes on and on
        assert wire.socket.asked == min(count, PROMPT_READS)
    connection.abort()


async def test_the_kernel_is_told_how_long_a_peer_may_be_silent() -> None:
    """For what was sent and is not acknowledged, as long as for an answer: a question that can't be
    sent has none to be missed."""
    accepted: list[ServerConnection] = []

    class Kept(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            accepted.append(self)

    async with (
        serving(asyncssh.SSHServerSession[bytes], Kept, **answering(7.0)) as port,
        connected(port),
    ):
        sock = accepted[0].get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


async def signed_in(port: int, key: asyncssh.SSHKey) -> ClientConnection:
    """Our connection to a server, with `key` as the one that may be asked to sign."""
    loop = asyncio.get_running_loop()
    shared = asyncssh.SSHClientConnectionOptions(
        **shared_options(), client_keys=None, known_hosts=None, username="u"
    )
    own = copy.copy(shared)
    own.client_keys, own.waiter = asyncssh.load_keypairs(key), loop.create_future()
    _, connection = await loop.create_connection(
        lambda: ClientConnection(loop, own, Turn()), "127.0.0.1", port
    )
    await own.waiter
    connection.settle(shared)
    return connection


async def test_the_private_key_goes_when_it_has_signed() -> None:
    """Ours to a target are made for one connection each, and nobody needs them while that lasts."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    kept = weakref.ref(key)
    async with serving(asyncssh.SSHServerSession[bytes]) as port:
        connection = await signed_in(port, key)
        del key
        gc.collect()
        assert kept() is None
        connection.abort()


async def test_a_channel_on_a_connection_that_is_gone_grants_no_window() -> None:
    """A target that hangs up between login and session, again and again, would use up what there
    is for all: every window of this process would be a small one, for good."""
    loop, turn = asyncio.get_running_loop(), Turn()
    options = asyncssh.SSHClientConnectionOptions(**shared_options(), client_keys=None)
    options.waiter = loop.create_future()
    connection = ClientConnection(loop, options, turn)
    with pytest.raises(asyncssh.ChannelOpenError):
        connection.session_channel()
    assert turn.windows.granted == 0
