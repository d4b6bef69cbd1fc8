"""The exposition: /metrics and /healthz, and whatever else is sent to that address."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from bastion.bulletin import Bulletin, Said, Wrong
from bastion.exposition import LONGEST, MOST, Exposition

PATIENCE = 0.5


@pytest.fixture
def bulletin() -> Bulletin:
    """Of one process, which is well."""
    made = Bulletin(["server"])
    made.heard("server", Said())
    return made


@pytest.fixture
async def port(bulletin: Bulletin) -> AsyncIterator[int]:
    """Where it is given."""
    listening = socket.create_server(("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(Exposition(bulletin, PATIENCE).keep([listening]))
        yield listening.getsockname()[1]
        serving.cancel()


async def exchange(port: int, request: bytes) -> bytes:
    """All that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def get(port: int, path: str, method: str = "GET") -> httpx.Response:
    """As a client of HTTP asks."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, f"http://127.0.0.1:{port}{path}")


async def test_metrics_and_health_are_given(port: int, bulletin: Bulletin) -> None:
    """To a client of HTTP, with the type that Prometheus knows; what is wrong as a word a line."""
    asked = await get(port, "/metrics?x=1")
    assert asked.status_code == 200
    assert asked.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'bastion_process_ready{process="server"} 1.0\n' in asked.text
    well = await get(port, "/healthz")
    assert (well.status_code, well.text) == (200, "ok\n")
    bulletin.heard("server", Said(wrong=(Wrong.CLOCK, Wrong.DISK)))
    unwell = await get(port, "/healthz")
    assert (unwell.status_code, unwell.text) == (503, "clock\ndisk\n")
    head = await get(port, "/healthz", "HEAD")
    assert (head.status_code, head.text, head.headers["content-length"]) == (503, "", "11")


async def test_nothing_else_is_answered(port: int) -> None:
    """No other path, no other method, nothing that is no HTTP; each in a line."""
    assert (await get(port, "/")).status_code == 404
    assert (await get(port, "/metrics/../healthz/x")).status_code == 404
    assert (await get(port, "/metrics", "POST")).status_code == 405
    assert b" 400 " in await exchange(port, b"SSH-2.0-OpenSSH_10\r\n\r\n")
    assert b" 400 " in await exchange(port, b"\r\n\r\n")
    assert b" 400 " in await exchange(port, b"\xff\x00 \x00 \x00\r\n\r\n")


async def test_a_request_without_an_end_is_not_waited_for(port: int) -> None:
    """Whether the line is long, or comes slowly, or nothing comes."""
    assert await exchange(port, b"GET /" + b"a" * (2 * LONGEST)) == b""
    assert await exchange(port, b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * LONGEST) == b""
    assert await exchange(port, b"GET /metrics HT") == b""
    assert await exchange(port, b"") == b""
    assert (await get(port, "/healthz")).status_code == 200


async def test_many_who_wait_keep_nobody_out_for_long(port: int) -> None:
    """Two hundred connections that say nothing: most are turned away at once, the others soon."""
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    try:
        over = [asyncio.wait_for(reader.read(), 10) for reader, _ in held]
        ends = await asyncio.gather(*over, return_exceptions=True)
        assert not any(isinstance(end, TimeoutError) for end in ends)
    finally:
        for _, writer in held:
            writer.close()
    assert len(held) > MOST
    assert (await get(port, "/healthz")).status_code == 200


async def test_a_client_that_reads_nothing_is_let_go(port: int) -> None:
    """Its answer is not waited for longer than it may take."""
    sleeper = socket.create_connection(("127.0.0.1", port))
    with sleeper:
        sleeper.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        for _ in range(MOST):
            assert (await get(port, "/metrics")).status_code == 200
