"""Tallies: what strangers cause, counted by who and minute, so that they can't fill the audit.

Pure counting, in memory; whoever writes the events takes the minutes that are over. `Failures` are
sign-ins that failed: what counts as one is the outer door's business (`bastion.outer`).
"""

from collections import Counter
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

OTHERS = "others"
"""Stands for the sources of a minute beyond the first ones."""

MOST_SOURCES = 1000
"""Sources of one minute that are counted each for itself."""

MOST_MINUTES = 60
"""Minutes that wait to be taken; older ones are put together."""


class Tally(Generic[K]):
    """The counts that nobody has taken yet. For one thread.

    `others` gives what a key beyond the first `keys` of a minute is counted as.
    """

    def __init__(
        self, others: Callable[[K], K], keys: int = MOST_SOURCES, minutes: int = MOST_MINUTES
    ):
        self._others = others
        self._most_keys = keys
        self._most_minutes = minutes
        self._minutes: dict[datetime, Counter[K]] = {}

    def count(self, key: K, minute: datetime, times: int = 1) -> bool:
        """`times` more for `key`; `minute` is any moment of it. True for the first of a minute."""
        counts = self._minutes.setdefault(_begin(minute), Counter())
        counted = key if key in counts or len(counts) < self._most_keys else self._others(key)
        first = counted not in counts
        counts[counted] += times
        if len(self._minutes) > self._most_minutes:
            self._put_together()
        return first

    def minutes_before(self, before_minute: datetime) -> list[tuple[K, datetime, int]]:
        """What was counted in the minutes before the one of `before_minute`, the oldest first.

        It is counted no more: keep it, or count it again.
        """
        over = sorted(minute for minute in self._minutes if minute < _begin(before_minute))
        return [
            (key, minute, count)
            for minute in over
            for key, count in sorted(self._minutes.pop(minute).items(), key=str)
        ]

    def _put_together(self) -> None:
        """Let the oldest minute become part of the next one's `others`: nothing is forgotten."""
        oldest, following = sorted(self._minutes)[:2]
        for key, count in self._minutes.pop(oldest).items():
            self._minutes[following][self._others(key)] += count


class Failed(NamedTuple):
    """`times` failures from `source` in the minute that begins at `minute`."""

    source: str
    minute: datetime
    times: int


class Failures(Tally[str]):
    """Sign-ins that failed, by source."""

    def __init__(self, sources: int = MOST_SOURCES, minutes: int = MOST_MINUTES):
        super().__init__(lambda _: OTHERS, sources, minutes)

    def take(self, before_minute: datetime) -> list[Failed]:
        """What failed in the minutes before the one of `before_minute`, the oldest first."""
        return [Failed(*counted) for counted in self.minutes_before(before_minute)]


def _begin(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
