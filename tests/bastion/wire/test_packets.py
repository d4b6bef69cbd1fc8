"""The fast road carries exactly what asyncssh's own would, with every cipher, whatever the size."""

import asyncio
import socket
from typing import ClassVar, cast

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_WINDOW_ADJUST, MSG_IGNORE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastion.wire.channels import BoundedChannel
from bastion.wire.connections import CTR, GCM, ServerConnection
from bastion.wire.gathering import Gathered
from bastion.wire.packets import Turn
from tests.bastion.wire.peers import connected, serving


class Echo(asyncssh.SSHServerSession[bytes]):
    """Sends back what it gets; ends when the client has sent all."""

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.chan = chan

    def exec_requested(self, command: str) -> bool:
        return True

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.chan.write(data)

    def eof_received(self) -> bool:
        self.chan.exit(0)
        return True

    def pause_writing(self) -> None:
        self.chan.pause_reading()

    def resume_writing(self) -> None:
        self.chan.resume_reading()


async def echoed(
    port: int, chunks: list[bytes], *, ignored: bool = True, **options: object
) -> bytes:
    async with connected(port, **options) as connection:
        if not ignored:
            without_ignore(connection)
        process = await connection.create_process("echo", encoding=None)

        async def send() -> None:
            for chunk in chunks:
                process.stdin.write(chunk)
                await process.stdin.drain()
            process.stdin.write_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            read = group.create_task(process.stdout.read())
        return bytes(read.result())


@pytest.mark.parametrize("cipher", [*GCM, *CTR])
async def test_every_cipher_brings_every_byte_back(cipher: str) -> None:
    """Bulk and single bytes come back as they went, on the fast road and on asyncssh's own."""
    chunks = [b"a", b"", bytes(range(256)) * 5000, b"\0" * 32768, b"z" * 32769, b"end"]
    async with serving(Echo) as port:
        assert await echoed(port, chunks, encryption_algs=[cipher]) == b"".join(chunks)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(0, 70_000), max_size=12), pad=st.binary(min_size=1, max_size=7))
def test_any_sizes_come_back(sizes: list[int], pad: bytes) -> None:
    """Any run of chunk sizes comes back byte for byte."""
    chunks = [(pad * (size // len(pad) + 1))[:size] for size in sizes]

    async def run() -> bytes:
        async with serving(Echo) as port:
            return await echoed(port, chunks, encryption_algs=[GCM[0]])

    assert asyncio.run(run()) == b"".join(chunks)


async def test_keys_are_exchanged_again_in_the_middle() -> None:
    """With new keys every 64 KiB on both sides, 4 MiB come back whole and in order."""
    data = bytes(range(251)) * 17_000
    async with serving(Echo, rekey_bytes=65536) as port:
        assert await echoed(port, [data], rekey_bytes=65536) == data


class Noting(ServerConnection):
    """Notes which kinds of packets took the fast road, and when it asked a silent client."""

    taken: ClassVar[list[int]] = []
    silent: ClassVar[list[float]] = []
    asked_one: ClassVar[asyncio.Event]

    def _gather(self, packet: bytes, gathered: Gathered) -> bool:
        if taken := super()._gather(packet, gathered):
            self.taken.append(packet[1])
        return taken

    async def _make_keepalive_request(self) -> None:
        self.silent.append(self._loop.time() - self._heard_at)
        self.asked_one.set()


async def test_data_and_windows_take_the_fast_road() -> None:
    """What a bulk transfer consists of, whichever way it goes."""
    Noting.taken.clear()
    data = bytes(range(256)) * 20_000
    async with serving(Echo, Noting) as port:
        assert await echoed(port, [data], encryption_algs=[GCM[0]]) == data
    assert {MSG_CHANNEL_DATA, MSG_CHANNEL_WINDOW_ADJUST} == set(Noting.taken)


@pytest.mark.parametrize(
    "payload",
    [b"\0\0\0\0\0\0\0\1more", b"\0\0\0\0\0", b"\0\0\0\7\0\0\0\1"],
    ids=["too long", "too short", "of no channel"],
)
async def test_a_window_that_is_none_ends_the_connection(payload: bytes) -> None:
    """It is left to asyncssh to judge, as it judges every other packet."""
    async with serving(Echo) as port, connected(port, encryption_algs=[GCM[0]]) as connection:
        await connection.create_process("echo", encoding=None)
        connection.send_packet(MSG_CHANNEL_WINDOW_ADJUST, payload)
        async with asyncio.timeout(30):
            await connection.wait_closed()


async def test_only_a_silent_client_is_asked() -> None:
    """It is asked when it has said nothing for the whole time, whatever it said before."""
    Noting.silent.clear()
    Noting.asked_one = asyncio.Event()
    async with (
        serving(Echo, Noting, keepalive_interval=0.3, keepalive_count_max=100) as port,
        connected(port) as connection,
    ):
        process = await connection.create_process("echo", encoding=None)
        begun = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begun + 0.5:
            process.stdin.write(b"x")
            await process.stdout.readexactly(1)
        async with asyncio.timeout(30):
            await Noting.asked_one.wait()
    assert Noting.silent[0] >= 0.29


class Heard(Echo):
    """Notes in which pieces it came."""

    pieces: ClassVar[list[bytes]] = []

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.pieces.append(data)


def without_ignore(connection: asyncssh.SSHClientConnection) -> None:
    """asyncssh sends MSG_IGNORE before each packet; OpenSSH does not, so that data follows data."""
    send = connection.send_packet

    def sends(pkttype: int, *args: bytes, **more: object) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, **more)  # type: ignore[arg-type]

    connection.send_packet = sends  # type: ignore[method-assign]


async def test_what_was_read_at_once_is_given_at_once() -> None:
    """Up to a packet that nobody could have made with these keys, which ends the connection."""
    Heard.pieces.clear()
    async with serving(Heard) as port, connected(port, encryption_algs=[GCM[0]]) as connection:
        process = await connection.create_process("echo", encoding=None)
        without_ignore(connection)
        transport, sent = connection._transport, list[bytes]()
        assert isinstance(transport, asyncio.Transport)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection, "_send", sent.append)
            for piece in (b"one, ", b"two, ", b"three"):
                process.stdin.write(piece)
        transport.write(b"".join(sent) + (256).to_bytes(4, "big") + bytes(256 + 16))
        async with asyncio.timeout(30):
            await connection.wait_closed()
    assert Heard.pieces == [b"one, two, three"]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(0, 70_000), max_size=40), more=st.integers(0, 1 << 22))
