"""Where one can get to: hosts of the inventory by their names, and no address of one's own.

Teleport 10.3.11: direct-tcpip was not checked like a session. Teleport GHSA-hw4x: the proxy reached
inside. Warpgate CVE-2026-91166: a jump host's key was taken for the target's.
"""

import asyncio
import socket

import asyncssh
import pytest

from bastion.authority.keyfiles import Which
from tests.corpus.world import HOST, Banners, World, target_for

NO_ACCESS = "bastion: you have no access to {}; see what you have: ssh bastion"
WHENCE = ("127.0.0.1", 65_535)
ELSEWHERE = [
    "localhost",
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0.0.0.0",
    "169.254.169.254",
    "metadata.google.internal",
    "100.100.100.200",
    "prod-host.evil.example",
    "xprod-host",
    "prod-host2",
    "prod",
    "other-host",
]
NO_NAMES = [
    "::1",
    "[::1]",
    "::ffff:127.0.0.1",
    "prod-host\0.evil.example",
    "prod-host evil",
    "prod-host@evil",
    "prod-host/../x",
    "prod\u2024host",
    "ｐｒｏｄ-host",
    "prod-host\u3002",
    "prod-host\n",
    "-oProxyCommand=id",
    "",
    "x" * 5000,
    "\x1b]0;x\x07",
]


async def heard(world: World, outer: asyncssh.SSHClientConnection, host: str) -> str:
    """The disconnect with which a jump to `host` is refused, before a key is shown for it."""
    listener = Banners()
    with pytest.raises(asyncssh.DisconnectError) as refused:
        async with world.inner(outer, host=host, client_factory=lambda: listener):
            raise AssertionError(f"a jump to {host}")
    assert (refused.value.code, listener.heard) == (1, "")
    return refused.value.reason.removesuffix(" (error 1)")


async def test_only_granted_hosts_of_the_inventory_are_reached(world: World) -> None:
    """Addresses, loopback, metadata services, names that contain an allowed one, and a host that
    exists and is not granted: all are refused, in the same words, and no target hears of it."""
    async with target_for(world, "other-host"):
        alice = world.contractor()
        async with world.outer(alice.key) as outer:
            for host in ELSEWHERE:
                told = await heard(world, outer, host)
                assert told == NO_ACCESS.format(host)
    assert all(entry.kind == "user" for entry in world.services.store.ledger())


async def test_who_is_turned_away_and_stays_is_gone_in_a_second(world: World) -> None:
    """Also one who takes nothing: no channel is left of it, nor anything that waits."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer:
        for window in (0, 1 << 20):
            async with asyncio.timeout(10):
                reader, _ = await outer.open_connection("no-such-host", 22, window=window)
                said = await reader.read()
            assert (b"you have no access to no-such-host" in said) is (window > 0)
        await world.still_serves()


MAY_ASK = """
[[rule]]
name = "contractors"
who = ["*"]
hosts = ["other-host"]
logins = ["*"]
allow = ["shell"]
longest = "1h"
automatic = true
"""


async def test_what_one_may_ask_for_is_refused_inside(world: World) -> None:
    """She has its name from `trust`, so her client hears what is said behind its certificate."""
    world.services.home.policy.write_text(MAY_ASK)
    listener = Banners()
    async with target_for(world, "other-host"):
        alice = world.contractor()
        async with world.outer(alice.key) as outer:
            with pytest.raises(asyncssh.PermissionDenied):
                async with world.inner(outer, host="other-host", client_factory=lambda: listener):
                    raise AssertionError("a jump to other-host")
    assert listener.heard == f"{NO_ACCESS.format('other-host')}\r\n"


@pytest.mark.parametrize("host", [*NO_NAMES, "prod*"], ids=ascii)
async def test_what_is_no_host_name_is_refused_at_the_channel(world: World, host: str) -> None:
    """Nothing but a strict pattern is ever looked up, certified or written down."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer:
        before = len(world.services.store.connections())
        with pytest.raises(asyncssh.ChannelOpenError):
            await outer.create_connection(asyncssh.SSHTCPSession, host, 22, *WHENCE)
        assert len(world.services.store.connections()) == before


