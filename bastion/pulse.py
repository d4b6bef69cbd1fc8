"""The pulse: what a process that serves says of itself, about once a second.

Who has something to measure hands in how (`measured_by`), who knows when no session can begin, how
to ask (`wrong_by`); both are asked on the loop, and must not block.
"""

import asyncio
import errno
import logging
import os
import resource
import signal
import socket
import threading
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from bastion import metrics
from bastion.bulletin import Said, Wrong
from bastion.metrics import Meters
from recorder import Recording

log = logging.getLogger(__name__)

TICK: Final = 0.25
"""Seconds between two looks at how late the loop is."""

MANY: Final = 500
SELDOM: Final = 15.0
"""Tasks from which on they are counted only so often (seconds)."""

STATM: Final = Path("/proc/self/statm")

DESCRIPTORS: Final = Path("/proc/self/fd")
"""Its size is how many there are; before Linux 6.2 it was nothing, and counting them takes too long
where there are many."""


NOTHING: Final = b"."
"""A sign that says no more than that it is one."""


class Pulse:
    """Of this process, with its meters. For one loop."""

    def __init__(self, meters: Meters) -> None:
        self.meters = meters
        self._measures: list[Callable[[], None]] = [self._measure_process]
        self._wrong: list[Callable[[], Iterable[Wrong]]] = []
        self._late = 0.0
        self._tasks, self._counted = 0, 0.0
        self._statm = os.open(STATM, os.O_RDONLY | os.O_CLOEXEC)  # while there is one to be had
        weakref.finalize(self, os.close, self._statm)

    def measured_by(self, measure: Callable[[], None]) -> None:
        """Call it before figures are said: it puts some in the meters."""
        self._measures.append(measure)

    def wrong_by(self, ask: Callable[[], Iterable[Wrong]]) -> None:
        """Ask it why no session can begin."""
        self._wrong.append(ask)

    async def keep(self) -> None:
        """See how late the loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            self._late = max(self._late, loop.time() - due)

    def said(self) -> Said:
        """How it is now."""
        for measure in self._measures:
            self._measured(measure)
        self.meters.put(metrics.LAG, self._late)
        self._late = 0.0
        wrong = {word for ask in self._wrong for word in ask()}
        return Said(self.meters.figures(), tuple(sorted(wrong)))

    def _measured(self, measure: Callable[[], None]) -> None:
        """What can't be measured must not end what goes on."""
        try:
            measure()
        except Exception:
            log.exception("something can't be measured")

    def _measure_process(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.meters.put(metrics.PROCESSOR, used.ru_utime + used.ru_stime)
        pages = int(os.pread(self._statm, 200, 0).split()[1])
        self.meters.put(metrics.MEMORY, pages * os.sysconf("SC_PAGE_SIZE"))
        self._count_tasks()
        self.meters.put(metrics.THREADS, threading.active_count())
        opened = DESCRIPTORS.stat().st_size
        if opened:
            self.meters.put(metrics.DESCRIPTORS, opened)
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.meters.put(metrics.MOST_DESCRIPTORS, most)

    def _count_tasks(self) -> None:
        """Where there are many it takes milliseconds, so it is done more seldom."""
        now = asyncio.get_running_loop().time()
        if self._tasks < MANY or now - self._counted > SELDOM:
            self._tasks, self._counted = len(asyncio.all_tasks()), now
            self.meters.put(metrics.TASKS, self._tasks)


class Sign:
    """What a supervised process tells of itself by its pipe."""

    def __init__(self, descriptor: int, pulse: Pulse) -> None:
        self._pulse = pulse
        self._pipe = socket.socket(fileno=descriptor)
        self._pipe.setblocking(False)

    async def keep(self) -> None:
        """A sign each second, for as long as the supervisor lives; then this process ends too."""
        while True:
            try:
                self._pipe.send(self._pulse.said().encoded())
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    break
                self._pipe.send(NOTHING)
            await asyncio.sleep(1)
        log.error("the supervisor is gone: this process ends too")
        os.kill(os.getpid(), signal.SIGTERM)


class Traffic:
    """The bytes of sessions that go on: what their recordings have counted since the last look."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._seen: dict[Recording, tuple[int, int]] = {}

    def begins(self, recording: Recording) -> None:
        """Count what it counts, from nothing."""
        self._seen[recording] = (0, 0)

    def ends(self, recording: Recording) -> None:
        """Count the last of it."""
        self._look(recording)
        del self._seen[recording]

    def look(self) -> None:
        """Count what has come since the last look."""
        for recording in list(self._seen):
            self._look(recording)

    def _look(self, recording: Recording) -> None:
        sent, shown = self._seen[recording]
        self._seen[recording] = recording.bytes_in, recording.bytes_out
        self._meters.count(metrics.RELAYED, "sent", by=recording.bytes_in - sent)
        self._meters.count(metrics.RELAYED, "shown", by=recording.bytes_out - shown)
