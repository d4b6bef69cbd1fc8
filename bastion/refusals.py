"""Networks whose sign-ins fail again and again are not let in for a while, longer each time.

Pure counting, in memory. What counts as a failure is the outer door's business (`bastion.outer`).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

FIRST: Final = 10.0
"""Seconds of the first refusal; each next one is twice as long, up to a limit."""

MOST_NETWORKS: Final = 10_000
"""Networks that are remembered; then the one that failed longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Failure:
    """So many sign-ins from a network have failed, at a time of the clock that never goes back."""

    network: str
    time: float
    times: int


class Witnesses(Protocol):
    """The other processes that strangers come to: what fails at one counts at all."""

    def tell(self, failure: Failure) -> None:
        """It failed here."""

    def heard(self) -> Sequence[Failure]:
        """What failed at the others since this was asked, the oldest first."""


@dataclass(slots=True)
class _Network:
    """How often it has failed of late, and how often in a row it was refused, until when."""

    last: float
    failures: float = 0.0
    refusals: int = 0
    until: float = 0.0


class Refusals:
    """Refuses a network after `failures`, for `longest` seconds at most.

    In `longest` seconds as many failures are forgiven. Who is not refused for twice as long begins
    anew. Time is in seconds that never go back.
    """

    def __init__(
        self,
        failures: int,
        longest: float,
        networks: int = MOST_NETWORKS,
        witnesses: Witnesses | None = None,
    ):
        self._witnesses = witnesses
        self._most = failures
        self._longest = longest
        self._networks = networks
        self._known: OrderedDict[str, _Network] = OrderedDict()

    def failed(self, network: str, now: float, times: int = 1) -> None:
        """Sign-ins from there have failed."""
        failure = Failure(network, now, times)
        self._count(failure)
        if self._witnesses is not None:
            self._witnesses.tell(failure)

    def wait(self, network: str, now: float) -> float:
        """Seconds until somebody from there is let in again; 0 for now."""
        for failure in () if self._witnesses is None else self._witnesses.heard():
            self._count(failure)
        known = self._known.get(network)
        return 0.0 if known is None else max(0.0, known.until - now)

    def _count(self, failure: Failure) -> None:
        network, now = failure.network, failure.time
        known = self._known.setdefault(network, _Network(now))
        self._known.move_to_end(network)
        forgiven = max(0.0, now - known.last) * self._most / self._longest
        known.failures = max(0.0, known.failures - forgiven) + failure.times
        known.last = max(now, known.last)
        if known.failures >= self._most:
            self._refuse(known, now)
        if len(self._known) > self._networks:
            self._known.popitem(last=False)

    def _refuse(self, known: _Network, now: float) -> None:
        if now - known.until > 2 * self._longest:
            known.refusals = 0
        known.until = now + min(self._longest, FIRST * 2 ** min(known.refusals, 32))
        known.refusals += 1
        known.failures = 0.0
