"""Requests served before authentication: CVE-2018-7749 (AsyncSSH), CVE-2018-10933 (libssh).

Each packet that only somebody may send is sent by nobody, outside and inside. The bastion hangs
up, and nothing was opened, written down or said to a target.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_GLOBAL_REQUEST,
    MSG_NEWKEYS,
    MSG_REQUEST_SUCCESS,
    MSG_SERVICE_ACCEPT,
    MSG_USERAUTH_BANNER,
    MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_SUCCESS,
)
from asyncssh.packet import Boolean, NameList, String, UInt32

from tests.corpus.by_hand import ByHand, by_hand
from tests.corpus.world import World

REQUEST = String("exec") + Boolean(True) + String("id")
FORWARD = String("tcpip-forward") + Boolean(True) + String("") + UInt32(0)
STRICT = NameList([b"curve25519-sha256", b"kex-strict-c-v00@openssh.com"])
PACKETS = {
    "keepalive": (MSG_GLOBAL_REQUEST, String("keepalive@openssh.com") + Boolean(True)),
    "tcpip-forward": (MSG_GLOBAL_REQUEST, FORWARD),
    "prove hostkeys": (MSG_GLOBAL_REQUEST, String("hostkeys-prove-00@openssh.com") + Boolean(True)),
    "exec": (MSG_CHANNEL_REQUEST, UInt32(0) + REQUEST),
    "data": (MSG_CHANNEL_DATA, UInt32(0) + String("id\n")),
    "window": (MSG_CHANNEL_WINDOW_ADJUST, UInt32(0) + UInt32(1)),
    "close": (MSG_CHANNEL_CLOSE, UInt32(0)),
    "confirmation": (MSG_CHANNEL_OPEN_CONFIRMATION, UInt32(0) * 3 + UInt32(1)),
    "request success": (MSG_REQUEST_SUCCESS, b""),
    "channel success": (MSG_CHANNEL_SUCCESS, UInt32(0)),
    "i am in": (MSG_USERAUTH_SUCCESS, b""),
    "you are out": (MSG_USERAUTH_FAILURE, NameList([]) + Boolean(True)),
    "a banner": (MSG_USERAUTH_BANNER, String("hello") + String("")),
    "service accept": (MSG_SERVICE_ACCEPT, String("ssh-connection")),
    "new keys": (MSG_NEWKEYS, b""),
    "kex reply": (31, String("") * 3),
    "info response": (61, UInt32(0)),
}


@pytest.fixture(params=["outer", "inner"])
async def nobody(world: World, request: pytest.FixtureRequest) -> AsyncIterator[ByHand]:
    """A client that has exchanged keys and is nobody, at the outer door or at the inner one."""
    async with AsyncExitStack() as stack:
        outer = None
        if request.param == "inner":
            alice = world.contractor()
            outer = await stack.enter_async_context(world.outer(alice.key))
        yield await stack.enter_async_context(by_hand(world, outer))


def _nothing_happened(world: World) -> None:
    assert not world.sessions
    assert all(entry.kind == "user" for entry in world.services.store.ledger())


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
async def test_nothing_is_served_to_nobody(
    world: World, nobody: ByHand, packet: tuple[int, bytes]
) -> None:
    """CVE-2018-7749, CVE-2018-10933: one such packet ends the connection."""
    nobody.send(*packet)
    await nobody.closed()
    assert not nobody.in_
    _nothing_happened(world)


@pytest.mark.parametrize("kind", ["session", "direct-tcpip"])
async def test_no_channel_is_opened_for_nobody(world: World, nobody: ByHand, kind: str) -> None:
    """Neither a session nor a tunnel, and no jump is written down for it."""
    before = len(world.services.store.connections())
    nobody.open_session() if kind == "session" else nobody.open_tunnel("prod-host")
    await nobody.closed()
    assert len(world.services.store.connections()) == before
    _nothing_happened(world)


async def test_a_channel_in_one_breath_with_a_wrong_proof_is_not_opened(
    world: World, nobody: ByHand
) -> None:
    """Sent behind a signature that is still being judged: it does not overtake the judgement."""
    person = world.enrol("carol")
    nobody.sign("deploy", person.key, b"\0" * 51)
    nobody.open_session()
    nobody.send(MSG_CHANNEL_REQUEST, UInt32(0), REQUEST)
    await nobody.closed()
    _nothing_happened(world)


@pytest.mark.parametrize("kind", [5, 50, 52, 80, 90, 98, 94, 21, 30])
async def test_nothing_is_served_before_keys_are_exchanged(world: World, kind: int) -> None:
    """The same in clear text, before any key: raw packets behind the version line."""
    payload = bytes((kind,)) + String("ssh-userauth") + bytes(32)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    padding = 8 + -(5 + len(payload) + 8) % 8
    length = (1 + len(payload) + padding).to_bytes(4, "big")
    writer.write(b"SSH-2.0-raw\r\n" + length + bytes((padding,)) + payload + bytes(padding))
    async with asyncio.timeout(2):
        while await reader.read(65536):
            pass
    writer.close()
    await world.still_serves()


async def test_the_terrapin_has_no_ground(world: World) -> None:
    """CVE-2023-48795: strict key exchange is offered, and neither ChaCha20 nor CBC is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"SSH-2.0-raw\r\n")
    async with asyncio.timeout(2):
        await reader.readuntil(b"\n")
        length = int.from_bytes(await reader.readexactly(4), "big")
        offered = await reader.readexactly(length)
    writer.close()
    assert b"kex-strict-s-v00@openssh.com" in offered
    for weak in (b"chacha20", b"cbc", b"arcfour", b"3des", b"sha1,", b"md5", b"group1", b"ssh-dss"):
        assert weak not in offered, weak


async def test_the_handshake_is_not_padded_under_strict_key_exchange(world: World) -> None:
    """CVE-2023-48795: an IGNORE that shifts the sequence numbers during the first key exchange."""
    with socket.create_connection(("127.0.0.1", world.port)) as raw:
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        ignore = b"\x02" + String("")
        kexinit = bytes((20,)) + bytes(16) + STRICT
        kexinit += NameList([b"ssh-ed25519"]) + NameList([b"aes128-gcm@openssh.com"]) * 2
        kexinit += NameList([b"hmac-sha2-256"]) * 2 + NameList([b"none"]) * 2 + NameList([]) * 2
        kexinit += b"\0" + UInt32(0)
        await loop.sock_sendall(raw, b"SSH-2.0-raw\r\n" + _clear(ignore) + _clear(kexinit))
        async with asyncio.timeout(2):
            while await loop.sock_recv(raw, 65536):
                pass


def _clear(payload: bytes) -> bytes:
    """An unencrypted packet (RFC 4253 section 6)."""
    padding = 4 + -(5 + len(payload) + 4) % 8
    length = (1 + len(payload) + padding).to_bytes(4, "big")
    return length + bytes((padding,)) + payload + bytes(padding)
