"""Limits of connections are the machine's: two workers have together what is written."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.test_workers import COUNTING, processes
from tests.e2e.warm import Warm

pytestmark = pytest.mark.timeout(120)

PLACES = 24
STRANGER, FAILING = "127.0.0.66", "127.0.0.67"
"""Networks: each address of loopback is one."""

Held = dict[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion of two workers, with few places."""
    made = Bastion(tmp_path / "home", warm)
    made.set("limits", "connections_per_source", PLACES)
    made.set("limits", "connections_per_user", 3)
    made.set("limits", "failures_per_source", 6)
    made.set("limits", "login_grace", "2m")
    made.set("limits", "drain", "1s")
    with serving(made, sshd, workers=2, patience=30):
        yield made


async def comes(own: Bastion, source: str, says: bytes = b"") -> tuple[str, Held]:
    """Somebody connects; what is heard, and the connection if it was let in."""
    host, port = own.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
    writer.write(says)
    heard = (await reader.read(4096)).decode(errors="replace")  # with the version, in one write
    if "bastion: " not in heard:
        return "", {reader: writer}
    writer.close()
    return heard, {}


async def come(own: Bastion, source: str) -> Held:
    """As many as are let in."""
    held: Held = {}
    while True:
        heard, more = await comes(own, source)
        assert len(held) <= PLACES
        if not more:
            assert "too many connections from your network are open" in heard
            return held
        held |= more


async def left(held: Held) -> Held:
    """Those that still are."""
    still: Held = {}
    for reader, writer in held.items():
        try:
            async with asyncio.timeout(0.05):
                with suppress(ConnectionError):
                    await reader.read()
        except TimeoutError:
            still[reader] = writer
        else:
            writer.close()
    return still


async def test_a_limit_is_the_machines_whichever_worker_is_met(
    own: Bastion, sshd: Sshd, tmp_path: Path
) -> None:
    """A network has exactly as many connections as are written; when a worker is killed, exactly
    those are free that it had. Failures count at each worker, and a user's connections."""
    held = await come(own, STRANGER)
    assert len(held) == PLACES
    os.kill(processes(own)["worker 1"], signal.SIGKILL)
    async with asyncio.timeout(20):
        while len(held := await left(held)) == PLACES:
            pass
        while len(held) < PLACES:
            held |= await come(own, STRANGER)
    assert len(held) == PLACES
    for writer in held.values():
        writer.close()
    await _failing(own)
    await _of_a_user(own, sshd, tmp_path / "bob")


async def _failing(own: Bastion) -> None:
    """Five of six leave the port open to looks; with two more nobody from there is let in, by
    either worker."""

    async def fails(times: int) -> None:
        for _ in range(times):
            _, held = await comes(own, FAILING, b"SSH-2.0-x\r\nnothing\r\n")
            for reader, writer in held.items():
                with suppress(ConnectionError):
                    await reader.read()
                writer.close()

    async def look() -> str:
        heard, held = await comes(own, FAILING)
        for writer in held.values():
            writer.close()
        return heard

    await fails(5)
    assert not any([await look() for _ in range(8)])
    await fails(2)
    async with asyncio.timeout(5):
        while not await look():
            pass
    heard = [await look() for _ in range(12)]
    assert all("too many sign-ins from your network have failed" in each for each in heard)


async def _of_a_user(own: Bastion, sshd: Sshd, home: Path) -> None:
    """One connection too many ends, and ssh itself says why."""
    bob = Contractor.enrolled(home, "bob", own, sshd.login)
    bob.granted_now()
    bob.certified_now()
    async with AsyncExitStack() as stack:
        for _ in range(3):
            session = await stack.enter_async_context(bob.jumping(COUNTING))
            await session.stdout.expect("1\n")
        refused = await bob.jump("echo hello")
        assert refused.status == 255
        sentence = "bastion: you have as many connections open as you may, 3; end one first"
        assert sentence in refused.err
