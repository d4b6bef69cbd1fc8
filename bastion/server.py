"""The outer door: who are you, may you reach that host, or do you want the control plane.

Identity is taken when authentication completes, from the key that signed. An offered certificate
counts as its key's, where the ledger knows it whole; what it allows comes from the ledger.
"""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import cast

import asyncssh
from asyncssh.constants import (
    DISC_BY_APPLICATION,
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    DISC_TOO_MANY_CONNECTIONS,
    OPEN_RESOURCE_SHORTAGE,
)
from asyncssh.misc import DisconnectError
from asyncssh.public_key import (
    KeyImportError,
    SSHKey,
    SSHOpenSSHCertificate,
    decode_ssh_certificate,
    decode_ssh_public_key,
)

from bastion import names
from bastion.admission import Admission
from bastion.authority import Authority
from bastion.console import Console
from bastion.control import Control
from bastion.errors import BadInput, BastionError
from bastion.hop import PROHIBITED, Arrival, Hop, Parts
from bastion.inventory import User
from bastion.jumps import Jump
from bastion.policy import Denial, Identity, Knock, Reach, Reason, may_reach
from bastion.wire.connections import VERSION, Authenticator, ServerConnection, shared_options

log = logging.getLogger(__name__)

JUMP_ORIGIN = ("127.0.0.1", 65535)
"""The originator that OpenSSH's `-J` and `-W` send; `-L` and `-D` send a real one.

A stranger on the contractor's machine can connect to a forwarded port *from* port 65535. But where
OpenSSH listens, the listener is channel 0, so what came through it is not; `-W`'s channel is.
"""

NOT_KEPT = 0
"""The number of a jump that could not be written down; it is refused."""

_NOT_NOW = "nothing can be opened now, and it has been logged; ask an operator."

MOST_KEYS = 20
"""Keys that one connection may offer; under another name they count again."""


