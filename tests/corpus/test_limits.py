"""Going around the limits: second starts, environments, forwards, agents, displays, tunnels."""

from collections.abc import Callable

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_REQUEST_FAILURE
from asyncssh.packet import Boolean, String, UInt32

from tests.corpus.world import HOST, World, commands, until


async def opened(inner: asyncssh.SSHClientConnection) -> asyncssh.SSHClientChannel[bytes]:
    """A session channel on which nothing runs yet."""
    chan: asyncssh.SSHClientChannel[bytes] = asyncssh.SSHClientChannel(
        inner, inner._loop, "strict", None, "strict", 1 << 20, 32768
    )
    await chan._open(b"session")
    chan._session = asyncssh.SSHClientSession()
    return chan


async def channel(inner: asyncssh.SSHClientConnection) -> asyncssh.SSHClientChannel[bytes]:
    """A session channel on which something runs already."""
    chan, _ = await inner.create_session(asyncssh.SSHClientSession, "cat", encoding=None)
    return chan


STARTS = {
    "shell": (b"shell",),
    "exec": (b"exec", String("echo second")),
    "sftp": (b"subsystem", String("sftp")),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
async def test_a_channel_has_one_start(world: World, start: tuple[bytes, ...]) -> None:
    """asyncssh up to 2.24.0 took a second start on a channel: `exec` behind `shell`, unseen."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        chan = await channel(inner)
        assert not await chan._make_request(*start)
        chan.abort()
    assert [session.command for session in world.sessions] == ["cat"]


async def test_starts_in_one_breath_are_one_start(world: World) -> None:
    """Sent without waiting for the first one's answer, which comes when the target has given it."""
    alice = world.contractor("alice", commands("echo ok", "echo second"))
    async with world.jump(alice) as inner:
        chan = await opened(inner)
        for line in ("echo ok", "echo second", "echo second"):
            chan._send_request(b"exec", String(line))
        await until(lambda: world.sessions and not world.sessions[0].live)
    assert [session.command for session in world.sessions] == ["echo ok"]


HARMFUL = {
    "LD_PRELOAD": "/tmp/x.so",
    "LD_LIBRARY_PATH": "/tmp",
    "PATH": "/tmp",
    "BASH_ENV": "/tmp/x",
    "ENV": "/tmp/x",
    "IFS": "x",
    "PS4": "$(id)",
    "PYTHONPATH": "/tmp",
    "PERL5OPT": "-Mx",
    "GIT_SSH_COMMAND": "id",
    "SSH_AUTH_SOCK": "/tmp/x",
    "LC_ALL": "../../tmp/x",
    "LC_MESSAGES": "/tmp/x",
    "LANG": "() { :;}; touch /tmp/x",
    "LC_CTYPE": "C\nLD_PRELOAD=x",
    "LC_TIME": "x" * 65,
    "LC_NAME": "",
    "LC_BASH_ENV": "x",
    "lang": "C",
    "LANG=C\0LD_PRELOAD": "x",
}


async def test_only_harmless_variables_reach_the_target(bare: World) -> None:
    """CVE-2014-0475 (`LC_ALL=../../…`), LD_PRELOAD, PATH, BASH_ENV: names are listed one by one
    and values are plain. A target that takes every variable tells which ones came."""
    seen: dict[bytes, bytes] = {}

    class Taker(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

    def told(process: asyncssh.SSHServerProcess[bytes]) -> None:
        seen.update(process.channel.get_environment_bytes())
        process.exit(0)

    key = asyncssh.generate_private_key("ssh-ed25519")
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], server_factory=Taker, process_factory=told
    ) as target:
        bare.add_host(target.get_port(), key.export_public_key().decode())
        alice = bare.contractor()
        async with bare.jump(alice) as inner:
            done = await inner.run("x", env={**HARMFUL, "LC_PAPER": "de_AT.UTF-8@euro"})
            assert done.exit_status == 0
    assert seen == {b"LC_PAPER": b"de_AT.UTF-8@euro"}


def _open(kind: str, rest: bytes) -> Callable[[asyncssh.SSHClientConnection], None]:
    about = UInt32(9) + UInt32(1 << 20) + UInt32(32768)
    return lambda inner: inner.send_packet(MSG_CHANNEL_OPEN, String(kind), about + rest)


