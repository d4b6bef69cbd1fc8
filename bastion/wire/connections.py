"""The connections: a client's to the bastion, the inner one within it, and ours to a target."""

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import cast

import asyncssh
from asyncssh.channel import SSHChannel, SSHServerChannel, SSHTCPChannel
from asyncssh.connection import SSHClientConnection, SSHConnection, SSHServerConnection
from asyncssh.constants import (
    DISC_BY_APPLICATION,
    DISC_TOO_MANY_CONNECTIONS,
    MSG_CHANNEL_OPEN,
    MSG_DISCONNECT,
    MSG_GLOBAL_REQUEST,
    OPEN_RESOURCE_SHORTAGE,
)
from asyncssh.misc import ChannelOpenError, DisconnectError
from asyncssh.packet import Byte, SSHPacket, String, UInt32
from asyncssh.public_key import SSHKey, SSHKeyPair

from bastion.latch import Latch
from bastion.limits import Limit
from bastion.wire.bounds import WINDOW, Bounds
from bastion.wire.channels import SessionChannel, TunnelChannel, UpstreamChannel
from bastion.wire.packets import PacketRoad, Turn
from bastion.wire.quiet import Listened, Quiet
from bastion.wire.slots import slots
from recorder.allowance import Allowance

KEX = ("curve25519-sha256", "mlkem768x25519-sha256", "curve25519-sha256@libssh.org")
"""Curve25519 first: with another first an asyncssh bug disconnects Dropbear."""

GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
CTR = ("aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
VERSION = "OpenSSH_compatible_bastion"
"""What we call ourselves. OpenSSH sends `eow@openssh.com` only to peers named `OpenSSH*`."""

PACKET = 32768
"""Bytes of the largest data packet that our channels grant."""

_NOTHING: frozenset[object] = frozenset()
_MOSTLY_EMPTY = (
    "_trusted_host_keys",
    "_trusted_ca_keys",
    "_revoked_host_keys",
    "_x509_revoked_certs",
    "_server_sig_algs",
)
"""Sets of asyncssh's that are read, or replaced by others: 216 bytes each where nothing is in."""

LAST_WORD = 0.3
"""Seconds that somebody who has to go gets to hear of it."""


def shared_options(**more: object) -> dict[str, object]:
    """What every connection of ours has in common, to be given to asyncssh's options."""
    return {
        "config": None,
        "kex_algs": KEX,
        "encryption_algs": GCM + CTR,
        "mac_algs": MACS,
        "compression_algs": ("none",),
        **more,
    }


QUESTIONS = 3
"""How often a peer is asked whether it is there, before it is taken for dead."""


def answering(dead: float) -> dict[str, object]:
    """For asyncssh's options: a peer that has said nothing for `dead` seconds, though it was asked,
    is gone. The kernel is told the same (`PacketRoad`)."""
    return {"keepalive_interval": dead / (QUESTIONS + 1), "keepalive_count_max": QUESTIONS}


def silent(error: Exception | None) -> bool:
    """Whether a connection was lost because the peer did not answer any more."""
    if isinstance(error, asyncssh.ConnectionLost):
        return "keepalive" in error.reason
    return isinstance(error, TimeoutError)


def last_word(sentence: str, code: int = DISC_TOO_MANY_CONNECTIONS) -> bytes:
    """All that somebody hears for whom there is no place: our version, and a disconnect (RFC 4253,
    sections 4.2, 6 and 11.1), before any key is exchanged."""
    payload = Byte(MSG_DISCONNECT) + UInt32(code) + String(sentence) + String("en")
    padding = 4 + -(len(payload) + 9) % 8
    packet = Byte(padding) + payload + bytes(padding)
    return f"SSH-2.0-{VERSION}\r\n".encode() + UInt32(len(packet)) + packet


class _Road(Quiet, PacketRoad):
    """What our server and client connections share.

    Thousands may stand idle at once, so what was for their beginning is not kept.
    """

    __slots__ = slots(SSHConnection)

    bounds = Bounds()

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        # They are in `h`. Before: what was held goes out within, and may begin the next exchange.
        self._client_kexinit = self._server_kexinit = b""
        super().send_newkeys(k, h)
        self._extensions_to_send = OrderedDict()  # said once, with the first keys
        for name in _MOSTLY_EMPTY:
            if getattr(self, name) == _NOTHING:
                setattr(self, name, _NOTHING)

    def demand_channel(self) -> None:
        """Raises ChannelOpenError where there are as many channels as may be."""
        if len(self._channels) >= self.bounds.channels:
            sentence = f"bastion: too many channels, {self.bounds.channels}; close some first"
            raise ChannelOpenError(OPEN_RESOURCE_SHORTAGE, sentence)

    def add_channel(self, chan: SSHChannel[bytes]) -> int:  # type: ignore[override]
        self.demand_channel()
        number = super().add_channel(chan)  # none, where the peer has gone
        chan._close_event = Latch()  # type: ignore[assignment]
        self.turn.windows.granted += chan._init_recv_window
        return number

    def remove_channel(self, recv_chan: int) -> None:
        self.turn.windows.granted -= self._channels[recv_chan]._init_recv_window
        super().remove_channel(recv_chan)


class ServerConnection(_Road, SSHServerConnection):
    """A connection that a client opened to us, or within such a one.

    `options` are prepared once and shared; asyncssh's reloading of them is left out. `owner` makes
    the object that answers for it; `prove` says which key, if any, may sign in with these data.
    """

    __slots__ = slots(SSHServerConnection, _Road)

    opens_with_zero = False
    """While a channel is being opened: whether it is the connection's first, and numbered 0."""

    _opened = 0

    spoke = False
    """Whether the client has said anything."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: asyncssh.SSHServerConnectionOptions,
        turn: Turn,
        owner: Callable[[], asyncssh.SSHServer],
        host_keys: Mapping[bytes, SSHKeyPair] | None = None,
        *,
        bounds: Bounds | None = None,
    ):
        self.turn = turn
        self.bounds = bounds or Bounds()
        self._requests = Allowance(self.bounds.requests, self.bounds.requests / 60)
        own = copy.copy(options)
        own.protocol_factory = owner
        if host_keys is not None:
            own.server_host_keys = cast("OrderedDict[bytes, SSHKeyPair]", host_keys)  # only read
        super().__init__(loop, own)
        self._logger = Listened.instead(self._logger)
        self._options = options
        self._close_event = Latch()  # type: ignore[assignment]

    def _process_hostkeys_prove_00_at_openssh_dot_com_global_request(
        self, packet: SSHPacket
    ) -> None:
        """Not offered, so not answered: one packet could ask for thousands of signatures."""
        self._report_global_response(False)

    def used(self) -> tuple[int, float]:
        """Another value whenever a channel was opened since, and while one is open."""
        return self._opened, self._loop.time() if self._channels else 0.0

    async def reload_config(self) -> None:
        """There is no configuration file, so nothing depends on who signs in."""

    def _recv_version(self) -> bool:
        """Offer an OpenSSH client AES-GCM only: it would choose AES-CTR, at half the speed.

        OpenSSH knows AES-GCM since 6.2, and prefers it by itself since 10.0.
        """
        self.spoke = True
        if self._inpbuf.startswith(b"SSH-2.0-OpenSSH_"):
            self._enc_algs = [name.encode() for name in GCM]
        return super()._recv_version()

    def _process_channel_open(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        """Note how the client numbers the channel that it opens, and whether it is the first."""
        ahead = SSHPacket(packet.get_remaining_payload())
        ahead.get_string()
        self.opens_with_zero = self._opened == 0 and ahead.get_uint32() == 0
        self._opened += 1
        self.asked()
        super()._process_channel_open(pkttype, pktid, packet)

    def _process_global_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        self.asked()
        super()._process_global_request(pkttype, pktid, packet)

    _packet_handlers = {  # noqa: RUF012 as asyncssh declares it
        **SSHServerConnection._packet_handlers,
        MSG_GLOBAL_REQUEST: _process_global_request,
        MSG_CHANNEL_OPEN: _process_channel_open,
    }

    def asked(self) -> None:
        """Each request costs work, and some a row in the database: who never stops has to go."""
        if not self._requests.take(self._loop.time(), 1):
            self._met(Limit.REQUESTS)
            sentence = f"bastion: more than {self.bounds.requests} requests in a minute"
            raise DisconnectError(DISC_BY_APPLICATION, sentence)

    def demand_channel(self) -> None:
        """Raises ChannelOpenError where there are as many channels as may be."""
        try:
            super().demand_channel()
        except ChannelOpenError:
            self._met(Limit.CHANNELS)
            raise

    def _next_window(self) -> int:
        window = self.turn.windows.next()
        if window < WINDOW:
            self._met(Limit.IN_FLIGHT)
        return window

    def _met(self, limit: Limit) -> None:
        if isinstance(self._owner, Authenticator):
            self._owner.met(limit)

    def _login_timer_callback(self) -> None:
        """Who has not signed in by then is told so; asyncssh says nothing."""
        self._login_timer = None
        if isinstance(self._owner, Authenticator):
            self._owner.late()
        sentence = "bastion: you did not sign in in time; connect again"
        self.say_last(sentence)

    async def answer(self) -> None:
        """Wait until the client has answered a question that has no other meaning.

        It is OpenSSH's `keepalive@openssh.com`; whoever does not know it says so (RFC 4254,
        section 4).
        """
        await self._make_global_request(b"keepalive@openssh.com")

    def turn_away(self, code: int, sentence: str, linger: float = 1.0) -> None:
        """Disconnect (RFC 4253 section 11.1) in a way that the sentence arrives.

        Closing a socket with something unread in it resets the connection, so what the client still
        sends is read and dropped for `linger` seconds. No channel is closed before: OpenSSH ends
        with its last one, and looks no further.
        """
        self._send_disconnect(code, sentence, "en")
        self._recv_handler = self._drop
        self._loop.call_later(linger, self.abort)

    def say_last(self, sentence: str) -> None:
        """Disconnect, by our own choice."""
        self.turn_away(DISC_BY_APPLICATION, sentence, LAST_WORD)

    def _drop(self) -> bool:
        self._inpbuf = b""
        return False

    async def validate_public_key(
        self, username: str, key_data: bytes, msg: bytes, signature: bytes
    ) -> bool:
        """Ask the owner whose key this is; `signed` tells it of the one that proved itself.

        Replaces asyncssh's look-up in authorized keys. No option of an offered key or certificate
        is ever kept: limits live in our own objects.
        """
        owner = self._owner
        if not isinstance(owner, Authenticator):
            return False
        key = await owner.key_of(username, key_data)
        if key is None:
            return False
        if not msg:
            return True
        if not key.verify(String(self._session_id) + msg, signature):
            owner.unproved(username, key_data)
            return False
        owner.signed(username, key_data)
        return True

    def create_server_channel(
        self,
        encoding: str | None = "",
        errors: str = "",
        window: int = WINDOW,
        max_pktsize: int = PACKET,
    ) -> SSHServerChannel[bytes]:
        """A session channel of ours, in bytes and without asyncssh's line editor."""
        return SessionChannel(
            self, self._loop, True, False, False, 0, 0, None, "strict", self._next_window(), PACKET
        )

    def create_tcp_channel(
        self,
        encoding: str | None = None,
        errors: str = "strict",
        window: int = WINDOW,
        max_pktsize: int = PACKET,
    ) -> SSHTCPChannel[bytes]:
        """A direct-tcpip channel of ours."""
        return TunnelChannel(self, self._loop, None, "strict", self._next_window(), PACKET)


