"""Sign-ins that failed, counted by source and minute, so that strangers can't fill the audit.

Pure counting, in memory. What counts as a failure is the outer door's business (`bastion.outer`);
whoever writes the events takes the minutes that are over.
"""

from collections import Counter
from datetime import datetime
from typing import NamedTuple

OTHERS = "others"
"""Stands for the sources of a minute beyond the first ones."""

MOST_SOURCES = 1000
"""Sources of one minute that are counted each for itself."""

MOST_MINUTES = 60
"""Minutes that wait to be taken; older ones are put together."""


class Failed(NamedTuple):
    """`times` failures from `source` in the minute that begins at `minute`."""

    source: str
    minute: datetime
    times: int


class Failures:
    """The counts that nobody has taken yet. For one thread."""

    def __init__(self, sources: int = MOST_SOURCES, minutes: int = MOST_MINUTES):
        self._most_sources = sources
        self._most_minutes = minutes
        self._minutes: dict[datetime, Counter[str]] = {}

    def count(self, source: str, minute: datetime, times: int = 1) -> None:
        """`times` more from `source`; `minute` is any moment of it."""
        counts = self._minutes.setdefault(_begin(minute), Counter())
        known = source in counts or len(counts) < self._most_sources
        counts[source if known else OTHERS] += times
        if len(self._minutes) > self._most_minutes:
            self._put_together()

    def take(self, before_minute: datetime) -> list[Failed]:
        """What was counted in the minutes before the one of `before_minute`, the oldest first.

        They are counted no more: keep them, or count them again.
        """
        over = sorted(minute for minute in self._minutes if minute < _begin(before_minute))
        return [
            Failed(source, minute, count)
            for minute in over
            for source, count in sorted(self._minutes.pop(minute).items())
        ]

    def _put_together(self) -> None:
        """Let the oldest minute become part of the next one's `others`: nothing is forgotten."""
        oldest, following = sorted(self._minutes)[:2]
        self._minutes[following][OTHERS] += self._minutes.pop(oldest).total()


def _begin(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
