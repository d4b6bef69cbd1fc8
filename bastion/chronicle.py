"""The chronicle: events of the doors and of sessions, written in few transactions.

What is told while one transaction is under way goes into the next, all of it together. Whoever
awaits `tell` knows that it is on the disk; what was told by the way is kept and tried again while
the database is away, and said in the service's log if it has to be let go.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bastion.errors import BastionError, Unavailable
from bastion.events import Happened

log = logging.getLogger(__name__)

MOST = 10_000
"""Events that wait; more than that, and the oldest nobody waits for are let go."""

TOGETHER = 500
"""Events of one transaction."""

AGAIN = 0.5
"""Seconds until the database is asked again when it was away."""


@dataclass(frozen=True, slots=True)
class _Told:
    happened: Happened
    at: datetime
    kept: asyncio.Future[None] | None = None


class Chronicle:
    """Tells events by `tell_all`, which blocks. `now` gives the time of each.

    `keep` has to run as long as anybody tells; `close` writes what is left.
    """

    def __init__(
        self,
        tell_all: Callable[[Sequence[tuple[Happened, datetime]]], object],
        now: Callable[[], datetime],
    ) -> None:
        self._tell_all = tell_all
        self._now = now
        self._waiting: deque[_Told] = deque()
        self._something = asyncio.Event()

    async def tell(self, happened: Happened) -> None:
        """Keep an event; it is on the disk when this returns. Raises Unavailable."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Told(happened, self._now(), kept))
        await kept

    def tell_soon(self, happened: Happened) -> None:
        """Keep an event within a moment, or as soon as the database answers again."""
        self._put(_Told(happened, self._now()))

    async def keep(self) -> None:
        """Write what is told, until cancelled."""
        while True:
            await self._something.wait()
            if not await self._write():
                await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        """Write what is left; what can't be written is said in the log."""
        while self._waiting:
            if not await self._write():
                break
        for told in self._waiting:
            log.error("an event was lost: %s", told.happened)
        self._waiting.clear()

    def _put(self, told: _Told) -> None:
        self._waiting.append(told)
        if len(self._waiting) > MOST:
            lost = self._waiting.popleft()
            log.error("too many events wait; one was lost: %s", lost.happened)
            _answer(lost, Unavailable("The database does not keep up with the log of events."))
        self._something.set()

    async def _write(self) -> bool:
        """Write some. False where the database is away; who waits is told so."""
        batch = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
        if not self._waiting:
            self._something.clear()
        try:
            await asyncio.to_thread(self._tell_all, [(told.happened, told.at) for told in batch])
        except BastionError as error:
            log.error("events can't be written: %s", error)
            self._waiting.extendleft(told for told in reversed(batch) if told.kept is None)
            if self._waiting:
                self._something.set()
            for told in batch:
                _answer(told, error)
            return False
        for told in batch:
            _answer(told, None)
        return True


def _answer(told: _Told, error: BastionError | None) -> None:
    if told.kept is None or told.kept.done():
        return
    if error is None:
        told.kept.set_result(None)
    else:
        told.kept.set_exception(error)
