"""The doorstep: what a TCP connection passes before anybody speaks SSH to it.

Where it comes from: from a balancer that the settings list, a header of the PROXY protocol has to
come first and says so; from anybody else none is read. Then whether there is a place for it. One
for which there is none is told so in the fewest bytes, and nothing else is spent on it.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, cast

from bastion.addresses import Sharing, plain_address
from bastion.admission import Admission
from bastion.durations import format_duration
from bastion.errors import BadInput
from bastion.limits import TURNED_AWAY, Limit
from bastion.proxied import LONGEST, read_header
from bastion.reached import Case, Reached
from bastion.refusals import Refusals
from bastion.wire.connections import ServerConnection, last_word

LINGER: Final = 1.0
"""Seconds in which somebody who was turned away can read why."""

MOST_LINGERING: Final = 256
"""Connections that linger; beyond them, nobody hears why."""

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(eq=False, slots=True)
class Place:
    """One connection's place, of somebody at the address `source`, within `network`.

    `looks` is set for a balancer that speaks for itself: to see whether we are there.
    """

    source: str
    network: str
    looks: bool = False


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe about where a connection comes from: `balancers`, which have `wait` seconds
    to say so; and who is never refused for failures."""

    balancers: Networks
    wait: float
    never_refused: Networks
    sharing: Sharing


@dataclass(slots=True)
class Threshold:
    """What all that come pass. `chance` gives numbers from 0 up to 1."""

    trust: Trust
    admission: Admission
    refusals: Refusals
    reached: Reached
    time: Callable[[], float]
    chance: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)
    lingering: int = 0

    def place(self, source: str, *, looks: bool = False) -> Place:
        """The place that a connection from there would have."""
        return Place(source, self.trust.sharing.network(source), looks)

    def balances(self, peer: str) -> bool:
        """Whether that is one of the balancers."""
        return _within(peer, self.trust.balancers)

    def turned_away(self, place: Place) -> str | None:
        """Let it in, or say why not."""
        wait = self.refusals.wait(place.network, self.time())
        limit: Limit | None = Limit.FAILURES_PER_SOURCE
        if not wait:
            limit = self.admission.arrive(place, place.network, self.chance())
        if limit is None:
            return None
        self.reached.note(Case(limit, place.source))
        waited = timedelta(seconds=math.ceil(wait))
        return TURNED_AWAY[limit].format(wait=format_duration(waited))

    def failed(self, place: Place, times: int) -> None:
        """Sign-ins on it have failed."""
        if not _within(place.source, self.trust.never_refused):
            self.refusals.failed(place.network, self.time(), times)


class Doorstep(asyncio.Protocol):
    """One connection, until it is known whose it is; then `answer` gives what goes on with it."""

    _transport: asyncio.Transport
    _peer: str

    def __init__(self, threshold: Threshold, answer: Callable[[Place], ServerConnection]):
        self._threshold = threshold
        self._answer = answer
        self._header: bytearray | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lingers = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self._peer = plain_address(str(name[0])) if name else "unknown"
        if self._threshold.balances(self._peer):
            self._header = bytearray()
            self._later(self._threshold.trust.wait, self._unsaid)
        else:
            self._let_in(self._peer)

    def data_received(self, data: bytes) -> None:
        """A part of the header; what comes from somebody who was turned away is dropped."""
        if self._header is None:
            return
        self._header += data[: LONGEST + 1]
        try:
            header = read_header(bytes(self._header))
        except BadInput as error:
            self._unsaid(error)
            return
        if header is not None:
            rest = bytes(self._header[header.size :]) + data[LONGEST + 1 :]
            source = header.source
            self._let_in(source or self._peer, rest, looks=source is None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone before it was anything."""
        self._stop_waiting()

    def _let_in(self, source: str, rest: bytes = b"", *, looks: bool = False) -> None:
        self._stop_waiting()
        self._header = None
        place = self._threshold.place(source, looks=looks)
        sentence = self._threshold.turned_away(place)
        if sentence is not None:
            self._turn_away(sentence)
            return
        connection = self._answer(place)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        if rest:
            connection.data_received(rest)

    def _turn_away(self, sentence: str) -> None:
        self._transport.write(last_word(f"bastion: {sentence}"))
        if self._threshold.lingering >= MOST_LINGERING:
            self._transport.close()
            return
        self._threshold.lingering += 1
        self._lingers = True
        self._later(LINGER, self._transport.abort)

    def _unsaid(self, error: BadInput | None = None) -> None:
        """A balancer did not say who is behind it: nobody is to be taken for it."""
        self._header = None
        self._threshold.reached.note(Case(Limit.PROXY, self._peer))
        self._transport.abort()

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, act)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lingers:
            self._lingers = False
            self._threshold.lingering -= 1


def _within(address: str, networks: Networks) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in networks)
