"""A latch: asyncio's Event, without the queue that each of those has from the start (700 bytes).

Each connection has some and each session more; nearly all of them are waited for once, or never.
"""

import asyncio


class Latch:
    """It is set, or somebody waits until it is. For one loop."""

    __slots__ = ("_set", "_waiting")

    def __init__(self) -> None:
        self._set = False
        self._waiting: tuple[asyncio.Future[None], ...] = ()

    def is_set(self) -> bool:
        """Whether it is."""
        return self._set

    def set(self) -> None:
        """All who wait go on."""
        self._set = True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def clear(self) -> None:
        """Who comes from now on waits again."""
        self._set = False

    async def wait(self) -> None:
        """Until it is set."""
        if self._set:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting += (future,)
        try:
            await future
        finally:
            self._waiting = tuple(each for each in self._waiting if each is not future)
