"""Door 1, at direct-tcpip: may you reach that host; and what answers in its place.

Every jump is written down with the door's answer before anything is opened. A refusal is spoken
inside, by the hop, where the person hears it; that of a host she was never told of, before any key
is shown for it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import asyncssh
from asyncssh.constants import OPEN_CONNECT_FAILED

from bastion import metrics
from bastion.arrival import Arrival, Parts
from bastion.authority import Authority, HostKeys
from bastion.denials import Denial, Reason
from bastion.doorbook import NOT_KEPT
from bastion.errors import BastionError
from bastion.hop import PROHIBITED, Hop, counted
from bastion.inventory import Role
from bastion.jumps import Jump
from bastion.policy import Identity, Knock, Reach, may_reach
from bastion.rights import may_ask_for
from bastion.rules import Rules
from bastion.turned import Turned
from bastion.wire.connections import ServerConnection

log = logging.getLogger(__name__)

_NEVER_TOLD = frozenset({Reason.UNKNOWN_HOST, Reason.NO_GRANT})

_NOT_NOW = "nothing can be opened now, and it has been logged; ask an operator."


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody asks for `asked:port`. `prove_again` is as in `Arrival`.

    `outer` is the connection that it was asked on.
    """

    identity: Identity
    asked: str
    port: int
    prove_again: bool
    outer: ServerConnection


class Gate:
    """Keeps door 1. One for all connections: nothing is remembered. `rules` are those in force."""

    def __init__(
        self,
        parts: Parts,
        authority: Authority,
        options: asyncssh.SSHServerConnectionOptions,
        loop: asyncio.AbstractEventLoop,
        rules: Callable[[], Rules],
    ):
        self._parts = parts
        self._rules = rules
        self._authority = authority
        self._options = options
        self._loop = loop

    async def jump(self, wish: Wish) -> ServerConnection | Turned:
        """The connection that speaks as the target, whatever the answer; or one that says no.

        Raises ChannelOpenError where the refusal would not be heard inside.
        """
        port, begun = wish.port, self._loop.time()
        try:
            answer, number, never_told = await asyncio.to_thread(self._answered, wish)
            self._parts.meters.observe(metrics.DOOR, self._loop.time() - begun)
            if _silent(answer, port):
                self._count(answer)
                self._parts.doorbook.left(number)
                raise asyncssh.ChannelOpenError(PROHIBITED, f"bastion: port {port} is not granted")
        except BastionError as error:
            log.error("no one can jump: %s", error)
            number, answer = NOT_KEPT, Denial(Reason.UNAVAILABLE, _NOT_NOW)
            never_told = False
        self._count(answer)
        who = wish.identity.user.name
        log.info("C-%s %s to %s:%s: %s", number, who, wish.asked, port, _said(answer))
        if never_told and isinstance(answer, Denial):
            self._parts.doorbook.left(number)
            return Turned(answer.sentence)

        def again() -> Reach | Denial:
            return self._knock(wish)[1]

        identity, asked, prove_again = wish.identity, wish.asked, wish.prove_again
        arrival = Arrival(number, identity, asked, answer, prove_again, again)
        keys = await self._shown(arrival)
        if wish.outer.is_closed():  # meanwhile, so nothing inside will tell of an end
            self._parts.doorbook.left(number)
        return self._inside(arrival, keys)

    async def _shown(self, arrival: Arrival) -> HostKeys:
        """The host key for the name that was asked for. Raises ChannelOpenError."""
        now = self._parts.clock.now()
        try:
            already = self._authority.shown_already(arrival.asked, now)
            if already is not None:
                return already
            return await asyncio.to_thread(self._authority.host_keys_for, arrival.asked, now)
        except BastionError as error:
            log.error("%s can't be answered: %s", arrival, error)
            self._parts.doorbook.left(arrival.connection)
            # Without a certificate nothing that is said inside would be believed.
            raise asyncssh.ChannelOpenError(OPEN_CONNECT_FAILED, f"bastion: {error}") from None

    def _count(self, answer: Reach | Denial) -> None:
        self._parts.meters.count(metrics.ANSWERS, "1", counted(answer))

    def _answered(self, wish: Wish) -> tuple[Reach | Denial, int, bool]:
        """The answer, the number of the jump with which it has been written down, and whether she
        was never told of that host. Blocks: one turn of a thread for all of it."""
        knock, answer = self._knock(wish)
        number = self._write_down(knock, answer, wish.outer)
        return answer, number, self._never_told(knock, answer)

    def _knock(self, wish: Wish) -> tuple[Knock, Reach | Denial]:
        identity, clock = wish.identity, self._parts.clock
        now = clock.now()
        key = identity.key.fingerprint
        facts = self._parts.store.door_facts(identity.user.name, key, wish.asked, now)
        clock.latest = facts.latest_time
        if facts.user is None:
            return Knock(identity, wish.asked, None, wish.port, (), ()), _closed()
        fresh = replace(identity, user=facts.user)
        knock = Knock(fresh, wish.asked, facts.host, wish.port, facts.grants, facts.certificates)
        if clock.behind():
            sentence = (
                "the bastion's clock is wrong, so nothing is opened; an operator has to look."
            )
            return knock, Denial(Reason.CLOCK, sentence)
        return knock, may_reach(knock, now)

    def _never_told(self, knock: Knock, answer: Reach | Denial) -> bool:
        """Whether her client can't know that host by anything that the bastion gave her.

        What `trust` gives are the names that she was granted, or may ask for.
        """
        if not (isinstance(answer, Denial) and answer.reason in _NEVER_TOLD):
            return False
        user, host = knock.identity.user, knock.host
        if host is None or Role.CONTRACTOR not in user.roles:
            return True
        try:
            return not may_ask_for(self._rules(), user, host)
        except BastionError:
            return True

    def _write_down(self, knock: Knock, answer: Reach | Denial, outer: ServerConnection) -> int:
        now = self._parts.clock.now()
        refused = answer.reason if isinstance(answer, Denial) else None
        return self._parts.store.open_connection(
            Jump(
                id=0,
                user=knock.identity.user.name,
                fingerprint=knock.identity.key.fingerprint,
                certificate=None if refused else _serial(knock, now),
                source=knock.identity.source,
                host=knock.asked,
                login=None,
                client_version=str(outer.get_extra_info("client_version", ""))[:255],
                started_at=now,
            ),
            refused,
        )

    def _inside(self, arrival: Arrival, keys: HostKeys) -> ServerConnection:
        parts = self._parts

        def gone() -> None:
            parts.doorbook.left(arrival.connection)

        return ServerConnection(
            self._loop,
            self._options,
            parts.turn,
            lambda: Hop(arrival, parts, gone),
            keys,
            bounds=parts.bounds,
        )


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
