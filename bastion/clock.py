"""The time that ends are judged by: the wall clock, held against CLOCK_BOOTTIME.

A wall clock that is set back would prolong every access; one that is set forward ends it early.
So the moment that counts is the later of the wall clock and of what the boot clock says has
passed since the process began (it runs through suspend).
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

JUMP = timedelta(seconds=5)
"""How far wall and boot clock may part before it is called a jump."""


def _wall() -> datetime:
    return datetime.now(UTC)


def _boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """The process's clock. `wall` gives aware UTC times, `boot` seconds that never go back.

    `latest` is the latest moment that the store has seen, by any process: a clock behind it
    opens nothing.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = _wall,
        boot: Callable[[], float] = _boot,
        latest: datetime | None = None,
    ):
        self._wall = wall
        self._boot = boot
        self._began = wall()
        self._booted = boot()
        self.latest = latest

    def now(self) -> datetime:
        """The moment that counts."""
        return max(self._wall(), self._elapsed())

    def behind(self) -> bool:
        """Whether time seems to have been set back: then nothing may be opened."""
        return self.latest is not None and self.now() + JUMP < self.latest

    def jumped(self) -> timedelta:
        """How far the wall clock is ahead of the boot clock since the start, or behind it."""
        return self._wall() - self._elapsed()

    def _elapsed(self) -> datetime:
        return self._began + timedelta(seconds=self._boot() - self._booted)
