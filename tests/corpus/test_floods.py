"""Bringing it down: unfinished handshakes, lengths that lie, floods, readers that do not read.

Warpgate GHSA-78rf: one client that did not finish its handshake blocked all others. Each test
leaves the attack standing and sees that somebody else is served beside it.
"""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_OPEN,
    MSG_GLOBAL_REQUEST,
    MSG_KEXINIT,
    MSG_USERAUTH_REQUEST,
)
from asyncssh.packet import Boolean, String, UInt32

from bastion.limits import Limit
from bastion.wire.bounds import SMALL, WINDOW
from tests.corpus.by_hand import ByHand, by_hand
from tests.corpus.test_limits import opened
from tests.corpus.world import HOST, World, served, target_for, told_of_limits, until

UNFINISHED = {
    "silence": b"",
    "half a version": b"SSH-2.0-",
    "a version": b"SSH-2.0-slow\r\n",
    "half a packet": b"SSH-2.0-slow\r\n\0\0\4\0\5\x14",
}


async def _hung_up(reader: asyncio.StreamReader, seconds: float = 2) -> None:
    """Wait until the bastion has closed a raw connection."""
    async with asyncio.timeout(seconds):
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass


@pytest.fixture
async def hasty(template: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A bastion where one has to sign in within a second."""
    async with served(template, tmp_path / "home", login_grace="1s") as world, target_for(world):
        yield world


async def test_who_does_not_finish_a_handshake_blocks_nobody(hasty: World) -> None:
    """Several stand in the door, each at another step; others come in, and they are sent away."""
    async with AsyncExitStack() as stack:
        doors = []
        for begun in UNFINISHED.values():
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", hasty.port)
                stack.callback(writer.close)
                writer.write(begun)
                doors.append(reader)
        await hasty.still_serves()
        hand = await stack.enter_async_context(by_hand(hasty))
        await hasty.still_serves()
        await asyncio.gather(*map(_hung_up, doors))
        await hand.closed(2)


async def test_who_does_not_finish_inside_blocks_nobody(hasty: World) -> None:
    """The same within a jump: the inner handshake is never finished, and is ended in time."""
    alice = hasty.contractor()
    async with hasty.outer(alice.key) as outer:
        channels = [
            await outer.open_connection(HOST, 22, orig_host="127.0.0.1", orig_port=65535)
            for _ in range(5)
        ]
        await hasty.still_serves()
        for reader, _ in channels:
            async with asyncio.timeout(2):
                while await reader.read(65536):
                    pass
        await until(lambda: all(jump.ended_at for jump in hasty.services.store.connections()))


async def test_one_source_takes_a_few_places_and_no_more(template: Path, tmp_path: Path) -> None:
    """Like MaxStartups: who opens hundreds of connections and signs in on none is turned away,
    and gets places again when his first ones are gone."""
    async with served(template, tmp_path / "home", unauthenticated_per_source=20) as world:
        await _flooded(world, 40, 20)


async def _flooded(world: World, number: int, places: int) -> None:
    """So many connections that say nothing; there are fewer places, and then those again."""
    async with AsyncExitStack() as stack:
        connections = []
        for _ in range(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
            stack.callback(writer.close)
            connections.append(reader)
        await asyncio.gather(*map(_hung_up, connections[places:]))
        assert world.reached(Limit.UNAUTHENTICATED_PER_SOURCE) == number - places
    async with asyncio.timeout(2):
        while True:
            with suppress(AssertionError, OSError, asyncssh.Error):
                await world.still_serves()
                break


LYING = {
    "a packet of 4 GiB": b"\xff\xff\xff\xff" + bytes(64),
    "a packet of 1 GiB": b"\x40\0\0\0" + bytes(64),
    "a packet of nothing": bytes(64),
    "a packet of one byte": b"\0\0\0\1" + bytes(64),
    "padding beyond the end": b"\0\0\0\x0c\xff\x14" + bytes(64),
    "a name list of 4 GiB": b"\0\0\0\x2c\4\x14" + bytes(16) + b"\xff\xff\xff\xff" + bytes(64),
}


@pytest.mark.parametrize("packet", LYING.values(), ids=LYING)
async def test_a_length_that_lies_ends_the_connection(world: World, packet: bytes) -> None:
    """In clear text: nothing is reserved for what is only said to come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"SSH-2.0-liar\r\n" + packet)
    await _hung_up(reader)
    writer.close()
    await world.still_serves()


