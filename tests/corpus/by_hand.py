"""A client that signs in by hand, packet by packet, or does not sign in at all.

asyncssh exchanges the keys; from there on nothing is sent but what a test sends.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncssh
from asyncssh.constants import (
    MSG_CHANNEL_OPEN,
    MSG_USERAUTH_REQUEST,
)
from asyncssh.packet import Boolean, Byte, SSHPacket, String, UInt32

from tests.corpus.world import PATIENCE, Tunnel, World

PK_OK = 60


class ByHand(asyncssh.SSHClient):
    """One connection whose keys are exchanged. `heard` are the types of packets about signing in.

    `conn` is asyncssh's connection; `over` is set when it is gone, `begun` when one may sign in.
    """

    conn: asyncssh.SSHClientConnection

    def __init__(self) -> None:
        self.begun, self.over = asyncio.Event(), asyncio.Event()
        self.banner = ""
        self.failures = 0
        self.said_ok = 0

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.conn = conn
        conn.try_next_auth = self._refused  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()

    def begin_auth(self, username: str) -> None:
        """Nothing is offered by itself."""

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banner += msg

    def _refused(self, **_: object) -> None:
        self.failures += self.begun.is_set()
        self.begun.set()
        self.conn._auth = self  # type: ignore[assignment]

    # What asyncssh asks of whoever signs in

    def auth_failed(self) -> None:
        """Counted in `_refused`."""

    def auth_succeeded(self) -> None:
        """Seen by `in_`."""

    def cancel(self) -> None:
        """There is nothing to cancel."""

    def log_received_packet(self, *_: object) -> None:
        """Not logged."""

    def process_packet(self, kind: int, number: int, packet: SSHPacket) -> bool:
        """The server would take a signature by that key."""
        self.said_ok += kind == PK_OK
        return True

    @property
    def in_(self) -> bool:
        """Whether the server has let this client in."""
        return bool(self.conn._auth_complete)

    # What a test sends

    def send(self, kind: int, *parts: bytes) -> None:
        """Any packet, at any time."""
        complete, self.conn._auth_complete = self.conn._auth_complete, True
        self.conn.send_packet(kind, *parts)
        self.conn._auth_complete = complete

    def offer(self, user: str, blob: bytes, algorithm: bytes = b"ssh-ed25519") -> None:
        """Ask whether a key would do (RFC 4252 section 7)."""
        self.send(MSG_USERAUTH_REQUEST, _about(user, blob, algorithm, signed=False))

    def sign(
        self,
        user: str,
        key: asyncssh.SSHKey,
        blob: bytes | None = None,
        algorithm: bytes = b"ssh-ed25519",
        signed_user: str | None = None,
    ) -> None:
        """Sign with `key`, saying that it is `blob`; the signature may be for another user."""
        shown = key.public_data if blob is None else blob
        about = _about(user, shown, algorithm, signed=True)
        meant = _about(signed_user or user, shown, algorithm, signed=True)
        data = String(self.conn._session_id) + Byte(MSG_USERAUTH_REQUEST) + meant
        self.send(MSG_USERAUTH_REQUEST, about, String(key.sign(data, b"ssh-ed25519")))

    def open_session(self) -> None:
        """CHANNEL_OPEN `session`."""
        self.send(MSG_CHANNEL_OPEN, String("session"), UInt32(0), UInt32(1 << 20), UInt32(32768))

    def open_tunnel(self, host: str, port: int = 22) -> None:
        """CHANNEL_OPEN `direct-tcpip`."""
        window = UInt32(0) + UInt32(1 << 20) + UInt32(32768)
        whence = String("127.0.0.1") + UInt32(65535)
        to = String(host) + UInt32(port)
        self.send(MSG_CHANNEL_OPEN, String("direct-tcpip"), window, to, whence)

    async def closed(self, seconds: float = PATIENCE) -> None:
        """Wait until the server has hung up."""
        await asyncio.wait_for(self.over.wait(), seconds)


def _about(user: str, blob: bytes, algorithm: bytes, *, signed: bool) -> bytes:
    head = String(user) + String("ssh-connection") + String("publickey") + Boolean(signed)
    return head + String(algorithm) + String(blob)


@asynccontextmanager
async def by_hand(
    world: World, through: asyncssh.SSHClientConnection | None = None, host: str = "prod-host"
) -> AsyncIterator[ByHand]:
    """A connection to the bastion, or `through` it to `host` as `ssh -L` makes it; nobody yet."""
    hand = ByHand()
    tunnel = None if through is None else Tunnel(through, ("127.0.0.1", 40_000))
    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(_connect(world, hand, tunnel, host))
        try:
            await asyncio.wait_for(hand.begun.wait(), PATIENCE)
            yield hand
        finally:
            hand.conn.abort()
            connecting.cancel()


async def _connect(world: World, hand: ByHand, tunnel: Tunnel | None, host: str) -> None:
    with suppress(asyncssh.Error, OSError):
        connection = await asyncssh.connect(
            "127.0.0.1" if tunnel is None else host,
            world.port if tunnel is None else 22,
            tunnel=tunnel or (),
            username="whoever",
            client_factory=lambda: hand,
            client_keys=None,
            known_hosts=None,
            agent_path=None,
            config=None,
            gss_host=None,
        )
        await connection.wait_closed()
