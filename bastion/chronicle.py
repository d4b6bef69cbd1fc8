"""The chronicle: events of the doors and of sessions, written in few transactions.

What is told while one transaction is under way goes into the next, all of it together. Whoever
awaits `tell` knows that it is on the disk; what was told by the way is kept and tried again while
the database is away. What has to be let go is said in the service's log, one by one, and in the
log of events how many they were.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from bastion.errors import BastionError, Unavailable
from bastion.events import Details, Happened, What

log = logging.getLogger(__name__)

MOST = 10_000
"""Events that wait; when there are more, the oldest are let go."""

TOGETHER = 500
"""Events of one transaction."""

AGAIN = 0.5
"""Seconds until the database is asked again when it was away."""

TellAll = Callable[[Sequence[tuple[Happened, datetime]]], object]


@dataclass(frozen=True, slots=True)
class _Told:
    happened: Happened
    at: datetime
    kept: asyncio.Future[None] | None = None
    tried: bool = False

    def answer(self, error: BaseException | None) -> None:
        """Tell whoever waits for it."""
        if self.kept is None or self.kept.done():
            return
        if error is None:
            self.kept.set_result(None)
        else:
            self.kept.set_exception(error)


class Chronicle:
    """Tells events by `tell_all`, which blocks. `now` gives the time of each.

    After a failure nobody knows what the database has kept of what it was given: that is told by
    `tell_missing`, which keeps only what is not there yet. What nobody waits for is written `soon`
    seconds after it was told, with what has come meanwhile.

    `keep` has to run as long as anybody tells; `close` writes what is left. `lost` is how many
    events were let go since the start. For one loop.
    """

    def __init__(
        self,
        tell_all: TellAll,
        now: Callable[[], datetime],
        tell_missing: TellAll | None = None,
        soon: float = 0.0,
    ) -> None:
        self._tell_all = tell_all
        self._tell_missing = tell_missing or tell_all
        self._now = now
        self._waiting: deque[_Told] = deque()
        self._soon = soon
        self._something = asyncio.Event()
        self._hurry = asyncio.Event()
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "chronicle")
        self._lost = 0
        self._first_lost: datetime | None = None
        self._closed = False
        self._is_away = False
        self.lost = 0

    @property
    def waiting(self) -> int:
        """How many events wait to be written."""
        return len(self._waiting)

    async def tell(self, happened: Happened) -> None:
        """Keep an event; it is on the disk when this returns. Raises Unavailable."""
        if self._closed:
            raise Unavailable("The bastion is going down, and keeps no more events.")
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(_Told(happened, self._now(), kept))
        self._hurry.set()
        await kept

    def tell_soon(self, happened: Happened) -> None:
        """Keep an event within a moment, or as soon as the database answers again."""
        told = _Told(happened, self._now())
        if self._closed:
            log.error("an event came too late and was lost: %s", happened)
            self.lost += 1
        else:
            self._put(told)

    async def keep(self) -> None:
        """Write what is told, until cancelled."""
        while True:
            await self._something.wait()
            await self._linger()
            if not await self._write():
                await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        """Write what is left; what can't be written is said in the log. Nothing comes after."""
        self._closed = True
        async with self._turn:
            pass  # what `keep` was writing when it was called off is settled now
        while self._waiting and await self._write():
            pass
        while self._waiting:
            self._lose(self._waiting.popleft(), Unavailable("The database does not answer."))
        self._thread.shutdown(wait=False)

    async def _linger(self) -> None:
        if self._soon and not self._hurry.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._soon):
                    await self._hurry.wait()

    def _put(self, told: _Told) -> None:
        self._waiting.append(told)
        if len(self._waiting) >= TOGETHER:
            self._hurry.set()
        if len(self._waiting) > MOST:
            slow = Unavailable("The database does not keep up with the log of events.")
            self._lose(self._waiting.popleft(), slow)
        self._something.set()

    def _lose(self, told: _Told, error: BaseException) -> None:
        """Let an event go. Whoever waits for it is told so, and has to say it."""
        told.answer(error)
        if told.kept is None:
            log.error("an event was lost (%s): %s", error, told.happened)
            self._lost += 1
            self.lost += 1
            self._first_lost = self._first_lost or told.at

    async def _write(self) -> bool:
        """Write some. False where the database is away."""
        async with self._turn:
            batch = self._batch()
            loop = asyncio.get_running_loop()
            tell = self._tell_missing if any(told.tried for told in batch) else self._tell_all
            writing = loop.run_in_executor(self._thread, _written, tell, batch)
            try:
                outcome = await asyncio.shield(writing)
            except asyncio.CancelledError:
                self._settle(batch, await writing)  # what is being written can't be called back
                raise
            return self._settle(batch, outcome)

    def _batch(self) -> list[_Told]:
        batch = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
        if not self._waiting:
            self._something.clear()
            self._hurry.clear()
        if self._lost and self._first_lost is not None:
            details: dict[str, Details] = {
                "count": self._lost,
                "first": self._first_lost.isoformat(),
            }
            gap = Happened(What.EVENTS_LOST, "bastion", details=details)
            batch.insert(0, _Told(gap, self._now()))
            self._lost, self._first_lost = 0, None
        return batch

    def _settle(self, batch: list[_Told], outcome: "_Outcome") -> bool:
        """Answer who waits; put back, in their order, those that are to be tried again."""
        for told, error in zip(batch, outcome.errors, strict=False):
            if error is None:
                told.answer(None)
            else:
                self._lose(told, error)
        if outcome.away is None:
            self._is_away = False
            return True
        if not self._is_away:  # it is tried twice a second
            log.error("events can't be written: %s", outcome.away)
        self._is_away = True
        left = batch[len(outcome.errors) :]
        again = (replace(told, tried=True) for told in reversed(left) if told.kept is None)
        self._waiting.extendleft(again)
        if self._waiting:
            self._something.set()
        for told in left:
            told.answer(outcome.away)
        return False


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of the first events of a batch; of the others nothing, if the database is away.

    An error is one of that event alone: it will never be written.
    """

    errors: list[BaseException | None]
    away: BastionError | None = None


def _written(tell_all: TellAll, batch: Sequence[_Told]) -> _Outcome:
    """All in one transaction; or, where something is wrong with one of them, one by one."""
    try:
        tell_all([(told.happened, told.at) for told in batch])
    except BastionError as error:
        return _Outcome([], error)
    except Exception:
        log.exception("an event can't be written; they are tried one by one")
        return _one_by_one(tell_all, batch)
    return _Outcome([None] * len(batch))


def _one_by_one(tell_all: TellAll, batch: Sequence[_Told]) -> _Outcome:
    errors: list[BaseException | None] = []
    for told in batch:
        try:
            tell_all([(told.happened, told.at)])
        except BastionError as error:
            return _Outcome(errors, error)
        except Exception as error:  # noqa: BLE001 (said by who lets it go)
            errors.append(error)
        else:
            errors.append(None)
    return _Outcome(errors)
