"""Lying about where one comes from: headers of the PROXY protocol from whoever may not send them,
none or half of one from whoever has to; and failing again and again from one network."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import asyncssh
import pytest

from bastion.events import What
from bastion.limits import Limit
from bastion.store.events import Wanted as Wish
from tests.bastion.test_proxied import TCP4, from_, header
from tests.corpus.by_hand import by_hand
from tests.corpus.world import World, served, target_for, until

HERE = "127.0.0.1"
AFAR = "192.0.2.7"
BALANCED = f'balancers = ["{HERE}"]\nwait = "1s"\n'


@pytest.fixture
async def balanced(template: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A bastion behind a balancer on this machine."""
    async with served(template, tmp_path / "home", proxy=BALANCED) as world:
        yield world


async def _answered(world: World, *said: bytes) -> bytes:
    """What comes back for what is sent, piece by piece, until the bastion hangs up or speaks."""
    reader, writer = await asyncio.open_connection(HERE, world.port)
    try:
        for piece in said:
            writer.write(piece)
            await asyncio.sleep(0)
        async with asyncio.timeout(3):
            with suppress(ConnectionError):
                return await reader.readline()
        return b""
    finally:
        writer.close()


async def test_a_listed_balancer_says_who_is_behind_it(balanced: World) -> None:
    """In one piece with what the client says, or byte by byte."""
    said = from_(ip_address(AFAR), tlvs := b"\x20\0\1x")
    assert tlvs in said
    assert (await _answered(balanced, said + b"SSH-2.0-x\r\n")).startswith(b"SSH-2.0-")
    pieces = (said[number : number + 1] for number in range(len(said)))
    assert (await _answered(balanced, *pieces)).startswith(b"SSH-2.0-")
    await until(lambda: sum(failed(balanced, AFAR)) == 2)
    assert balanced.reached(Limit.PROXY) == 0


def failed(world: World, source: str) -> list[int]:
    """How often sign-ins from there have failed, by minute."""
    counted = world.services.failures._minutes.values()
    return [counts[source] for counts in counted if source in counts]


SILENT = {
    "a client that comes by itself": b"SSH-2.0-OpenSSH_9.2\r\n",
    "version 1": b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 22\r\n",
    "half a header": from_(ip_address(AFAR))[:20],
    "nothing": b"",
    "somebody behind it, from nowhere": header(0, b"") + b"SSH-2.0-x\r\n",
    "datagrams": header(0x12, bytes(12)),
    "a header that never ends": header(TCP4, bytes(500))[:100] + b"",
}


@pytest.mark.parametrize("said", SILENT.values(), ids=SILENT)
async def test_from_a_balancer_nothing_else_is_taken(balanced: World, said: bytes) -> None:
    """At once, or when the time is over; it hears nothing, and is counted."""
    assert await _answered(balanced, said) == b""
    assert balanced.reached(Limit.PROXY) == 1


async def test_a_balancer_that_looks_in_is_nobody(balanced: World) -> None:
    """LOCAL: it is answered as itself, and a look every few seconds is no failed attempt to get in,
    nor a line a minute in the log."""
    for _ in range(60):
        assert (await _answered(balanced, header(0, b"", 0x20))).startswith(b"SSH-2.0-")
    assert (await _answered(balanced, from_(ip_address(AFAR)))).startswith(b"SSH-2.0-")
    await until(lambda: failed(balanced, AFAR) == [1])
    assert failed(balanced, HERE) == []
    assert balanced.reached(Limit.FAILURES_PER_SOURCE) == 0


async def test_a_grant_s_source_is_what_the_balancer_says(balanced: World) -> None:
    """From the granted network she is let in, and the log has where she was; from another not."""
    alice = balanced.enrol("alice")
    balanced.grant(alice, source="192.0.2.0/24")
    balanced.certify(alice)
    ran: dict[str, int | None] = {}
    async with target_for(balanced):
        for source in (AFAR, "198.51.100.7"):
            with socket.create_connection((HERE, balanced.port)) as sock, suppress(asyncssh.Error):
                sock.sendall(from_(ip_address(source)))
                async with (
                    balanced.outer(alice.key, name="alice", sock=sock) as outer,
                    balanced.inner(outer) as inner,
                ):
                    ran[source] = (await inner.run("true")).exit_status
    assert ran == {AFAR: 0}
    told = balanced.services.journal.after(0, Wish(user="alice"))
    came = [each.happened for each in told if each.happened.connection is not None]
    opened = [each for each in came if each.what is What.CONNECTION_OPENED]
    refused = [each for each in came if each.what is What.CONNECTION_REFUSED]
    assert [(each.source, each.why) for each in opened] == [(AFAR, None)]
    assert [(each.source, each.why) for each in refused] == [("198.51.100.7", "source")]
    assert [each.source for each in balanced.sessions] == [AFAR]


async def test_nobody_else_may_say_where_from(bare: World) -> None:
    """A header from whoever is no balancer is noise, and the source is the connection's own."""
    await _answered(bare, from_(ip_address(AFAR)) + b"SSH-2.0-x\r\n")
    await until(lambda: failed(bare, HERE) == [1])
    assert failed(bare, AFAR) == []


async def test_who_fails_again_and_again_is_told_to_wait(template: Path, tmp_path: Path) -> None:
    """From his network nobody gets in for a while, whoever it is."""
    async with served(template, tmp_path / "home", failures_per_source=4) as world:
        alice = world.enrol("alice")
        strange = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(4)]
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.outer(*strange):
                pass
        await until(lambda: sum(failed(world, HERE)) >= 4)
        with pytest.raises(asyncssh.DisconnectError, match="have failed; wait for 10s"):
            async with world.outer(alice.key):
                pass
        assert world.reached(Limit.FAILURES_PER_SOURCE) == 1


async def test_whose_network_is_trusted_is_never_told_to_wait(
    template: Path, tmp_path: Path
) -> None:
    """An office behind one address, where somebody has the wrong key."""
    home = tmp_path / "home"
    async with served(template, home, never_refused=[HERE], failures_per_source=1) as world:
        async with by_hand(world):
            pass
        await until(lambda: failed(world, HERE) == [1])
        await world.still_serves()
