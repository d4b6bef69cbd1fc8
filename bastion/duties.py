"""What the service does beside serving: chores that run until it ends.

Each is a coroutine that never returns. What goes wrong in one is logged, and it goes on; a chore
that has to happen for the bastion to be safe is not here.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from bastion.chronicle import Chronicle
from bastion.clock import Clock
from bastion.errors import BastionError, Unavailable
from bastion.events import Details, Happened, What
from bastion.failures import Failures
from bastion.live import Live
from bastion.reached import Reached
from bastion.recovering import Recovering
from bastion.rulebook import Rulebook
from bastion.runners import BEAT
from bastion.signing.client import SignerClient
from bastion.store import Store
from bastion.watching import Watching
from recorder import Archive, Index, RecorderError
from recorder.compacting import Compacting
from recorder.space import Room, Space

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks at the file of the rules, and for a clock that was taken for right."""

CALL = 1.0
"""Seconds between two calls of the roll."""

DISK = 0.5
"""Seconds between two looks at the disk: it must not fill up in between."""

FORGET = 15.0
"""Seconds between two looks for watchers that are gone."""

COUNT = 15.0
"""Seconds between two counts of what waits in the database."""

ASK = 2.0
"""Seconds between two questions to the signer, so that its absence is known before somebody is
kept from working by it."""

ROOM = {
    Room.EVERYTHING: "there is room again",
    Room.WHAT_IS_LIVE: "no new session begins",
    Room.EMERGENCIES: "live sessions end, but for break-glass",
    Room.NOTHING: "no session goes on",
}
"""What it means."""

MINUTE = timedelta(minutes=1)


async def every(seconds: float, work: Callable[[], Awaitable[object]], what: str) -> None:
    """Do `work` again and again, `seconds` after it was done."""
    while True:
        try:
            await work()
        except (BastionError, RecorderError) as error:
            log.error("%s: %s", what, error)
        except Exception:
            log.exception("%s failed", what)
        await asyncio.sleep(seconds)


async def watch_rules(rulebook: Rulebook) -> None:
    """Read the rules when their file changes, and say at once when it is broken."""
    await every(LOOK, lambda: asyncio.to_thread(rulebook.current), "the rules")


async def reread_rules(rulebook: Rulebook) -> None:
    """Read the rules, changed or not, and say what came of it: somebody waits to hear it."""
    await asyncio.to_thread(rulebook.reload)
    if rulebook.problem is None:
        log.info("the rules were read anew")
    else:
        log.error("the rules stay as they were: %s", rulebook.problem)


async def keep_counting(count: Callable[[], None]) -> None:
    """Ask the database how much waits there, by `count`, which blocks."""
    await every(COUNT, lambda: asyncio.to_thread(count), "counting what waits")


async def watch_time(store: Store, clock: Clock) -> None:
    """While the clock is behind, look whether somebody has said that it is right.

    Nobody can sign in meanwhile, so nobody at the doors would bring that to light.
    """

    async def look() -> None:
        if clock.behind():
            clock.latest = await asyncio.to_thread(store.latest_time)

    await every(LOOK, look, "looking for the latest time")


async def forget_watchers(watching: Watching, clock: Clock) -> None:
    """Take out those who went without a word, so that the log has the end of each look."""

    async def forget() -> None:
        await asyncio.to_thread(watching.forget, clock.now())

    await every(FORGET, forget, "watchers that are gone")


async def keep_beating(store: Store, index: Index, live: Live, clock: Clock) -> None:
    """Say again and again that this process lives: other machines see nothing else of it.

    Where they took it for gone, what is live here is so for them too from now on; what they have
    recovered meanwhile ends.
    """

    missed = False

    async def beat() -> None:
        nonlocal missed
        if not await asyncio.to_thread(store.beat_runner, clock.now()):
            log.error("others took this process for gone: the database was away for too long")
            missed = True
        if missed:  # until the database has taken it
            live.lose(await asyncio.to_thread(index.find_again, live.numbers))
            missed = False

    await asyncio.sleep(BEAT)
    await every(BEAT, beat, "beating")


async def keep_calling(recovering: Recovering) -> None:
    """End what processes that are gone have left open."""
    await every(CALL, recovering.what_is_new, "calling the roll")


async def keep_syncing(archive: Archive, seconds: float) -> None:
    """Have what was recorded written to the disk for good."""
    await every(seconds, archive.sync, "syncing the recordings")


