"""Shipping what was recorded into the object store, while the service runs, behind all else.

In a thread of its own, that nobody waits for: what it was at is done again at the next start. A
store that is away is asked less and less often; sessions go on meanwhile, and their recordings stay
here until it is back.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from bastion import metrics
from bastion.actor import Actor
from bastion.errors import BastionError
from bastion.events import Happened, What
from bastion.metrics import Meters
from bastion.store.journal import Journal
from bastion.storing import Storing
from recorder import RecorderError
from recorder.adopting import Adopting
from recorder.errors import StoreAway
from recorder.objects import PIECE
from recorder.returned import Returned
from recorder.shipping import Shipping
from recorder.spool import Spool
from recorder.sweeping import Sweeping
from recorder.threads import behind_all
from recorder.trailing import Trailing

log = logging.getLogger(__name__)

ROUND: Final = 2.0
"""Seconds between two rounds of what grows: with what it takes to put it, well below five."""

AT_ONCE: Final = 0.1
"""Seconds where a round was not enough."""

SOONER: Final = 10.0
"""Seconds at most until a store that is away is given what grows."""

LOOK: Final = 10.0
"""Seconds between two looks for recordings that are over."""

HOUR: Final = 3600.0
"""Seconds between two looks for what need not be here any more."""

FIRST, LONGEST = 1.0, 60.0
"""Seconds until a store that is away is asked again: each time twice as long, up to that."""

GONE: Final = 10.0
"""Seconds that a store is away before it is told of."""


class _Stopped(Exception):
    """The service ends."""


class Attempts:
    """What is known of a store that is asked again and again. `clock` gives seconds that never go
    back; `told` hears when it is away for long, and when it is there again."""

    def __init__(self, clock: Callable[[], float], told: Callable[[str | None], None]) -> None:
        self._clock = clock
        self._told = told
        self._since: float | None = None
        self._rest = FIRST
        self._said = False

    @property
    def away(self) -> float:
        """Seconds that it has been away, 0 where it is not."""
        return 0.0 if self._since is None else self._clock() - self._since

    def well(self) -> None:
        """It has answered."""
        said, self._said = self._said, False
        self._since, self._rest = None, FIRST
        if said:
            log.warning("the object store is there again")
            self._told(None)

    def failed(self, why: str) -> float:
        """It has not; the seconds until it is asked again."""
        rest, self._rest = self._rest, min(2 * self._rest, LONGEST)
        if self._since is None:
            self._since = self._clock()
        if not self._said and self.away >= GONE:
            self._said = True
            log.error("the object store: %s", why)
            self._told(why)
        return rest


@dataclass(frozen=True, slots=True)
class Errands:
    """What is to be done for a home and its store; `trailing` is None where nothing that grows
    may be there."""

    shipping: Shipping
    spool: Spool
    adopting: Adopting
    returned: Returned
    sweeping: Sweeping
    trailing: Trailing | None


class Shipper:
    """Ships the recordings of one home in the name of the service."""

    def __init__(
        self,
        errands: Errands,
        storing: Storing,
        journal: Journal,
        *,
        now: Callable[[], datetime],
        actor: Actor,
    ) -> None:
        self._errands = errands
        self._looked = -HOUR
        self._storing = storing
        self._journal = journal
        self._now = now
        self._actor = actor
        self._stopped = False
        self.attempts = Attempts(time.monotonic, self._tell)
        self._waiting = (0, 0, 0.0)

    async def keep(self) -> None:
        """Ship what is due, again and again; a store that is away at the start is said then."""
        await self._look()
        await self._keep(lambda: self._once(self._work, "shipping", lambda: LOOK, LONGEST))

    async def keep_trailing(self) -> None:
        """Have what grows follow into the store, again and again."""
        if (trailing := self._errands.trailing) is not None:

            def rest() -> float:
                return AT_ONCE if trailing.behind().size > PIECE else ROUND

            work = partial(trailing.run, self._pause)
            await self._keep(lambda: self._once(work, "trailing", rest, SOONER))

    async def _look(self) -> None:
        shelf = self._storing.shelf
        if shelf is None:
            return
        try:
            await behind_all(shelf.demand_there, "looking for the store")
        except StoreAway as error:
            log.warning("recordings stay here until the object store answers: %s", error)
            await asyncio.to_thread(self.attempts.failed, str(error))

    async def _keep(self, once: Callable[[], Awaitable[float]]) -> None:
        try:
            while True:
                rest = await once()
                await asyncio.sleep(rest)
        finally:
            self._stopped = True

    def count(self) -> None:
        """Ask the database how much is not in the store. It blocks, in a thread."""
        count, size, oldest = self._storing.shipments.waiting()
        lag = 0.0 if oldest is None else (self._now() - oldest).total_seconds()
        self._waiting = count, size, max(0.0, lag)

    def measure(self, meters: Meters) -> None:
        """What was counted last, and how long the store has been away."""
        count, size, lag = self._waiting
        meters.put(metrics.UNSTORED, count)
        meters.put(metrics.UNSTORED_BYTES, size)
        meters.put(metrics.UNSTORED_SECONDS, lag)
        meters.put(metrics.STORE_AWAY, self.attempts.away)
        if self._errands.trailing is not None:
            behind = self._errands.trailing.behind()
            meters.put(metrics.STORE_BEHIND, behind.seconds)
            meters.put(metrics.STORE_BEHIND_BYTES, behind.size)

    async def _once(
        self, work: Callable[[], list[str]], what: str, rest: Callable[[], float], most: float
    ) -> float:
        """Do it once; the seconds until it is done again, at most so many if the store is away."""
        try:
            problems = await behind_all(work, what)
        except StoreAway as error:
            return min(await asyncio.to_thread(self.attempts.failed, str(error)), most)
        except (RecorderError, BastionError) as error:
            log.error("%s: %s", what, error)
            return max(rest(), FIRST)
        except Exception:
            log.exception("%s failed", what)
            return max(rest(), FIRST)
        for problem in problems:
            log.error("%s", problem)
        await asyncio.to_thread(self.attempts.well)
        return rest()

    def _work(self) -> list[str]:
        problems: list[str] = []
        hour = time.monotonic() - self._looked >= HOUR
        if hour:
            problems += self._errands.returned.run()
        for said in self._errands.adopting.run(self._pause):
            log.warning("%s", said)
        problems += self._errands.shipping.run(self._pause)
        if hour:
            problems += self._errands.spool.run(self._pause)
            self._errands.sweeping.run(self._pause)
            self._looked = time.monotonic()
        return problems

    def _pause(self) -> None:
        if self._stopped:
            raise _Stopped

    def _tell(self, why: str | None) -> None:
        details = {"away": why is not None, "waiting": self._waiting[0]}
        told = Happened(
            What.STORE_CHANGED,
            self._actor.name,
            why=why or "it is there again",
            details=details,
        )
        try:
            self._journal.tell(told, self._now())
        except BastionError as error:
            log.error("%s", error)
