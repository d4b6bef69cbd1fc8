"""Blocking work in a thread that a cancelled task still sees to its end."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

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
