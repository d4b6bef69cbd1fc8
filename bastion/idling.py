"""Idling: sessions in which nothing moves any more, either way, are warned and then ended.

Nothing is counted for it where bytes pass: recordings count them anyway, and are looked at now and
then. Whoever holds a session open without using it holds a place, and a terminal that somebody
else may walk up to.
"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bastion.durations import format_duration
from bastion.live import Cuttable
from bastion.reached import Case, Reached
from recorder import EndReason

LOOK: Final = 1.0
"""Seconds between two looks."""

WARNING: Final = 60.0
"""Seconds before the end in which somebody is warned; of a shorter limit it is half."""

Moved = Callable[[], Hashable]
"""What has moved until now: another value whenever something has."""


@dataclass(slots=True)
class _Idle:
    """A session, and since when nothing has moved in it."""

    side: Cuttable
    moved: Moved
    most: float
    case: Case
    last: Hashable
    since: float
    warned: bool = False
    over: bool = False


@dataclass(frozen=True, slots=True)
class Unused:
    """A connection on which nothing is open: nobody can be warned there, and `close` says why."""

    close: Callable[[str], None]

    def warn(self, sentence: str) -> None:
        """There is nowhere to say it."""

    def cut(self, reason: EndReason, sentence: str) -> None:
        """End it."""
        self.close("nothing was open here for too long; this connection is over.")


class Idling:
    """Looks after the sessions of one process. `time` is in seconds that never go back."""

    def __init__(self, reached: Reached, time: Callable[[], float]) -> None:
        self._reached = reached
        self._time = time
        self._idle: dict[Hashable, _Idle] = {}

    def begins(
        self, key: Hashable, side: Cuttable, moved: Moved, most: timedelta, case: Case
    ) -> None:
        """A session that ends when nothing has moved for `most`; `case` is of that limit."""
        seconds = most.total_seconds()
        self._idle[key] = _Idle(side, moved, seconds, case, moved(), self._time())

    def ends(self, key: Hashable) -> None:
        """It is over."""
        self._idle.pop(key, None)

    async def keep(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            self.look()

    def look(self) -> None:
        """Warn those that have been idle for long, and end those that were for too long."""
        now = self._time()
        for idle in list(self._idle.values()):
            moved = idle.moved()
            if moved != idle.last:
                idle.last, idle.since, idle.warned = moved, now, False
            else:
                self._judge(idle, now - idle.since)

    def _judge(self, idle: _Idle, still: float) -> None:
        warning = min(WARNING, idle.most / 2)
        if still >= idle.most and not idle.over:
            idle.over = True
            self._reached.note(idle.case)
            lasted = format_duration(timedelta(seconds=idle.most))
            sentence = f"nothing has moved here for {lasted}; this session is over."
            idle.side.cut(EndReason.IDLE, sentence)
        elif still >= idle.most - warning and not idle.warned:
            idle.warned = True
            lasted = format_duration(timedelta(seconds=still))
            left = format_duration(timedelta(seconds=max(1.0, idle.most - still)))
            ends = f"this session ends in {left} unless something does"
            idle.side.warn(f"nothing has moved here for {lasted}; {ends}.")
            idle.last = idle.moved()  # what we say is no sign of life
