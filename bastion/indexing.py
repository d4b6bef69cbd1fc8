"""Indexing what was recorded, beside what has to go on: when, and how much of the processor.

The recorder does it, in a thread. After each piece of work that thread rests for as long as it has
worked, and for much longer where the loop has much to do (decision 0075), so that
live sessions have the processor; on a disk that is short of room it does nothing.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from bastion.duties import every
from recorder import RecorderError, Session
from recorder.session import Compaction
from recorder.space import Room, Space

log = logging.getLogger(__name__)

SECOND: Final = 1.0
"""Between two looks at what there is to do."""

AGAIN: Final = 10.0
"""Seconds until it is tried again, where the index could not be written."""

SHORTEST: Final = 0.001
"""Seconds of work after which there is no rest yet."""

BUSY: Final = 0.5
"""Of the time: where the loop wants to work for more of it, it has much to do."""

LONGER: Final = 30.0
"""How often as long a rest is then."""


_SCHEDULED: Final = Path("/proc/self/schedstat")


class Indexer(Protocol):
    """What does the work (`recorder.indexing.Indexer`)."""

    def turn(self) -> bool:
        """Some of it; whether there is more to do at once."""


def in_plain(encrypt: bool) -> Callable[[Session], bool]:
    """Whether what a session showed lies there in plain, and goes on doing so.

    Where recordings are encrypted, of what is not sealed yet it is not said.
    """

    def shows(session: Session) -> bool:
        recording = session.recording
        encrypted = recording.compaction is Compaction.ENCRYPTED
        return not encrypt or (recording.sealed and not encrypted)

    return shows


class _OverError(Exception):
    """The service ends, and nobody waits for the work."""


def wanted() -> float:
    """Seconds for which this process's first thread, the loop's, has had or awaited a processor.

    Linux counts both (Documentation/scheduler/sched-stats); elsewhere it is what all threads had.
    """
    try:
        had, awaited, _ = _SCHEDULED.read_bytes().split()
    except (OSError, ValueError):
        return time.process_time()
    return (int(had) + int(awaited)) / 1e9


class Rests:
    """The rests between pieces of work; `wanted` says how much the loop has wanted to do."""

    def __init__(
        self, wanted: Callable[[], float] = wanted, over: threading.Event | None = None
    ) -> None:
        self._wanted = wanted
        self._over = over or threading.Event()
        self._worked = 0.0
        self._longer = 1.0

    def begin(self) -> None:
        """Work begins, in a thread that may have done anything before."""
        self._worked = time.thread_time()

    def rest(self) -> None:
        """Rest as long as was worked since the rest before, or longer. Raises when all is over.

        What others do is seen during a rest, when there are no others in their way: what was seen
        in one counts for the next.
        """
        worked = time.thread_time() - self._worked
        if worked < SHORTEST:
            return
        wanted, begun = self._wanted(), time.monotonic()
        if self._over.wait(worked * self._longer):
            raise _OverError
        busy = self._wanted() - wanted > BUSY * (time.monotonic() - begun)
        self._longer = LONGER if busy else 1.0
        self._worked = time.thread_time()

    def end(self) -> None:
        """The next rest is the last."""
        self._over.set()


class Indexing:
    """Keeps the text index up to date, as long as `space` has room for everything."""

    def __init__(self, indexer: Indexer, rests: Rests, space: Space) -> None:
        self._indexer = indexer
        self._rests = rests
        self._space = space
        self._held_up = False

    async def keep(self) -> None:
        """Until it is cancelled."""
        try:
            await every(SECOND, self._work, "indexing what was recorded")
        finally:
            self._rests.end()

    async def _work(self) -> None:
        try:
            while await asyncio.to_thread(self._turn):
                pass
        except RecorderError as error:
            log.error("%s", error)
            await asyncio.sleep(AGAIN)

    def _turn(self) -> bool:
        if not self._has_room():
            return False
        self._rests.begin()
        try:
            return self._indexer.turn()
        except _OverError:
            return False

    def _has_room(self) -> bool:
        room = self._space.look() is Room.EVERYTHING
        if self._held_up is room:
            self._held_up = not room
            said = "goes on" if room else "waits: the disk is short of room"
            log.warning("indexing what was recorded %s", said)
        return room