def test_data_that_follows_data_comes_back(sizes: list[int], more: int) -> None:
    """As OpenSSH sends it, also beyond a window; with new keys on the way."""
    data = b"".join(bytes((size % 251,)) * size for size in (*sizes, more))

    async def run() -> bytes:
        async with serving(Echo, rekey_bytes=1 << 20) as port:
            return await echoed(port, [data], ignored=False, encryption_algs=[GCM[0]])

    assert asyncio.run(run()) == data


class Channel:
    """Notes what it is given, and gives window back for it."""

    def __init__(self, window: int) -> None:
        self._recv_window = window
        self.given: list[bytes | int] = []

    def _accept_data(self, data: bytes) -> None:
        self.given.append(data)

    def widen(self, size: int) -> None:
        self.given.append(size)


def test_no_more_is_gathered_than_was_granted() -> None:
    """Nor anything for another channel; windows of any are."""
    one, other = (cast(BoundedChannel, Channel(window)) for window in (10, 10))
    gathered = Gathered()
    assert not gathered.deliver()
    assert gathered.takes(one, 10)
    assert not gathered.takes(one, 11)
    gathered.add(one, memoryview(b"12345"))
    gathered.widen(one, 1)
    gathered.widen(other, 2)
    gathered.widen(one, 3)
    assert gathered.takes(one, 5)
    assert not gathered.takes(one, 6)
    assert not gathered.takes(other, 1)
    gathered.add(one, memoryview(b"67890"))
    assert gathered.deliver()
    assert (cast(Channel, one).given, cast(Channel, other).given) == ([b"1234567890", 4], [2])
    assert gathered.takes(other, 1)
    assert not gathered.deliver()


class Flood(asyncssh.SSHServerSession[bytes]):
    """Writes as long as it is not told to pause, and counts."""

    written = 0

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.chan = chan
        self.paused = False

    def exec_requested(self, command: str) -> bool:
        return True

    def session_started(self) -> None:
        self.flood()

    def flood(self) -> None:
        while not self.paused and Flood.written < 1 << 28:
            self.chan.write(b"y" * 65536)
            Flood.written += 65536

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.flood()


async def test_a_reader_that_stalls_stops_the_writer() -> None:
    """A session is told to pause when the client's window and one buffer are full."""
    Flood.written = 0
    async with serving(Flood) as port, connected(port) as connection:
        process = await connection.create_process("flood", encoding=None)
        first = await process.stdout.read(1)
        stalled_at = Flood.written
        assert first == b"y"
        assert stalled_at < 8 << 20
        process.close()


class Impatient(ServerConnection):
    """Keeps little for who does not read, and so does its kernel."""

    most_unsent = 1 << 17

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super().connection_made(transport)


async def test_who_asks_and_does_not_read_is_cut_off() -> None:
    """Answers to questions wait for nobody, so there is an end to how many are kept."""
    async with serving(Echo, Impatient) as port, connected(port) as connection:
        transport = connection._transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with asyncio.timeout(30):
            while not connection.is_closed():
                for _ in range(2000):
                    connection._send_global_request(b"unheard-of@example.com", want_reply=True)
                await asyncio.sleep(0)


def test_a_turn_puts_off_until_its_end_and_keeps_the_order() -> None:
    """What is put off in a turn is done in order at the end of the outermost one."""
    turn, done = Turn(), []
    turn.later(lambda: done.append("now"))
    with turn:
        turn.later(lambda: done.append("first"))
        with turn:
            turn.later(lambda: turn.later(lambda: done.append("third")))
            turn.later(lambda: done.append("second"))
        assert done == ["now"]
    assert done == ["now", "first", "second", "third"]