class Authenticator(asyncssh.SSHServer):
    """The owner of a server connection, as it is asked about keys, and told about signatures."""

    async def key_of(self, username: str, key_data: bytes) -> SSHKey | None:
        """The key that must have signed, or None where these data open nothing."""
        raise NotImplementedError

    def signed(self, username: str, key_data: bytes) -> None:
        """The key that `key_of` gave for these data has signed; the last such call counts."""
        raise NotImplementedError

    def unproved(self, username: str, key_data: bytes) -> None:
        """A signature was shown for these data, and it is not by the key that `key_of` gave."""

    def met(self, limit: Limit) -> None:
        """The client wants more than there is for it."""

    def late(self) -> None:
        """Nobody has signed in by the time that there is for it; the connection ends."""

    def public_key_auth_supported(self) -> bool:
        """Public keys are the one way in."""
        return True


class ClientConnection(_Road, SSHClientConnection):
    """Our connection to a target."""

    __slots__ = slots(SSHClientConnection, _Road)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: asyncssh.SSHClientConnectionOptions,
        turn: Turn,
    ):
        self.turn = turn
        super().__init__(loop, options, wait="auth")
        self._logger = Listened.instead(self._logger)
        self._close_event = Latch()  # type: ignore[assignment]

    def settle(self, options: asyncssh.SSHClientConnectionOptions) -> None:
        """It is signed in: from now on it goes by these `options`, which others share, and has
        done with the private key; the target's is asked for again at each key exchange."""
        self._options = options
        self._client_keys = []
        self._server_host_key = None
        self._server_sig_algs = _NOTHING  # type: ignore[assignment]

    async def tunnel(
        self, session: asyncssh.SSHTCPSession[bytes], to: tuple[str, int]
    ) -> TunnelChannel:
        """A direct-tcpip channel to where `to` leads. Raises ChannelOpenError."""
        self._update_recv_pktlen(PACKET)
        window = self.turn.windows.next()
        channel = TunnelChannel(self, self._loop, None, "strict", window, PACKET)
        await channel.lead(session, to)
        return channel

    def session_channel(self) -> UpstreamChannel:
        """A session channel, not yet opened. Large packets are taken where a target sends them."""
        self._update_recv_pktlen(4 * PACKET)
        window = self.turn.windows.next()
        return UpstreamChannel(self, self._loop, "strict", None, "strict", window, 4 * PACKET)
