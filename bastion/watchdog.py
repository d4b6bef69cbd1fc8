"""The watchdog: it ends the process when that does not move any more.

A session is recorded by a write(2) on the loop itself, and a disk may let that wait for ever: then
nobody is told anything, and no end is felt. A thread looks whether the loop still turns. When it
has not for too long, connections are closed and the process is gone at once: what was shown is in
the kernel's hands, and the next start recovers it.
"""

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

log = logging.getLogger(__name__)

TICK: Final = 0.5
"""Seconds between two turns of the loop that it looks for."""

LAST_WORDS: Final = 1.0
"""Seconds for the last line: what hangs may be whoever takes it."""


def abruptly(sentence: str) -> None:
    """End this process now, with a last line, and its connections even if a thread never returns.

    A thread that waits for a disk keeps the files of its process open, so that closing alone would
    tell nobody.
    """
    said = threading.Thread(target=log.critical, args=("%s", sentence), daemon=True)
    said.start()
    said.join(LAST_WORDS)
    for opened in list(Path("/proc/self/fd").iterdir()):
        _shut(int(opened.name))
    os._exit(1)


class Watchdog:
    """Watches a loop that is to turn at least every `patience` seconds; else it calls `end`.

    `end` is called in a thread, with a sentence. Time in which the whole process stood still, as
    it does while a machine is suspended, does not count.
    """

    def __init__(
        self,
        patience: float,
        end: Callable[[str], object] = abruptly,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._end = end
        self._clock = clock
        self._turns = 0
        self._thread = 0
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._watching, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch this loop, which runs in this thread, from now on; until the end of the block."""
        self._thread = threading.get_ident()
        self._turn(loop)
        self._watch.start()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns += 1
        loop.call_later(TICK, self._turn, loop)

    def _watching(self) -> None:
        seen, silent, looked = self._turns, 0.0, self._clock()
        while not self._stopped.wait(TICK):
            now = self._clock()
            passed, looked = min(now - looked, 2 * TICK), now
            silent = silent + passed if self._turns == seen else 0.0
            seen = self._turns
            if silent >= self._patience:
                self._end(self._sentence())
                return

    def _sentence(self) -> str:
        return (
            f"nothing has moved for {self._patience:g} s, in {self._place()}: a disk that does not "
            "answer? The bastion ends itself. All sessions are over; what was shown is recorded."
        )

    def _place(self) -> str:
        """Where the loop stands."""
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 (there is no other way)
        if frame is None:
            return "no place that is known"
        return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"


def _shut(descriptor: int) -> None:
    """Tell whoever is at the other end of a connection; what is none stays as it is.

    So does a socket that listens: others may share it.
    """
    try:
        connection = socket.socket(fileno=descriptor)
    except OSError:
        return
    try:
        if not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is not connected
    finally:
        connection.detach()
