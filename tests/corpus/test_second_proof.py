"""`ssh -N -g -L 22123:prod-host:22 bastion`: another person, without a key, comes in through it.

Only `-J` and `-W` (originator 127.0.0.1:65535) are the person's own ssh; on any other channel the
same key has to sign a second time.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from tests.corpus.by_hand import by_hand
from tests.corpus.world import HOST, JUMP, LOGIN, OPERATOR, Person, World, until

TUNNELS = [
    ("127.0.0.1", 40_000),
    ("192.0.2.7", 65_535),
    ("localhost", 65_535),
    ("127.0.0.1 ", 65_535),
    ("127.0.0.1\0", 65_535),
    ("::ffff:127.0.0.1", 65_535),
    ("127.0.0.1", 65_535 + (1 << 16)),
    ("", 0),
]


async def test_the_persons_own_jump_needs_no_second_proof(world: World) -> None:
    """One touch of a hardware key is enough: no key is asked for inside."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer, world.inner(outer, originator=JUMP) as inner:
        assert (await inner.run("true")).exit_status == 0


@pytest.mark.parametrize("originator", TUNNELS, ids=str)
async def test_who_comes_by_a_tunnel_has_to_prove_again(
    world: World, originator: tuple[str, int]
) -> None:
    """Without a key, with the key of somebody else who may go there too, with another key of the
    same person: none is let in. The key that opened the tunnel is."""
    alice, bob = world.contractor(), world.contractor("bob")
    second = Person("alice", asyncssh.generate_private_key("ssh-ed25519"))
    world.services.store.enrol_key("alice", second.public, OPERATOR, world.now)
    async with world.outer(alice.key) as outer:
        for keys in ((), (bob.key,), (second.key,)):
            with pytest.raises(asyncssh.PermissionDenied):
                async with world.inner(outer, *keys, originator=originator):
                    raise AssertionError("somebody else is in by alice's tunnel")
        async with world.inner(outer, bob.key, alice.key, originator=originator) as inner:
            assert (await inner.run("true")).exit_status == 0
    assert {session.user for session in world.sessions} == {"alice"}


async def test_the_key_proves_itself_in_a_certificate_too(world: World) -> None:
    """As paramiko offers it. What is in the certificate counts for nothing, the signature does."""
    alice, bob = world.contractor(), world.contractor("bob")
    anybody = asyncssh.generate_private_key("ssh-ed25519")

    def carried(key: asyncssh.SSHKey) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]:
        signed = anybody.generate_user_certificate(
            key.convert_to_public(), "alice", principals=["alice", LOGIN]
        )
        return key, signed

    async with world.outer(alice.key) as outer:
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.inner(outer, carried(bob.key), originator=TUNNELS[0]):
                raise AssertionError("somebody else is in by a certificate")
        async with world.inner(outer, carried(alice.key), originator=TUNNELS[0]) as inner:
            assert (await inner.run("true")).exit_status == 0


async def test_only_the_first_channel_is_the_persons_own_jump(world: World) -> None:
    """`-J` opens one channel, numbered 0; whatever comes after it proves itself again."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer:
        assert (await outer.run("status")).exit_status == 0
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.inner(outer, originator=JUMP):
                raise AssertionError("a later channel was taken for the person's own jump")
        async with world.inner(outer, alice.key, originator=JUMP) as inner:
            assert (await inner.run("true")).exit_status == 0


@pytest.mark.parametrize("source", [0, 65_535])
async def test_a_stranger_at_a_forwarded_port_of_stock_openssh(
    world: World, source: int, tmp_path: Path
) -> None:
    """`ssh -N -L` sends the peer's real address, and a stranger on the same machine can bind port
    65535: it looks like `-J` but for the channel's number, which the listener has taken."""
    alice = world.contractor()
    key = tmp_path / "key"
    key.write_bytes(alice.key.export_private_key("openssh"))
    key.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with forwarding(world, key, port), reached(port, source) as stranger:
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect(
                sock=stranger,
                username=LOGIN,
                client_keys=None,
                known_hosts=None,
                config=None,
                agent_path=None,
                gss_host=None,
            )
    assert world.sessions == []


@asynccontextmanager
async def forwarding(world: World, key: Path, port: int) -> AsyncIterator[None]:
    """The stock client, with `port` forwarded to a host through the bastion."""
    options = ("IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no")
    client = await asyncio.create_subprocess_exec(
        *("ssh", "-F", "none", "-N", "-i", str(key), "-p", str(world.port)),
        *(word for option in options for word in ("-o", option)),
        *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
        *("-L", f"{port}:{HOST}:22", "alice@127.0.0.1"),
    )
    try:
        yield
    finally:
        client.terminate()
        await client.wait()


@asynccontextmanager
async def reached(port: int, source: int) -> AsyncIterator[socket.socket]:
    """A connection to `port`, from the port `source`, as soon as somebody listens there."""
    async with asyncio.timeout(10):
        while True:
            with socket.socket() as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                peer.bind(("127.0.0.1", source))
                peer.setblocking(False)
                try:
                    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
                    continue
                yield peer
                return


async def test_an_offer_in_the_tunnel_is_no_proof(world: World) -> None:
    """Whoever knows the public half offers it, and signs with what he has."""
    alice = world.contractor()
    mallory = asyncssh.generate_private_key("ssh-ed25519")
    async with world.outer(alice.key) as outer, by_hand(world, outer) as hand:
        hand.offer(LOGIN, alice.public.blob)
        await until(lambda: hand.said_ok)
        hand.sign(LOGIN, mallory, alice.public.blob)
        await until(lambda: hand.failures)
        assert not hand.in_
        hand.sign(LOGIN, alice.key, signed_user="root")
        await until(lambda: hand.failures == 2)
        assert not hand.in_


async def test_the_outer_proof_is_none_inside(world: World) -> None:
    """The signature of the outer sign-in is bound to the outer connection: replayed, it fails."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer, by_hand(world, outer) as hand:
        hand.conn._session_id, inside = outer._session_id, hand.conn._session_id
        hand.sign(LOGIN, alice.key)
        hand.conn._session_id = inside
        await until(lambda: hand.failures)
        assert not hand.in_
