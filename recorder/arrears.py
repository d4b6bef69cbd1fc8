"""Arrears: what the database did not take because it was away is done as soon as it answers again.

One after another, in the order in which it came: while something waits, nothing overtakes it. All
of it is in memory. Where the process ends first, the next start finds in the files what was left
to do (`recovery`), so whatever is put off here must be such that it can be done twice.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from recorder.errors import IndexUnavailable, NotTaken
from recorder.threads import to_the_end

log = logging.getLogger(__name__)

T = TypeVar("T")

AGAIN: Final = 0.5
"""Seconds until the database is asked again."""

MOST: Final = 10_000
"""What may wait: a few for each session and connection that was open when the database went."""


class GivenUp(IndexUnavailable):
    """The database is away, and this process waits for it no longer."""


@dataclass(frozen=True, slots=True)
class _Owed:
    """What is to be done, which blocks, and gives what hands its result on; or why it is not."""

    work: Callable[[], Callable[[], None]]
    fail: Callable[[BaseException], None]


class Arrears:
    """What waits for the database.

    That it does not answer says IndexUnavailable, or one of `also`. `keep` has to run for as long
    as anything may wait; `close` gives up on what does. For one loop.
    """

    def __init__(self, *also: type[Exception]) -> None:
        self._away: tuple[type[Exception], ...] = (IndexUnavailable, *also)
        self._waiting: deque[_Owed] = deque()
        self._something = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "arrears")
        self._closed = False
        self._is_away = False

    @property
    def waiting(self) -> int:
        """How much waits."""
        return len(self._waiting)

    async def do(self, work: Callable[[], T], threads: Executor | None = None) -> T:
        """What `work` gives, which blocks: now, in one of `threads`, or when the database is back.

        It is done although whoever waits here is cancelled. Raises what it raises; that the
        database is away only where that can't be waited for any more.
        """
        if not self._waiting:
            try:
                return await to_the_end(work, threads)
            except self._away as error:
                if isinstance(error, NotTaken):
                    raise
        return await asyncio.shield(self.later(work))

    def later(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do this when all that waits is done; what it gives. Nobody has to wait for it."""
        given: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        given.add_done_callback(_heard)

        def done() -> Callable[[], None]:
            result = work()
            return lambda: None if given.done() else given.set_result(result)

        def fail(error: BaseException) -> None:
            if not given.done():
                given.set_exception(error)

        if self._closed or len(self._waiting) >= MOST:
            fail(GivenUp("the database is away, and this is not waited for"))
        else:
            self._waiting.append(_Owed(done, fail))
            self._something.set()
        return given

    async def keep(self) -> None:
        """Do what waits, whenever the database answers, until cancelled."""
        while True:
            await self._something.wait()
            if not await self._next():
                await asyncio.sleep(AGAIN)

    def close(self) -> None:
        """Give up: what waits is for the next start, and whoever waits is told so."""
        self._closed = True
        self._something.clear()
        if self._waiting:
            log.error("the database is away: %d things are left to the next start", self.waiting)
        while self._waiting:
            self._waiting.popleft().fail(
                GivenUp("the database is away: this is for the next start")
            )
        self._thread.shutdown(wait=False)

    async def _next(self) -> bool:
        """Do the first of what waits. False where the database is away."""
        owed = self._waiting[0]
        try:
            hand_on = await asyncio.get_running_loop().run_in_executor(self._thread, owed.work)
        except self._away as error:
            if not isinstance(error, NotTaken):
                self._say_away(error)
                return False
            owed.fail(error)
        except Exception as error:  # noqa: BLE001 (whoever put it off has it, or it is logged)
            owed.fail(error)
        else:
            hand_on()
        if self._closed:  # meanwhile: nothing waits any more
            return True
        self._waiting.popleft()
        if not self._waiting:
            self._something.clear()
            self._is_away = False
            log.warning("the database has all that waited for it")
        return True

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            log.error("%d things wait for the database: %s", self.waiting, error)
        self._is_away = True


def _heard(given: "asyncio.Future[T]") -> None:
    """What went wrong is said, also where nobody waited for it; what was given up was said."""
    error = None if given.cancelled() else given.exception()
    if error is not None and not isinstance(error, GivenUp):
        log.error("what was put off was not done: %s", error)