SIGNATURES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""How a contractor may sign: nothing with SHA-1, no DSA."""


def server_options(authority: Authority, login_grace: float) -> asyncssh.SSHServerConnectionOptions:
    """One set for the outer and the inner connections; an inner one brings its own certificate.

    `login_grace` is in seconds, from connecting to being somebody.
    """
    return asyncssh.SSHServerConnectionOptions(
        **shared_options(),
        server_version=VERSION,
        server_host_keys=[authority.host_key_with_certificate],
        signature_algs=SIGNATURES,
        login_timeout=login_grace,
        keepalive_interval=15,
        keepalive_count_max=3,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        x11_forwarding=False,
        agent_forwarding=False,
        allow_scp=False,
        line_editor=False,
        encoding=None,
    )


@dataclass(frozen=True, slots=True)
class Doors:
    """What the outer door is built of.

    `options` serve the inner connections too; `verbs` runs the control plane's, apart from the
    threads that the doors need.
    """

    parts: Parts
    authority: Authority
    control: Control
    options: asyncssh.SSHServerConnectionOptions
    admission: Admission
    verbs: Executor
    loop: asyncio.AbstractEventLoop


class Front:
    """Answers every connection that is made to the bastion."""

    def __init__(self, doors: Doors):
        self._doors = doors

    def connection(self) -> ServerConnection:
        """The protocol for one more connection."""
        doors = self._doors
        return ServerConnection(doors.loop, doors.options, doors.parts.turn, lambda: Outer(doors))


class Outer(Authenticator):
    """The owner of one outer connection."""

    _connection: ServerConnection

    def __init__(self, doors: Doors):
        self._doors = doors
        self._parts = doors.parts
        self._offers: dict[tuple[str, bytes], tuple[SSHKey, Identity] | None] = {}
        self._proved: Identity | None = None
        self._identity: Identity | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A client has connected; it is nobody yet."""
        self._connection = cast(ServerConnection, conn)
        if not self._doors.admission.arrive(self, self._source()):
            log.warning("no place for a connection from %s", self._source())
            self._doors.loop.call_soon(self._turn_away)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and every jump through it."""
        self._parts.live.leave(self)
        self._doors.admission.leave(self)

    def _turn_away(self) -> None:
        """Say why, as soon as the version has gone out: no key exchange is spent on it."""
        sentence = "bastion: too many connections are signing in; try again in a moment"
        self._connection.turn_away(DISC_TOO_MANY_CONNECTIONS, sentence)

    # Who are you

    def begin_auth(self, username: str) -> bool:
        """Everybody has to prove who they are."""
        self._proved = None
        return True

    async def key_of(self, username: str, key_data: bytes) -> SSHKey | None:
        """The enrolled key that these data are, or are a certificate of ours for."""
        offer = (username, key_data)
        if offer not in self._offers:
            if len(self._offers) >= MOST_KEYS:
                code = DISC_NO_MORE_AUTH_METHODS_AVAILABLE
                raise DisconnectError(code, "bastion: too many keys; offer the enrolled one only")
            self._offers[offer] = await self._look_up(username, key_data)
        found = self._offers[offer]
        return None if found is None else found[0]

    def signed(self, username: str, key_data: bytes) -> None:
        """This key has signed: the last one to do so is who it is."""
        found = self._offers.get((username, key_data))
        self._proved = None if found is None else found[1]

    def auth_completed(self) -> None:
        """Authentication is complete: from now on this is somebody."""
        self._identity = self._proved
        if self._identity is None:
            self._connection.abort()
            return
        user = self._identity.user
        self._doors.admission.signed_in(self)
        self._parts.live.enter(self, self._identity, self._close)
        log.info("%s signed in from %s", user.name, self._identity.source)

    async def _look_up(self, username: str, key_data: bytes) -> tuple[SSHKey, Identity] | None:
        try:
            return await asyncio.to_thread(self._known, username, key_data)
        except BastionError as error:
            log.error("no one can sign in: %s", error)
            return None

    def _known(self, username: str, key_data: bytes) -> tuple[SSHKey, Identity] | None:
        """The key and whose it is; None where these data open nothing."""
        now = self._parts.clock.now()
        key = _plain_key(key_data) or self._certified_key(key_data)
        user = None if key is None else self._parts.store.owner_of(key.public_data)
        if key is None or user is None or not user.may_sign_in(now):
            return None
        if self._another(username, user):
            return None
        enrolled = next((k for k in user.keys if k.blob == key.public_data), None)
        if enrolled is None:
            return None
        return key, Identity(user, enrolled, self._source())

    def _certified_key(self, key_data: bytes) -> SSHKey | None:
        """The key of a certificate that is, byte for byte, one of the ledger's."""
        try:
            certificate = decode_ssh_certificate(key_data)
        except KeyImportError:
            return None
        if not isinstance(certificate, SSHOpenSSHCertificate) or not certificate.principals:
            return None
        signer = certificate.signing_key.public_data
        entry = self._parts.store.certificate_with(hashlib.sha256(key_data).hexdigest())
        if entry is None or signer not in self._doors.authority.user_ca_blobs:
            return None
        if entry.fingerprint != certificate.key.get_fingerprint():
            return None
        return certificate.key

    def _another(self, username: str, user: User) -> bool:
        """Whether the name that was typed is another user's."""
        try:
            typed = names.user_name(username)
        except BadInput:
            return False
        return typed != user.name and self._parts.store.user(typed) is not None

    def _source(self) -> str:
        peer = self._connection.get_extra_info("peername")
        return str(peer[0]) if peer else "unknown"

    def _close(self, sentence: str) -> None:
        self._connection.disconnect(DISC_BY_APPLICATION, f"bastion: {sentence}")

    # Door 1

    def connection_requested(  # type: ignore[override]
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Coroutine[object, object, ServerConnection]:
        """A jump: the channel becomes the transport of a connection that speaks as the target.

        asyncssh takes a connection for the channel's session, though its types do not say so.
        """
        if self._identity is None:
            raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: not signed in")
        if self._connection.crowded:
            raise asyncssh.ChannelOpenError(OPEN_RESOURCE_SHORTAGE, "bastion: too many channels")
        try:
            asked = names.host_name(dest_host)
        except BadInput:
            raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: no such host") from None
        jumps = (orig_host, orig_port) == JUMP_ORIGIN and self._connection.opens_with_zero
        prove_again = not jumps
        return self._jump(self._identity, asked, dest_port, prove_again)

    async def _jump(
        self, identity: Identity, asked: str, port: int, prove_again: bool
    ) -> ServerConnection:
        try:
            knock, answer = await asyncio.to_thread(self._knock, identity, asked, port)
            if _silent(answer, port):
                raise asyncssh.ChannelOpenError(PROHIBITED, f"bastion: port {port} is not granted")
            number = await asyncio.to_thread(self._write_down, knock, answer)
        except BastionError as error:
            log.error("no one can jump: %s", error)
            number, answer = NOT_KEPT, Denial(Reason.UNAVAILABLE, _NOT_NOW)
        log.info("C-%s %s to %s:%s: %s", number, identity.user.name, asked, port, _said(answer))

        if self._connection.is_closed():  # meanwhile, so nothing inside will tell of an end
            await self._left(number)

        def again() -> Reach | Denial:
            return self._knock(identity, asked, port)[1]

        return self._inside(Arrival(number, identity, asked, answer, prove_again, again))

    def _knock(self, identity: Identity, asked: str, port: int) -> tuple[Knock, Reach | Denial]:
        clock = self._parts.clock
        now = clock.now()
        key = identity.key.fingerprint
        facts = self._parts.store.door_facts(identity.user.name, key, asked, now)
        clock.latest = facts.latest_time
        if facts.user is None:
            return _nothing(identity, asked, port), _closed()
        fresh = Identity(facts.user, identity.key, identity.source)
        knock = Knock(fresh, asked, facts.host, port, facts.grants, facts.certificates)
        if clock.behind():
            sentence = (
                "the bastion's clock is wrong, so nothing is opened; an operator has to look."
            )
            return knock, Denial(Reason.CLOCK, sentence)
        return knock, may_reach(knock, now)

    def _write_down(self, knock: Knock, answer: Reach | Denial) -> int:
        now = self._parts.clock.now()
        return self._parts.store.open_connection(
            Jump(
                id=0,
                user=knock.identity.user.name,
                fingerprint=knock.identity.key.fingerprint,
                certificate=_serial(knock, now) if isinstance(answer, Reach) else None,
                source=knock.identity.source,
                host=knock.asked,
                login=None,
                client_version=str(self._connection.get_extra_info("client_version", ""))[:255],
                started_at=now,
            )
        )

    def _inside(self, arrival: Arrival) -> ServerConnection:
        parts = self._parts

        def gone() -> None:
            if arrival.connection == NOT_KEPT:
                return
            parts.crew.start(self._left(arrival.connection), f"C-{arrival.connection} ends")

        return ServerConnection(
            self._doors.loop,
            self._doors.options,
            parts.turn,
            lambda: Hop(arrival, parts, gone),
            self._doors.authority.host_keys_for(arrival.asked, parts.clock.now()),
        )

    async def _left(self, connection: int) -> None:
        store, now = self._parts.store, self._parts.clock.now()
        await asyncio.to_thread(store.close_connection, connection, now)

    # The control plane

    def session_requested(self) -> Console:
        """`ssh bastion VERB…`."""
        if self._identity is None:
            raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: not signed in")
        doors = self._doors
        return Console(doors.control, doors.verbs, partial(self._admitted, self._identity))

    def _admitted(self, identity: Identity) -> Identity | None:
        """Who it is now: the account, the key or a role may have been taken away since."""
        user = self._parts.store.user(identity.user.name)
        if user is None or not user.may_sign_in(self._parts.clock.now()):
            return None
        enrolled = any(key.blob == identity.key.blob for key in user.keys)
        return replace(identity, user=user) if enrolled and not self._parts.clock.behind() else None

    # Everything else that a client may ask for outside is refused

    def unix_connection_requested(self, dest_path: str) -> bool:
        """A forward to a socket (PROTOCOL, 2.4)."""
        raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: forwards are not granted")

    def tun_requested(self, unit: int | None) -> bool:
        """A tunnel device (PROTOCOL, 2.3)."""
        raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: tunnels are not granted")

    def tap_requested(self, unit: int | None) -> bool:
        """A tunnel device (PROTOCOL, 2.3)."""
        raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: tunnels are not granted")


def _plain_key(key_data: bytes) -> SSHKey | None:
    try:
        return decode_ssh_public_key(key_data)
    except KeyImportError:
        return None


def _silent(answer: Reach | Denial, port: int) -> bool:
    """Whether to refuse the channel itself: on other ports than SSH's a banner is not heard.

    An unknown host and a forbidden one must sound alike on every port.
    """
    return (
        port != 22
        and isinstance(answer, Denial)
        and answer.reason in (Reason.UNKNOWN_HOST, Reason.NO_GRANT, Reason.USER_CLOSED)
    )


def _serial(knock: Knock, now: datetime) -> int | None:
    return max((c.serial for c in knock.certificates if c.live(now)), default=None)


def _said(answer: Reach | Denial) -> str:
    return answer.reason if isinstance(answer, Denial) else "may reach"


def _closed() -> Denial:
    return Denial(Reason.USER_CLOSED, "your account or this key is closed.")


def _nothing(identity: Identity, asked: str, port: int) -> Knock:
    return Knock(identity, asked, None, port, (), ())
