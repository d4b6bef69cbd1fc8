"""The pruner: lets recordings go by itself while the service runs, politely and a few at a time.

One recording after another, each in a thread, and a rest after each: sessions come first. What
could not go is left alone for a day: most likely somebody has to look at it.
"""

import asyncio
import logging
import time
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from bastion.actor import Actor
from bastion.clock import Clock
from bastion.duties import every
from bastion.errors import BastionError
from bastion.pruning import Due, Pruning
from bastion.store import Store
from recorder import RecorderError
from recorder.errors import NotHere

log = logging.getLogger(__name__)

HOUR: Final = 3600.0

MOST_GOING: Final = 1000
"""Recordings that are let go in an hour."""

LONGEST_REST: Final = 1.0
"""Seconds between two of them; else as long as the one before took."""

LEFT_ALONE: Final = timedelta(days=1)
MOST_LEFT: Final = 10_000
"""How many are remembered that could not go."""


async def keep_time(store: Store, clock: Clock) -> None:
    """Keep the time each hour, also when nothing happens: a gap says that nobody was there."""
    await every(HOUR, lambda: asyncio.to_thread(store.saw_time, clock.now()), "keeping the time")


class Pruner:
    """Lets recordings go in the name of the `service`."""

    def __init__(self, pruning: Pruning, service: Actor, clock: Clock) -> None:
        self._pruning = pruning
        self._service = service
        self._clock = clock
        self._heeded = False
        self._left: dict[int, datetime] = {}
        self._said = ""

    async def keep(self) -> None:
        """Tell the rules that count, and each hour let go of what they do not keep."""
        await every(HOUR, self.run, "letting recordings go")

    async def run(self) -> None:
        """One round: what was begun is finished, and at most a thousand recordings go."""
        try:
            if not self._heeded:  # once: who changes the settings meanwhile has the last word
                await asyncio.to_thread(self._pruning.heed, self._service)
                self._heeded = True
            with self._pruning.removal.turn():
                await self._round()
        except (BastionError, RecorderError) as error:
            self._say(str(error))

    async def _round(self) -> None:
        for problem in await asyncio.to_thread(self._pruning.removal.finish_pending):
            log.error("%s", problem)
        if not self._pruning.retention.finite:
            return
        await asyncio.to_thread(self._pruning.demand_known_rules)
        await asyncio.to_thread(self._pruning.demand_right_clock)
        self._said, gone = "", 0
        for due in await asyncio.to_thread(self._due):
            began = time.monotonic()
            gone += await self._let_go(due)
            await asyncio.sleep(min(time.monotonic() - began, LONGEST_REST))
        if gone:
            log.info("%d recordings were let go", gone)

    def _due(self) -> list[Due]:
        now = self._clock.now()
        self._left = {number: at for number, at in self._left.items() if now - at < LEFT_ALONE}
        due = (each for each in self._pruning.due() if not each.held)
        return list(islice((each for each in due if each.session.id not in self._left), MOST_GOING))

    async def _let_go(self, due: Due) -> bool:
        """Whether it went."""
        try:
            await asyncio.to_thread(self._pruning.let_go, due, self._service)
        except (BastionError, RecorderError) as error:
            if not isinstance(error, NotHere):
                log.error("%s stays, though its time is over: %s", due.session.name, error)
            if len(self._left) < MOST_LEFT:
                self._left[due.session.id] = self._clock.now()
            return False
        return True

    def _say(self, why: str) -> None:
        """Once for each reason, not each hour."""
        if why != self._said:
            log.warning("no recording is let go: %s", why)
        self._said = why