@pytest.mark.parametrize("port", [0, 1, 80, 443, 65_535, 65_558, 0xFFFFFFFF])
async def test_other_ports_are_refused_alike_for_known_and_unknown_hosts(
    world: World, port: int
) -> None:
    """No port but SSH's: and no telling from the answer whether the host exists."""
    alice = world.contractor()
    async with world.outer(alice.key) as outer:
        told = set()
        for host in (HOST, "no-such-host"):
            with pytest.raises(asyncssh.ChannelOpenError) as refused:
                await outer.create_connection(asyncssh.SSHTCPSession, host, port, *WHENCE)
            told.add((refused.value.code, refused.value.reason))
    assert told == {(1, f"bastion: port {port} is not granted")}


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254",
                "fe80::1", "0.0.0.0", "224.0.0.1", "::ffff:0.0.0.0", "fd00:ec2::254"],
)  # fmt: skip
async def test_no_name_leads_to_ourselves_or_to_a_metadata_service(
    bare: World, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: whoever owns a target's name points it at loopback or link-local."""
    line = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    bare.add_host(22, line, address="target.example")
    alice = bare.contractor()
    loop = asyncio.get_running_loop()
    honest = loop.getaddrinfo

    async def rebound(host: str, port: int, **more: int) -> object:
        if host == "target.example":
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port))]
        return await honest(host, port, **more)

    async with bare.outer(alice.key) as outer, bare.inner(outer) as inner:
        monkeypatch.setattr(loop, "getaddrinfo", rebound)
        done = await inner.run("id")
    assert (done.exit_status, done.stdout) == (254, "")
    assert "not to be reached" in str(done.stderr)


@pytest.mark.parametrize("address", ["127.1", "2130706433", "::ffff:7f00:1", "0::1"])
async def test_an_address_in_disguise_is_judged_like_a_name(bare: World, address: str) -> None:
    """It is somebody's way past what is looked at: only what the system itself would write is
    taken as it stands."""
    line = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    bare.add_host(22, line, address=address)
    alice = bare.contractor()
    async with bare.outer(alice.key) as outer, bare.inner(outer) as inner:
        done = await inner.run("id")
    assert (done.exit_status, done.stdout) == (254, "")
    assert "not to be reached" in str(done.stderr)


async def test_a_target_is_known_by_its_own_key_alone(bare: World) -> None:
    """Warpgate CVE-2026-91166: the key of the jump host, here the bastion's own, was stored as the
    target's. A target that shows any other key than the pinned one is told nothing."""
    for name, line in (
        ("as-bastion", bare.services.authority.public_line(Which.HOST)),
        ("as-ca", bare.services.authority.public_line(Which.HOST_CA)),
    ):
        async with target_for(bare, f"real-{name}") as target:
            bare.add_host(target.port, line, name=name)
            person = bare.enrol(name)
            bare.grant(person, host=name)
            bare.certify(person)
            async with bare.jump(person, host=name) as inner:
                done = await inner.run("id")
                assert (done.exit_status, done.stdout) == (254, "")
                assert "host key" in str(done.stderr)


async def test_a_host_certificate_of_a_stranger_is_none(bare: World) -> None:
    """A target that shows a certificate by its own CA, over the pinned name, for another key."""
    pinned, strange = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    certificate = strange.generate_host_certificate(strange, HOST, principals=[])
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[(strange, certificate)], server_factory=asyncssh.SSHServer
    ) as target:
        bare.add_host(target.get_port(), pinned.export_public_key().decode())
        alice = bare.contractor()
        async with bare.jump(alice) as inner:
            done = await inner.run("id")
    assert done.exit_status == 254
    assert "host key" in str(done.stderr)
