"""Forwards, as no honest client and no honest target would do them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta

import asyncssh
import pytest

from bastion.forwards import parse_forward
from bastion.grants import Allows
from bastion.wire.channels import BoundedChannel
from tests.corpus.world import LOGIN, OPERATOR, PATIENCE, SHELL, Person, World, until

TO = ("service", 80)
LED = Allows(forwards=(parse_forward("service:80"),))
HOUR = timedelta(hours=1)


class Target(asyncssh.SSHServer):
    """A target that says yes to every forward, and what happens then is `led`'s to say."""

    def __init__(self, led: "Led") -> None:
        self._led = led

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._led.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> asyncssh.SSHTCPSession[bytes]:
        self._led.asked.append((dest_host, dest_port))
        return _End(self._led)


class Led:
    """What forwards come to at the target: bytes that are sent, and bytes that came."""

    def __init__(self, first: bytes = b"", *, closes: bool = False) -> None:
        self.first = first
        self.closes = closes
        self.asked: list[tuple[str, int]] = []
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.came = b""
        self.lost = 0


class _End(asyncssh.SSHTCPSession[bytes]):
    def __init__(self, led: Led) -> None:
        self._led = led

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        chan.write(self._led.first)
        if self._led.closes:
            chan.close()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._led.came += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._led.lost += 1


class Client(asyncssh.SSHTCPSession[bytes]):
    """A client's end of a forward."""

    def __init__(self) -> None:
        self.came = b""
        self.over = False

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.came += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True


@pytest.fixture
async def led() -> Led:
    """A target that speaks first, as many services do."""
    return Led(b"220 ready\r\n")


@pytest.fixture
async def forwarding(bare: World, led: Led) -> AsyncIterator[World]:
    """A bastion whose only target is `led`'s."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(
        lambda: Target(led),
        "127.0.0.1",
        0,
        server_host_keys=[key],
        authorized_client_keys=asyncssh.import_authorized_keys(f"cert-authority {bare.target_ca}"),
    )
    async with server:
        line = key.export_public_key().decode()
        bare.add_host(server.get_port(), line)
        yield bare


async def opened(
    inner: asyncssh.SSHClientConnection, to: tuple[str, int] = TO
) -> tuple[asyncssh.SSHTCPChannel[bytes], Client]:
    """A forward that was let through."""
    channel, session = await inner.create_connection(Client, *to)
    assert isinstance(session, Client)
    return channel, session


def leading(world: World) -> Person:
    """Somebody who may go to the service, and nowhere else."""
    return world.contractor(allows=LED)


async def test_what_the_service_says_first_is_not_lost(forwarding: World, led: Led) -> None:
    """It arrives before the client's channel is open."""
    async with forwarding.jump(leading(forwarding)) as inner:
        channel, client = await opened(inner)
        await until(lambda: client.came == led.first)
        channel.write(b"HELO\r\n")
        await until(lambda: led.came == b"HELO\r\n")
        channel.close()
        await until(lambda: led.lost)
    await until(lambda: forwarding.sessions[0].ended_at)
    session = forwarding.sessions[0]
    assert (session.bytes_in, session.bytes_out) == (6, len(led.first))


@pytest.mark.parametrize("size", [0, 1, 300_000])
async def test_a_service_that_leaves_at_once(forwarding: World, led: Led, size: int) -> None:
    """All that it said arrives, and then the end."""
    led.first, led.closes = bytes(size), True
    async with forwarding.jump(leading(forwarding)) as inner:
        _, client = await opened(inner)
        await until(lambda: client.over)
        assert len(client.came) == size


@pytest.mark.parametrize(
    "to",
    [
        ("service", 81),
        ("service.", 80),
        ("service\0", 80),
        ("service:80", 80),
        ("127.0.0.1", 80),
        ("", 80),
        ("service", 0),
        ("service", 80 + 65536),
        ("x" * 30_000, 80),
        ("\x1b]0;x\x07", 80),
    ],
)
async def test_only_the_pair_is_led(forwarding: World, led: Led, to: tuple[str, int]) -> None:
    """Whatever else is asked for never reaches the target."""
    async with forwarding.jump(leading(forwarding)) as inner:
        with pytest.raises(asyncssh.ChannelOpenError, match="that forward is not granted"):
            await opened(inner, to)
    assert not led.asked
    assert not forwarding.sessions