async def keep_marking(archive: Archive, seconds: float) -> None:
    """Keep how far live recordings have come, so that what is cut or changed meanwhile is found."""
    await every(seconds, archive.checkpoint, "keeping how far recordings have come")


async def watch_disk(
    space: Space, archive: Archive, stall: float, live: Live, chronicle: Chronicle
) -> None:
    """Look what the disk has room and breath for, let it count, and tell when that changes.

    One that is more than `stall` seconds behind, or does not say for so long how much room it has,
    takes nothing more.
    """
    looking = _Looking(space.look, time.monotonic)

    async def look() -> None:
        before, (room, waited) = live.room, await looking.look()
        behind = max(archive.behind, waited)
        live.room = Room.NOTHING if behind > stall else room
        if live.room is before:
            return
        room_now = live.room.name.lower()
        found: dict[str, Details] = {"free": space.free, "behind": round(behind), "room": room_now}
        log.warning("the disk of the recordings: %s (%s)", ROOM[live.room], found)
        told = Happened(What.DISK_CHANGED, "bastion", why=ROOM[live.room], details=found)
        chronicle.tell_soon(told)

    await every(DISK, look, "looking at the disk")


async def watch_signer(signer: SignerClient, chronicle: Chronicle) -> None:
    """Ask the signer whether it is there, and tell when that changes."""
    away = False

    async def ask() -> None:
        nonlocal away
        try:
            await asyncio.to_thread(signer.keys)
        except Unavailable as error:
            log.debug("%s", error)
        if away is (signer.silent > 0):
            return
        away = signer.silent > 0
        why = "it does not answer: nothing new is opened" if away else "it answers again"
        log.warning("the signer: %s", why)
        chronicle.tell_soon(Happened(What.SIGNER_CHANGED, "bastion", why=why))

    await every(ASK, ask, "asking the signer")


class _Looking:
    """Looks by `ask`, which may hang: in a thread of its own, and never twice at once."""

    def __init__(self, ask: Callable[[], Room], clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "disk")
        self._answer: asyncio.Future[Room] | None = None
        self._asked = 0.0
        self._room = Room.EVERYTHING

    async def look(self) -> tuple[Room, float]:
        """The room as of the last answer, and the seconds that the next one is waited for."""
        if self._answer is None:
            self._asked = self._clock()
            self._answer = asyncio.get_running_loop().run_in_executor(self._thread, self._ask)
        await asyncio.wait([self._answer], timeout=DISK)
        if not self._answer.done():
            return self._room, self._clock() - self._asked
        answer, self._answer = self._answer, None
        self._room = answer.result()
        return self._room, 0.0


async def keep_sealing_recordings(archive: Archive) -> None:
    """Seal recordings that were left unsealed: at once, and each minute again."""

    async def seal() -> None:
        try:
            problems = await archive.seal_pending()
        except RecorderError as error:
            problems = [str(error)]
        for problem in problems:
            log.error("%s", problem)

    await every(MINUTE.total_seconds(), seal, "sealing recordings")


async def keep_compacting(compacting: Compacting) -> None:
    """Compact recordings that are over, one after another, and look twice a minute for more."""

    async def compact() -> None:
        try:
            problems = await compacting.run()
        except RecorderError as error:
            problems = [str(error)]
        for problem in problems:
            log.error("%s", problem)

    await every(MINUTE.total_seconds() / 2, compact, "compacting recordings")


async def tell_failures(failures: Failures, chronicle: Chronicle, clock: Clock) -> None:
    """An event for each source and minute in which sign-ins failed."""

    async def tell() -> None:
        tell_failures_before(failures, chronicle, clock.now())

    await every(5.0, tell, "counting sign-ins that failed")


async def tell_reached(reached: Reached, chronicle: Chronicle, clock: Clock) -> None:
    """An event for each limit that was reached, by whom and in which minute."""

    async def tell() -> None:
        tell_reached_before(reached, chronicle, clock.now())

    await every(5.0, tell, "counting limits that were reached")


def tell_reached_before(reached: Reached, chronicle: Chronicle, now: datetime) -> None:
    """Tell of the minutes that are over at `now`."""
    for happened in reached.told(now):
        chronicle.tell_soon(happened)


def tell_failures_before(failures: Failures, chronicle: Chronicle, now: datetime) -> None:
    """Tell of the minutes that are over at `now`."""
    for failed in failures.take(now):
        chronicle.tell_soon(
            Happened(
                What.SIGNIN_FAILED,
                "nobody",
                failed.source,
                details={"times": failed.times, "minute": failed.minute.isoformat()},
            )
        )
