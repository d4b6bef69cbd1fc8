"""Blocking work in a thread that a cancelled task still sees to its end."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


async def to_the_end(work: Callable[[], T], threads: Executor | None = None) -> T:
    """What `work` gives, run in one of `threads`. Cancelling waits for it first, then cancels.

    If `work` raises while the task is being cancelled, its error is the cancellation's cause.
    """
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from future.exception()
    return future.result()


async def behind_all(work: Callable[[], T], name: str) -> T:
    """What `work` gives, done in a thread of its own that nobody waits for.

    Cancelling leaves it to itself; it ends with the process, wherever it is then. So it has to be
    such that it can be done anew.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def heard(act: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants to hear it
            loop.call_soon_threadsafe(lambda: None if future.done() else act())

    def run() -> None:
        try:
            done = work()
        except Exception as error:  # noqa: BLE001 (it is handed on)
            failure = error
            heard(lambda: future.set_exception(failure))
        else:
            heard(lambda: future.set_result(done))

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future


class Later:
    """A thread that does one thing after another, behind all else, and waits for nobody.

    It begins with the first, and ends with the process, wherever it is then: what it is given has
    to be such that it can be done anew.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def do(self, work: Callable[[], object]) -> None:
        """Do this when all before it is done."""
        self._waiting.put(work)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            work = self._waiting.get()
            try:
                work()
            except Exception:
                log.exception("%s: something went wrong", self._name)
