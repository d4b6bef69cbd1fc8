"""The outer door: one connection to the bastion, from nobody to somebody to what is asked for.

Identity is taken when authentication completes, from the key that signed. Then a jump goes to
door 1, a session to the control plane, and everything else is refused.

What counts as a failed sign-in, when the connection is gone: one that never became somebody counts
once for each key that it offered in vain, by name and key, and at least once. For one that became
somebody, other keys that it offered before count nothing, as clients try what they have. A wrong
signature for a known key counts in any case: an honest client makes none.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast

import asyncssh
from asyncssh.constants import (
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
)
from asyncssh.misc import DisconnectError
from asyncssh.public_key import SSHKey

from bastion import metrics, names
from bastion.clock import Clock
from bastion.console import Console, Verbs
from bastion.doorstep import Place, Threshold
from bastion.errors import BadInput, BastionError
from bastion.failures import Failures
from bastion.gate import Gate, Wish
from bastion.hop import PROHIBITED
from bastion.idling import Idling, Unused
from bastion.limits import TOO_MANY_OF_USER, Limit
from bastion.live import Live
from bastion.metrics import Meters
from bastion.policy import Identity
from bastion.reached import Case
from bastion.signin import SignIn
from bastion.turned import Turned
from bastion.wire.connections import Authenticator, ServerConnection, silent

log = logging.getLogger(__name__)

JUMP_ORIGIN = ("127.0.0.1", 65535)
"""The originator that OpenSSH's `-J` and `-W` send; `-L` and `-D` send a real one.

A stranger on the contractor's machine can connect to a forwarded port *from* port 65535. But where
OpenSSH listens, the listener is channel 0, so what came through it is not; `-W`'s channel is.
"""

MOST_KEYS = 20
"""Keys that one connection may offer; under another name they count again."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What every outer connection is built of. On none nothing is open for longer than `idle`."""

    sign_in: SignIn
    gate: Gate
    verbs: Verbs
    threshold: Threshold
    failures: Failures
    live: Live
    clock: Clock
    meters: Meters
    idling: Idling
    idle: timedelta | None
    loop: asyncio.AbstractEventLoop


class Outer(Authenticator):
    """The owner of one outer connection, which has its `place` already."""

    _connection: ServerConnection

    def __init__(self, doors: Doors, place: Place):
        self._doors = doors
        self._place = place
        self._source = place.source
        self._offers: dict[tuple[str, bytes], tuple[SSHKey, Identity] | None] = {}
        self._proved: Identity | None = None
        self._identity: Identity | None = None
        self._begun = doors.loop.time()
        self._in_vain = 0
        self._wrong_signatures = 0
        self._late = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A client has connected; it is nobody yet."""
        self._connection = cast(ServerConnection, conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and every jump through it."""
        self._doors.live.leave(self)
        self._doors.idling.ends(self)
        threshold = self._doors.threshold
        threshold.admission.leave(self._place)
        failed = self._wrong_signatures
        if self._identity is None:
            failed = max(1, failed + self._in_vain)
        elif silent(exc):
            self.met(Limit.DEAD)
        looked = not (self._connection.spoke or self._late)  # at the port, and no more
        if looked and self._place.looks:
            return
        if failed:
            self._doors.failures.count(self._source, self._doors.clock.now(), failed)
            self._doors.meters.count(metrics.FAILED, by=failed)
        if failed and not looked:
            threshold.failed(self._place, failed)

    def met(self, limit: Limit) -> None:
        """Too much is asked for on it."""
        user = None if self._identity is None else self._identity.user.name
        self._doors.threshold.reached.note(Case(limit, self._source, user))

    def late(self) -> None:
        """Nobody has signed in on it in time."""
        self._late = True
        self.met(Limit.LOGIN_GRACE)

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

    def unproved(self, username: str, key_data: bytes) -> None:
        """Somebody has a key's public half, and not the other."""
        self._wrong_signatures += 1
        log.warning("a wrong signature for a known key from %s", self._source)

    def auth_completed(self) -> None:
        """Authentication is complete: from now on this is somebody."""
        if self._proved is None:
            self._connection.abort()
            return
        self._identity = replace(self._proved, signed_in_at=self._doors.clock.now())
        user = self._identity.user
        self._doors.meters.observe(metrics.HANDSHAKE, self._doors.loop.time() - self._begun)
        admission = self._doors.threshold.admission
        limit = admission.signed_in(self._place, user.name)
        if limit is not None:
            self.met(limit)
            self._close(TOO_MANY_OF_USER.format(most=admission.each_user))
            return
        self._doors.live.enter(self, self._identity, self._close)
        if self._doors.idle is not None:
            case = Case(Limit.IDLE, self._source, user.name)
            unused, used = Unused(self._close), self._connection.used
            self._doors.idling.begins(self, unused, used, self._doors.idle, case)
        log.info("%s signed in from %s", user.name, self._identity.source)

    async def _look_up(self, username: str, key_data: bytes) -> tuple[SSHKey, Identity] | None:
        known = self._doors.sign_in.known
        try:
            found = await asyncio.to_thread(known, username, key_data, self._source)
        except BastionError as error:
            log.error("no one can sign in: %s", error)
            return None
        self._in_vain += found is None
        return found

    def _close(self, sentence: str) -> None:
        self._connection.say_last(f"bastion: {sentence}")

    # What somebody may ask for: a jump, or a verb

    def connection_requested(  # type: ignore[override]
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Coroutine[object, object, ServerConnection | Turned]:
        """A jump: the channel becomes the transport of a connection that speaks as the target.

        asyncssh takes a connection for the channel's session, though its types do not say so.
        """
        if self._identity is None:
            raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: not signed in")
        self._connection.demand_channel()
        try:
            asked = names.host_name(dest_host)
        except BadInput:
            raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: no such host") from None
        jumps = (orig_host, orig_port) == JUMP_ORIGIN and self._connection.opens_with_zero
        prove_again = not jumps
        wish = Wish(self._identity, asked, dest_port, prove_again, self._connection)
        return self._doors.gate.jump(wish)

    def session_requested(self) -> Console:
        """`ssh bastion VERB…`."""
        if self._identity is None:
            raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: not signed in")
        return Console(self._doors.verbs, self._identity)

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
