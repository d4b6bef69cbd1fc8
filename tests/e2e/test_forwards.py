"""Forwards through the hop, by real clients: only to what was granted, measured, and cut."""

import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor, established
from tests.e2e.watching import PATIENCE

MEGABYTE = bytes(range(256)) * 4096

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """A port behind the target that gives back what it hears, until it has heard all."""
    async with await asyncio.start_server(_echo, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def bob(newly_enrolled: Callable[[], Contractor], echo: int) -> Contractor:
    """Somebody who may go to that port, and nothing else."""
    person = await asyncio.to_thread(newly_enrolled)
    await person.granted("--forward", f"localhost:{echo}")
    await person.certified()
    return person


@asynccontextmanager
async def led(person: Contractor, local: int, to: str) -> AsyncIterator[Callable[[], Any]]:
    """`ssh -N -L`, for as long as the block lasts; gives what connects to its local port."""
    options = ("-N", "-v", "-L", f"127.0.0.1:{local}:{to}")
    async with person.jumping(options=options) as going:
        await established(going)
        yield lambda: asyncio.open_connection("127.0.0.1", local)


async def ended(bastion: Bastion, person: Contractor, count: int = 1) -> list[dict[str, Any]]:
    """That many sessions of theirs, when all are over; the oldest first."""
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await bastion.rows("sessions", "--user", person.name)
            if len(rows) == count and all(row["ended_at"] for row in rows):
                return sorted(rows, key=lambda row: int(row["id"].removeprefix("S-")))


async def test_a_forward_is_carried_and_measured(
    bob: Contractor, bastion: Bastion, echo: int, free_port: int
) -> None:
    """Every byte, both ways; the recording has length and hash, and none of the bytes."""
    async with led(bob, free_port, f"localhost:{echo}") as connect:
        reader, writer = await connect()
        writer.write(MEGABYTE)
        writer.write_eof()
        assert await reader.read(-1) == MEGABYTE
        writer.close()
        (row,) = await ended(bastion, bob)
    assert (row["kind"], row["command"]) == ("forward", f"localhost:{echo}")
    assert (row["bytes_in"], row["bytes_out"]) == (len(MEGABYTE), len(MEGABYTE))
    assert row["end_reason"] == "closed"
    exported = await bastion.admin("export", row["id"])
    assert hashlib.sha256(MEGABYTE).hexdigest() in exported.out
    assert len(exported.stdout) < 2000


async def test_each_forward_is_a_session(
    bob: Contractor, bastion: Bastion, echo: int, free_port: int
) -> None:
    """Several at once over one jump, each with a number of its own."""
    async with led(bob, free_port, f"LOCALHOST:{echo}") as connect:
        streams: list[Stream] = [await connect() for _ in range(5)]
        for number, (reader, writer) in enumerate(streams):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
        for _, writer in streams:
            writer.close()
        rows = await ended(bastion, bob, 5)
    assert {row["bytes_out"] for row in rows} == {2}
    assert len({row["connection"] for row in rows}) == 1


@pytest.mark.parametrize("to", ["127.0.0.1:{echo}", "localhost:22", "169.254.169.254:80", "a:b:1"])
async def test_nothing_else_is_reached(bob: Contractor, echo: int, free_port: int, to: str) -> None:
    """Another name for it, another port, another host: the reason is in the client's words."""
    if to == "a:b:1":
        to = "[a:b]:1"
    options = ("-N", "-v", "-L", f"127.0.0.1:{free_port}:{to.format(echo=echo)}")
    async with bob.jumping(options=options) as going:
        await established(going)
        _, writer = await asyncio.open_connection("127.0.0.1", free_port)
        await going.stderr.expect(r"bastion: that forward is not granted; granted here: localhost")
        writer.close()


async def test_a_dynamic_forward_reaches_what_is_granted(
    bob: Contractor, bastion: Bastion, echo: int, free_port: int
) -> None:
    """`-D`: by SOCKS 5 with a name, to the granted port and to no other."""
    async with bob.jumping(options=("-N", "-v", "-D", f"127.0.0.1:{free_port}")) as going:
        await established(going)
        assert await socks(free_port, "localhost", echo) == b"hello"
        assert await socks(free_port, "localhost", 22) == b""
        (row,) = await ended(bastion, bob)
    assert row["command"] == f"localhost:{echo}"


async def socks(port: int, host: str, to: int) -> bytes:
    """`hello`, if it comes back from there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    name = host.encode()
    writer.write(b"\x05\x01\x00" + b"\x05\x01\x00\x03" + bytes([len(name)]) + name)
    writer.write(to.to_bytes(2, "big"))
    try:
        await asyncio.wait_for(reader.readexactly(12), PATIENCE)
        writer.write(b"hello")
        writer.write_eof()
        return await asyncio.wait_for(reader.read(-1), PATIENCE)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    finally:
        writer.close()


async def test_w_within_the_hop_reaches_what_is_granted(bob: Contractor, echo: int) -> None:
    """`ssh -J bastion -W localhost:PORT prod-host`: the client's own input and output."""
    done = await bob.jump(options=("-W", f"localhost:{echo}"), stdin=b"hello\n")
    assert (done.stdout, done.status) == (b"hello\n", 0)


async def test_a_forward_gives_no_shell(bob: Contractor) -> None:
    """Nor a command, though the certificate for forwards would turn it into /bin/false."""
    for words in ((), ("id",)):
        done = await bob.jump(*words)
        assert done.status == 254
        assert b"uid=" not in done.stdout
        assert "is not granted here" in done.err


async def test_a_port_where_nobody_listens_is_said(
    bob: Contractor, bastion: Bastion, free_port: int, echo: int
) -> None:
    """The client hears that the target did not connect, and the attempt is kept."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        dead = taken.getsockname()[1]
    await bob.granted("--forward", f"127.0.0.1:{dead}")
    await bob.certified()
    async with bob.jumping(
        options=("-N", "-v", "-L", f"127.0.0.1:{free_port}:127.0.0.1:{dead}")
    ) as going:
        await established(going)
        _, writer = await asyncio.open_connection("127.0.0.1", free_port)
        await going.stderr.expect(rf"connect failed: bastion: {HOST} did not connect")
        writer.close()
        (row,) = await ended(bastion, bob)
    assert (row["kind"], row["end_reason"], row["bytes_out"]) == ("forward", "lost", 0)


async def test_a_live_forward_is_cut(
    bob: Contractor, bastion: Bastion, echo: int, free_port: int
) -> None:
    """When its grant is revoked, within the second, and no other is opened after."""
    async with led(bob, free_port, f"localhost:{echo}") as connect:
        reader, writer = await connect()
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        (grant,) = await bastion.rows("grants", "--user", bob.name)
        await bastion.admin("revoke", grant["id"], "--reason", "enough")
        assert await asyncio.wait_for(reader.read(-1), PATIENCE) == b""
        writer.close()
        reader, writer = await connect()
        assert await asyncio.wait_for(reader.read(-1), PATIENCE) == b""
        writer.close()
        (row,) = await ended(bastion, bob)
    assert row["end_reason"] == "revoked"


async def test_a_slow_reader_slows_the_sender(
    bob: Contractor, bastion: Bastion, free_port: int, tmp_path: Path
) -> None:
    """A service that floods a client who does not read costs no memory at the bastion."""
    flooding = asyncio.Event()

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _number in range(4096):
                writer.write(bytes(65536))
                flooding.set()
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await bob.granted("--forward", f"127.0.0.1:{port}")
        await bob.certified()
        async with led(bob, free_port, f"127.0.0.1:{port}") as connect:
            reader, writer = await connect()
            await asyncio.wait_for(flooding.wait(), PATIENCE)
            before = bastion.resident
            assert len(await reader.readexactly(2**20)) == 2**20
            assert bastion.resident - before < 64 * 2**20
            writer.close()
            (row,) = await ended(bastion, bob)
    assert 2**20 <= row["bytes_out"] < 2**28


async def test_what_a_forward_needs_is_in_its_event(
    bob: Contractor, bastion: Bastion, echo: int
) -> None:
    """Where it led, and a refusal with its reason, are in the log."""
    await bob.jump(options=("-W", f"localhost:{echo}"), stdin=b"hello\n")
    await bob.jump(options=("-W", "localhost:1"))
    seen, said = set[str](), ""
    async with asyncio.timeout(PATIENCE):
        while not {"session.ended", "door.refused"} <= seen:
            said = (await bastion.admin("audit", "--user", bob.name, "--json")).out
            seen = {json.loads(line)["what"] for line in said.splitlines()}
    assert f"localhost:{echo}" in said
    assert "forward to 'localhost':1" in said
