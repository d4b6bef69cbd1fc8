"""A target that attacks: what it says reaches the contractor's screen, never our log or our lines.

The bastion is an SSH client of machines that it was built not to trust.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_GLOBAL_REQUEST,
)
from asyncssh.packet import Boolean, String, UInt32

from tests.corpus.world import HOST, World, until

FORGED = "no\n2026-11-23 ERROR root signed in\r\nbastion: G-1 was extended\x1b]0;owned\x07\u202e"

Behaviour = Callable[[asyncssh.SSHServerChannel[bytes]], object]


class Hostile(asyncssh.SSHServer):
    """Lets anybody in, and answers each session as `behaviour` says."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return Session(self._behaviour)


class Session(asyncssh.SSHServerSession[bytes]):
    """Takes any start, and then behaves."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan

    def exec_requested(self, command: str) -> bool:
        return True

    def session_started(self) -> None:
        self._behaviour(self._chan)


@asynccontextmanager
async def hostile(
    world: World, server: Callable[[], asyncssh.SSHServer]
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A jump to a target of this kind, up to where channels are opened."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    alice = world.contractor()
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], server_factory=server, encoding=None
    ) as target:
        world.add_host(target.get_port(), key.export_public_key().decode(), name=HOST)
        async with world.jump(alice) as inner:
            yield inner


def _clean(text: str) -> None:
    """One line of ours, with nothing in it that moves a cursor or pretends to be another line."""
    assert "\n" not in text.rstrip("\n")
    assert text.rstrip("\n").isprintable(), ascii(text)


class Refuses(asyncssh.SSHServer):
    """Refuses every channel, with a reason of its own writing."""

    def begin_auth(self, username: str) -> bool:
        return False

    def session_requested(self) -> bool:
        raise asyncssh.ChannelOpenError(1, FORGED)


class HangsUp(asyncssh.SSHServer):
    """Disconnects while the bastion signs in, with a reason of its own writing."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn

    def begin_auth(self, username: str) -> bool:
        self._conn.disconnect(2, FORGED)
        return True


@pytest.mark.parametrize("server", [Refuses, HangsUp])
async def test_a_targets_reasons_forge_no_line(
    bare: World, server: Callable[[], asyncssh.SSHServer], caplog: pytest.LogCaptureFixture
) -> None:
    """The reason of a refused channel or a disconnect, with new lines and escape sequences in it:
    neither our sentence to the person nor our log is made of it as it came."""
    caplog.set_level(logging.INFO, "bastion")
    async with hostile(bare, server) as inner:
        done = await inner.run("id")
    assert done.exit_status == 254
    _clean(str(done.stderr))
    for record in caplog.records:
        if record.name.startswith("bastion"):
            _clean(record.getMessage())


def _opens_channels(chan: asyncssh.SSHServerChannel[bytes]) -> None:
    connection = chan.get_connection()
    whence = String("127.0.0.1") + UInt32(22)
    for number, (kind, rest) in enumerate(
        (
            ("forwarded-tcpip", whence + whence),
            ("x11", whence),
            ("auth-agent@openssh.com", b""),
            ("session", b""),
            ("direct-tcpip", whence + whence),
            ("forwarded-streamlocal@openssh.com", String("/x") + String("")),
        )
    ):
        about = UInt32(100 + number) + UInt32(1 << 20) + UInt32(32768)
        connection.send_packet(MSG_CHANNEL_OPEN, String(kind), about + rest)


def _asks_for_forwards(chan: asyncssh.SSHServerChannel[bytes]) -> None:
    ask = String("tcpip-forward") + Boolean(True) + String("") + UInt32(0)
    chan.get_connection().send_packet(MSG_GLOBAL_REQUEST, ask)
    ask = String("hostkeys-00@openssh.com") + Boolean(False) + String(b"x" * 50)
    chan.get_connection().send_packet(MSG_GLOBAL_REQUEST, ask)


def _odd_data(chan: asyncssh.SSHServerChannel[bytes]) -> None:
    chan.send_packet(MSG_CHANNEL_EXTENDED_DATA, UInt32(7), String("odd"))


def _too_much(chan: asyncssh.SSHServerChannel[bytes]) -> None:
    for _ in range(200):
        chan.send_packet(94, String(bytes(32_000)))


def _odd_window(chan: asyncssh.SSHServerChannel[bytes]) -> None:
    for _ in range(3):
        chan.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(0xFFFFFFFF))


def _ends_often(chan: asyncssh.SSHServerChannel[bytes]) -> None:
    for request in (
        (b"exit-status", UInt32(0xFFFFFFFF)),
        (b"exit-status", UInt32(0)),
        (b"exit-signal", String("KILL"), Boolean(True), String(FORGED), String("")),
        (b"exit-signal", String("x" * 5000), Boolean(True), String(""), String("")),
        (b"eow@openssh.com",),
        (b"xon-xoff", Boolean(True)),
        (b"pty-req", String("x"), UInt32(1) * 4, String("")),
        (b"shell",),
        (b"exec", String("id")),
    ):
        chan._send_request(*request)
    chan.write(b"after")
    chan.write_eof()


ATTACKS = [_opens_channels, _asks_for_forwards, _odd_data, _too_much, _odd_window, _ends_often]


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_target_gets_nothing_of_the_bastion(bare: World, attack: Behaviour) -> None:
    """Channels back, forwards, starts, data of no kind, beyond the window or without end: its own
    session may end by it, in time and recorded; nothing else does."""

    def behave(chan: asyncssh.SSHServerChannel[bytes]) -> None:
        attack(chan)
        asyncio.get_running_loop().call_later(0.2, chan.abort)

    async with hostile(bare, lambda: Hostile(behave)) as inner:
        await asyncio.wait_for(inner.run("id", encoding=None, check=False), 3)
        await bare.still_serves()
    await until(lambda: bare.sessions and not bare.sessions[0].live)
    assert len(bare.sessions) == 1