@pytest.mark.parametrize(
    "line",
    [b"SSH-2.0-" + b"x" * 70_000, b"x" * 70_000, b"SSH-2.0-\xff\xfe\r\n", b"SSH-1.0-x\r\n",
     b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3" + bytes(100) + b"\n"],
    ids=["endless", "endless noise", "no text", "too old", "http", "tls"],
)  # fmt: skip
async def test_what_is_no_version_line_ends_the_connection(world: World, line: bytes) -> None:
    """Whatever else may come to an open port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(line)
    await _hung_up(reader)
    writer.close()
    await world.still_serves()


HUGE = UInt32(0xFFFFFFF0)
MALFORMED = {
    "user name": (MSG_USERAUTH_REQUEST, HUGE + b"x"),
    "long user name": (
        MSG_USERAUTH_REQUEST,
        String("x" * 60_000) + String("ssh-connection") + String("none"),
    ),
    "key": (
        MSG_USERAUTH_REQUEST,
        String("a") + String("ssh-connection") + String("publickey") + Boolean(False) + HUGE,
    ),
    "no text": (MSG_USERAUTH_REQUEST, String(b"\xff\xfe") + String("ssh-connection") * 2),
    "service": (MSG_USERAUTH_REQUEST, String("a") + String("ssh-nonsense") + String("none")),
    "empty": (MSG_USERAUTH_REQUEST, b""),
}


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_ends_the_connection(
    world: World, packet: tuple[int, bytes]
) -> None:
    """Encrypted, with string lengths that lie, while signing in."""
    async with by_hand(world) as hand:
        hand.send(*packet)
        await hand.closed(2)
    await world.still_serves()


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        bytes(4),
        String("ssh-ed25519"),
        String("ssh-ed25519") + String(bytes(31)),
        String("ssh-rsa") + String(b"\1") + String(b"\0"),
        String("ssh-rsa") + String(b"\xff" * 4000) + String(b"\x7f" * 4000),
        String("ssh-dss") + String(b"\1") * 4,
        String("ecdsa-sha2-nistp256") + String("nistp256") + String(b"\4" + bytes(64)),
        String("ssh-ed25519-cert-v01@openssh.com") + bytes(300),
        String("ssh-rsa-cert-v01@openssh.com") + String(b"x") * 20,
        String("x509v3-ssh-rsa") + UInt32(1) + String(b"x") + UInt32(0),
        String("sk-ssh-ed25519@openssh.com") + String(bytes(32)) + HUGE,
    ],
    ids=str,
)
async def test_a_key_that_is_none_is_refused_and_no_more(world: World, blob: bytes) -> None:
    """Whatever is offered for a key, the answer is no; a good key after it is taken."""
    alice = world.contractor()
    async with by_hand(world) as hand:
        hand.offer("whoever", blob, blob[4:15])
        await until(lambda: hand.failures or hand.over.is_set())
        assert not hand.in_
        if not hand.over.is_set():
            hand.sign("whoever", alice.key)
            await until(lambda: hand.in_)
    await world.still_serves()


async def _answered(hand: ByHand, before: int) -> None:
    await until(lambda: hand.failures > before or hand.over.is_set())


async def test_keys_and_names_are_not_tried_without_end(world: World) -> None:
    """Each try costs a question to the database. By another user name each time, too."""
    async with by_hand(world) as hand:
        for number in range(100):
            hand.offer(f"name{number}", String("ssh-ed25519") + String(number.to_bytes(32, "big")))
            await _answered(hand, number)
        assert hand.over.is_set()
        assert hand.failures <= 20


async def test_logins_inside_are_not_tried_without_end(world: World) -> None:
    """Each refusal is a banner and a line in the log."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer, by_hand(world, outer) as hand:
        for number in range(100):
            hand.offer(f"name{number}", alice.public.blob)
            await _answered(hand, number)
        assert hand.over.is_set()
        assert hand.failures <= 10


async def test_channels_are_limited(world: World) -> None:
    """Ten thousand channels: some are opened, the rest refused, others are served meanwhile."""
    alice = world.contractor()
    refused = 0
    async with world.jump(alice) as inner:
        for _ in range(300):
            try:
                await opened(inner)
            except asyncssh.ChannelOpenError:
                refused += 1
        await world.still_serves()
    assert refused >= 300 - 256
    assert world.reached(Limit.CHANNELS) == refused


async def test_tunnels_are_limited(world: World) -> None:
    """The same outside, where each is a jump."""
    alice = world.contractor()
    refused = 0
    async with world.outer(alice.key) as outer:
        for _ in range(270):
            try:
                await outer.create_connection(asyncssh.SSHTCPSession, HOST, 22, "127.0.0.1", 65535)
            except asyncssh.ChannelOpenError:
                refused += 1
        await world.still_serves()
    assert refused >= 270 - 256


async def test_jumps_that_are_dropped_at_once_are_over(world: World) -> None:
    """Asked for in one breath and left before they are answered: each is written down as ended."""
    alice = world.contractor()
    whence = String("127.0.0.1") + UInt32(65535)
    async with world.outer(alice.key) as outer:
        for number in range(30):
            about = UInt32(number) + UInt32(1 << 20) + UInt32(32768)
            to = String(HOST) + UInt32(22)
            outer.send_packet(MSG_CHANNEL_OPEN, String("direct-tcpip"), about + to + whence)
        await until(world.services.store.connections)
        outer.abort()
    await until(lambda: len(world.services.store.connections()) == 30)
    await until(lambda: all(jump.ended_at for jump in world.services.store.connections()))


async def test_environments_are_limited(world: World) -> None:
    """A thousand variables, long ones and short ones, for a start that never comes."""
    alice = world.contractor()
    before = _resident()
    async with world.jump(alice) as inner:
        chan = await opened(inner)
        for size, most in ((30_000, 0), (300, 64)):
            taken = 0
            for number in range(500):
                variable = String(f"V{number}"), String(bytes(size))
                taken += bool(await chan._make_request(b"env", *variable))
            assert taken == most
    assert _resident() - before < 16 * 2**20


async def test_requests_behind_a_start_are_limited(bare: World) -> None:
    """While a slow target is reached, requests wait: so many, and then it is enough."""
    alice = bare.contractor()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        bare.add_host(silent.getsockname()[1], line)
        async with bare.jump(alice) as inner:
            chan = await opened(inner)
            chan._send_request(b"exec", String("true"))
            for _ in range(100):
                chan._send_request(b"env", String("LANG"), String("C"))
            await asyncio.wait_for(inner.wait_closed(), 2)
        await bare.still_serves()


@pytest.mark.parametrize(("window", "packet"), [(0, 32768), (1 << 20, 1), (0xFFFFFFFF, 0xFFFFFFFF)])
async def test_odd_windows_hang_nothing(world: World, window: int, packet: int) -> None:
    """A window of nothing, packets of one byte, and more of both than there is."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        about = UInt32(window) + UInt32(packet)
        chan = asyncssh.SSHClientChannel(inner, inner._loop, "strict", None, "strict", 1, 32768)
        inner.send_packet(MSG_CHANNEL_OPEN, String("session"), UInt32(chan._recv_chan or 0), about)
        chan._open_waiter = asyncio.get_running_loop().create_future()
        await chan._open_waiter
        chan._session = asyncssh.SSHClientSession()
        chan._send_request(b"exec", String("head -c 20000 /dev/zero"))
        await until(lambda: world.sessions)
        await world.still_serves()


async def test_a_packet_size_of_nothing_ends_the_connection(world: World) -> None:
    """Data could never be sent in packets of no size."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        about = UInt32(5) + UInt32(1 << 20) + UInt32(0)
        inner.send_packet(MSG_CHANNEL_OPEN, String("session"), about)
        await asyncio.wait_for(inner.wait_closed(), 2)


async def test_a_stalled_reader_costs_no_memory(world: World) -> None:
    """`yes` at the target, and a client that does not read: the target waits."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer, world.inner(outer) as inner:
        running = await inner.create_process("yes", encoding=None)
        await running.stdout.read(100_000)
        outer._transport.pause_reading()  # type: ignore[union-attr]
        await asyncio.sleep(0.3)
        before = _resident()
        await asyncio.sleep(0.7)
        assert _resident() - before < 8 * 2**20
        await world.still_serves()
        outer.abort()
    await until(lambda: not world.sessions[0].live)


async def test_key_exchange_again_and_again_blocks_nobody(world: World) -> None:
    """A storm of key exchanges, and one that is begun and never finished."""
    alice = world.contractor()
    async with world.jump(alice) as inner, world.outer(alice.key) as outer:
        for _ in range(20):
            outer._send_kexinit()
            outer._kexinit_sent = True
            await until(lambda: outer._kex_complete)
        await world.still_serves()
        outer.send_packet(MSG_KEXINIT, bytes(16))
        await asyncio.wait_for(outer.wait_closed(), 2)
        assert (await inner.run("echo on")).stdout == "on\n"


async def test_a_flood_of_requests_leaves_others_served(world: World) -> None:
    """Ten thousand global requests in one breath: so many in a minute, and then it is enough."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer:
        for _ in range(10_000):
            outer.send_packet(MSG_GLOBAL_REQUEST, String("keepalive@openssh.com"), Boolean(False))
        began = time.monotonic()
        await world.still_serves()
        assert time.monotonic() - began < 2
        await asyncio.wait_for(outer.wait_closed(), 5)
    assert world.reached(Limit.REQUESTS) == 1


async def test_a_flood_inside_is_ended_as_well(template: Path, tmp_path: Path) -> None:
    """Of requests within a session; what runs on another connection goes on."""
    async with served(template, tmp_path / "home", requests=50) as world, target_for(world):
        alice = world.contractor()
        async with world.jump(alice) as inner, world.jump(alice) as other:
            running = await other.create_process("cat")
            chan = await opened(inner)
            chan._send_request(b"exec", String("cat"))
            for width in range(60):
                chan._send_request(b"window-change", *(UInt32(width) for _ in range(4)))
            await asyncio.wait_for(inner.wait_closed(), 2)
            running.stdin.write("on\n")
            assert await running.stdout.readline() == "on\n"
        assert world.reached(Limit.REQUESTS) == 1
    assert told_of_limits(tmp_path / "home") == [("alice", "127.0.0.1", "requests", 1)]


async def test_windows_become_small_when_many_are_open(template: Path, tmp_path: Path) -> None:
    """What may be on its way is bounded in all: a few are large, the rest is enough to work."""
    async with (
        served(template, tmp_path / "home", in_flight="16MiB") as world,
        target_for(world),
    ):
        alice = world.contractor()
        async with world.jump(alice) as inner:
            channels = [await opened(inner) for _ in range(20)]
            windows = [channel._send_window for channel in channels]
            assert set(windows[:3]) == {WINDOW}
            assert set(windows[10:]) == {SMALL}
            assert world.reached(Limit.IN_FLIGHT) >= 10
            piped = await inner.run("wc -c", input="x" * 1_000_000)
            assert str(piped.stdout).strip() == "1000000"
        async with world.jump(alice) as inner:
            await until(lambda: world.reached(Limit.IN_FLIGHT) > 0)
            assert (await opened(inner))._send_window == WINDOW


def _resident() -> int:
    """Memory of this process, in bytes; the bastion, its target and its client are all in it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
