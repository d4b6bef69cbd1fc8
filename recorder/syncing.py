"""Pens whose files are asked of the disk together, again and again while they grow.

What `write(2)` has returned from survives the process; what was synced survives a power cut. The
disk is waited for in a thread, on descriptors of its own, so a pen may be closed meanwhile.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from recorder.pen import Pen
from recorder.threads import to_the_end

log = logging.getLogger(__name__)

TOGETHER: Final = 256
"""Files that the disk is asked for at once: each takes a descriptor more for as long."""


@dataclass(slots=True)
class _Due:
    """A pen's file as it was when the disk was asked, and what the disk said."""

    pen: Pen
    size: int
    descriptor: int
    failure: OSError | None = None

    def sync(self) -> None:
        try:
            os.fdatasync(self.descriptor)
        except OSError as error:
            self.failure = error
        finally:
            os.close(self.descriptor)


class Syncing:
    """The pens that write now. `clock` gives seconds that never go back.

    One that the disk has refused is broken from then on, as one that could not be written.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pens: dict[Pen, float] = {}
        self._asking = asyncio.Lock()
        self._asked: float | None = None
        self._thread = ThreadPoolExecutor(1, "syncing")

    def add(self, *pens: Pen) -> None:
        """They begin to write."""
        now = self._clock()
        self._pens.update(dict.fromkeys(pens, now))

    def remove(self, *pens: Pen) -> None:
        """They are closed."""
        for pen in pens:
            self._pens.pop(pen, None)

    @property
    def behind(self) -> float:
        """Seconds since the disk had all that the one that waits longest has written.

        Or since it was asked, if it has not answered: those that it was asked for may be closed.
        """
        now = self._clock()
        waiting = [since for pen, since in self._pens.items() if pen.unsynced]
        if self._asked is not None:
            waiting.append(self._asked)
        return max((now - since for since in waiting), default=0.0)

    async def sync(self) -> None:
        """Ask the disk for all that was written until now, and wait for it."""
        async with self._asking:
            begun = self._clock()
            pens = self._unsynced(begun)
            for start in range(0, len(pens), TOGETHER):
                due = list(_due(pens[start : start + TOGETHER]))
                if due:
                    await self._wait(due, begun)
                for each in due:
                    self._heard(each, begun)

    async def _wait(self, due: list[_Due], begun: float) -> None:
        """In a thread of its own: nobody else's work is to look like a slow disk."""
        self._asked = begun
        try:
            await to_the_end(lambda: _sync(due), self._thread)
        finally:
            self._asked = None

    def _unsynced(self, begun: float) -> list[Pen]:
        for pen in self._pens:
            if not pen.unsynced:
                self._pens[pen] = begun
        return [pen for pen in self._pens if pen.unsynced]

    def _heard(self, due: _Due, begun: float) -> None:
        if due.failure is not None:
            due.pen.refused(due.failure)
        else:
            due.pen.has(due.size)
        if due.pen in self._pens:
            self._pens[due.pen] = begun


def _due(pens: Sequence[Pen]) -> Iterator[_Due]:
    """Those of them that are still open; where no descriptor is to be had, the others wait."""
    for number, pen in enumerate(pens):
        if not pen.unsynced:
            continue
        try:
            descriptor = pen.duplicated()
        except OSError as error:
            log.error("%d files wait for the disk: %s", len(pens) - number, error.strerror)
            return
        yield _Due(pen, pen.size, descriptor)


def _sync(due: list[_Due]) -> None:
    for each in due:
        each.sync()