async def test_a_shell_brings_no_forward(forwarding: World, led: Led) -> None:
    """Nor does the connection that shells share permit any."""
    async with forwarding.jump(forwarding.contractor(allows=SHELL)) as inner:
        with pytest.raises(asyncssh.ChannelOpenError, match="none is granted here"):
            await opened(inner)
    assert not led.asked


async def test_the_certificate_permits_forwards_and_nothing_else(
    forwarding: World, led: Led
) -> None:
    """The target enforces it too: no pty, and any command is /bin/false."""
    async with forwarding.jump(leading(forwarding)) as inner:
        await opened(inner)
        (connection,) = led.connections
        assert connection.check_certificate_permission("port-forwarding")
        assert not connection.check_certificate_permission("pty")
        assert connection.get_certificate_option("force-command") == "/bin/false"
        assert connection.get_extra_info("username") == LOGIN


async def test_no_forward_is_opened_after_a_revocation(forwarding: World, led: Led) -> None:
    """On a connection that was there before, with a forward that is cut."""
    async with forwarding.jump(leading(forwarding)) as inner:
        _, client = await opened(inner)
        forwarding.services.access.revoke(OPERATOR, 1, "enough", forwarding.now)
        await until(lambda: client.over)
        with pytest.raises(asyncssh.ChannelOpenError, match="was revoked"):
            await opened(inner)
    assert led.asked == [TO]
    await until(lambda: forwarding.sessions[0].end_reason == "revoked")


async def test_a_client_that_leaves_while_it_is_led(forwarding: World, led: Led) -> None:
    """The session ends, and so does our connection to the target."""
    async with forwarding.jump(leading(forwarding)) as inner:
        asking = asyncio.gather(*(opened(inner) for _ in range(20)), return_exceptions=True)
        await until(lambda: led.asked)
        inner.abort()
        await asyncio.wait_for(asking, PATIENCE)
    await until(lambda: all(session.ended_at for session in forwarding.sessions))
    await until(lambda: all(connection.is_closed() for connection in led.connections))
    await forwarding.still_serves()


@pytest.mark.parametrize("mode", ["forward", "exec"])
async def test_a_target_that_is_gone_as_soon_as_it_has_said_yes(
    forwarding: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    """The session is lost, in a sentence, and nothing breaks inside."""
    confirmed: Callable[..., None] = BoundedChannel.process_open_confirmation

    def confirmed_and_gone(channel: BoundedChannel, *args: object) -> None:
        confirmed(channel, *args)
        channel.process_connection_close(None)

    who = leading(forwarding) if mode == "forward" else forwarding.contractor()
    async with forwarding.jump(who) as inner:
        monkeypatch.setattr(BoundedChannel, "process_open_confirmation", confirmed_and_gone)
        with suppress(asyncssh.ChannelOpenError):
            if mode == "forward":
                await opened(inner)
            else:
                done = await inner.run("true")
                assert done.exit_status != 0
    await until(lambda: forwarding.sessions and forwarding.sessions[0].ended_at)
    assert forwarding.sessions[0].end_reason == "lost"
    assert not [each.message for each in caplog.records if each.levelno >= logging.ERROR]


async def test_a_target_that_breaks_off(forwarding: World, led: Led) -> None:
    """The client's channel ends, and the session is lost, not closed."""
    async with forwarding.jump(leading(forwarding)) as inner:
        _, client = await opened(inner)
        led.connections[0].abort()
        await until(lambda: client.over)
        await until(lambda: forwarding.sessions[0].end_reason == "lost")
        _, again = await opened(inner)
        await until(lambda: again.came == led.first)


async def test_hours_end_forwards_too(forwarding: World, led: Led) -> None:
    """At its end a forward is cut, by the clock."""
    alice = forwarding.enrol("alice")
    forwarding.grant(alice, LED, lasting=timedelta(seconds=3))
    forwarding.certify(alice)
    async with forwarding.jump(alice) as inner:
        _, client = await opened(inner)
        await until(lambda: client.over)
    await until(lambda: forwarding.sessions[0].end_reason == "expired")
    assert forwarding.sessions[0].kind == "forward"