WHENCE = String("127.0.0.1") + UInt32(65535)
CHANNELS = {
    "to localhost": _open("direct-tcpip", String("localhost") + UInt32(22) + WHENCE),
    "to another host": _open("direct-tcpip", String(HOST) + UInt32(22) + WHENCE),
    "to metadata": _open("direct-tcpip", String("169.254.169.254") + UInt32(80) + WHENCE),
    "to no text": _open("direct-tcpip", String("h\x1b]0;x\x07") + UInt32(22) + WHENCE),
    "to a socket": _open(
        "direct-streamlocal@openssh.com", String("/run/x.sock") + String("") + UInt32(0)
    ),
    "back": _open("forwarded-tcpip", String("localhost") + UInt32(22) + WHENCE),
    "x11": _open("x11", WHENCE),
    "agent": _open("auth-agent@openssh.com", b""),
    "tun": _open("tun@openssh.com", UInt32(1) + UInt32(0x7FFFFFFF)),
    "tap": _open("tun@openssh.com", UInt32(2) + UInt32(0)),
    "tun of no mode": _open("tun@openssh.com", UInt32(3) + UInt32(0)),
    "unknown": _open("whatever", b""),
}


class Failures:
    """Counts what the server refuses; asyncssh would take it for an error of its own."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.count = self.opened = 0
        handlers = dict(type(connection)._packet_handlers)
        handlers[92] = lambda *_: self._failed()
        handlers[91] = lambda *_: self._opened()
        connection._packet_handlers = handlers

    def _failed(self) -> None:
        self.count += 1

    def _opened(self) -> None:
        self.opened += 1


# Outside, a way to port 22 is what a jump looks like: its refusal is spoken within.
JUMPS = {"to localhost", "to another host"}
TRIES = [(name, inside) for name in CHANNELS for inside in (True, False)]


@pytest.mark.parametrize(("name", "inside"), [t for t in TRIES if t[1] or t[0] not in JUMPS])
async def test_no_other_channel_is_opened(world: World, name: str, inside: bool) -> None:
    """Forwards within the hop would be SSH that nobody sees; each is refused by a failure, or the
    connection is ended. A shell grant gives none of them."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer, world.inner(outer) as inner:
        connection = inner if inside else outer
        failures = Failures(connection)
        CHANNELS[name](connection)
        await until(lambda: failures.count or failures.opened or connection.is_closed())
        assert not failures.opened
    assert not world.sessions


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
async def test_nothing_is_listened_on_for_anybody(world: World, inside: bool) -> None:
    """`-R` for TCP and for sockets; and five hundred signatures for one packet."""
    alice = world.contractor()
    host_key = world.services.authority.host_key.public_data
    async with world.outer(alice.key) as outer, world.inner(outer) as inner:
        connection = inner if inside else outer
        for request in (
            (b"tcpip-forward", String(""), UInt32(0)),
            (b"tcpip-forward", String("127.0.0.1"), UInt32(8080)),
            (b"streamlocal-forward@openssh.com", String("/tmp/x.sock")),
            (b"hostkeys-prove-00@openssh.com", String(host_key) * 500),
            (b"no-more-sessions@openssh.com",),
            (b"whatever@example.com", String("x" * 10_000)),
        ):
            kind, _ = await connection._make_global_request(*request)
            assert kind == MSG_REQUEST_FAILURE, request
            assert not connection.is_closed(), request
        assert (await inner.run("echo on")).stdout == "on\n"


@pytest.mark.parametrize(
    "request_",
    [
        (b"auth-agent-req@openssh.com",),
        (b"x11-req", Boolean(False), String("MIT-MAGIC-COOKIE-1"), String("00" * 16), UInt32(0)),
        (b"whatever@example.com",),
        (b"pty-req", String("x\x1b[31m"), UInt32(80) * 4, String("\0")),
        (b"pty-req", String("x" * 100_000), UInt32(80) * 4, String("\0")),
        (b"subsystem", String("../../bin/sh")),
    ],
    ids=["agent", "x11", "unknown", "odd terminal", "long terminal", "subsystem path"],
)
async def test_no_other_request_is_granted(world: World, request_: tuple[bytes, ...]) -> None:
    """Agent, display and terminals that are none are refused, or refuse the channel."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        chan = await opened(inner)
        answered = await chan._make_request(*request_)
        assert not answered or request_[0] == b"subsystem"
        chan.abort()
    assert not world.sessions


async def test_requests_out_of_turn_break_nothing(world: World) -> None:
    """Signals, breaks, sizes, data and ends before any start, and all of them again after it."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        for started in (False, True):
            chan = await opened(inner)
            if started:
                assert await chan._make_request(b"exec", String("cat"))
            chan._send_request(b"signal", String("KILL' $(id)"))
            chan._send_request(b"signal", String("x" * 5000))
            chan._send_request(b"break", UInt32(0xFFFFFFFF))
            chan._send_request(b"window-change", UInt32(0xFFFFFFFF) * 4)
            chan._send_request(b"eow@openssh.com")
            chan._send_request(b"exit-status", UInt32(3))
            chan._send_request(b"xon-xoff", Boolean(True))
            chan.write(b"data")
            chan.write_eof()
            chan.close()
        assert (await inner.run("echo on")).stdout == "on\n"
