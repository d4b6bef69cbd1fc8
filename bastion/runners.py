"""Runners: the processes that carry sessions, and which of them are gone. Pure.

Each is named by its chain of events (`Chain.boot`). Whoever has the same home sees it by a lock; of
one on another machine only beats are seen, and one that has not beaten for a while is gone.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

BEAT: Final = 2.0
"""Seconds between two beats."""

SILENT: Final = 10.0
"""Seconds without a beat after which a runner is gone: well above a slow database's answer."""


UNHEARD: Final = SILENT / 2
"""Seconds between two calls after which silence says nothing."""


@dataclass(frozen=True, slots=True)
class Runner:
    """One process, from `began` on; `beats` has grown at `beat_at` the last time."""

    boot: str
    node: str
    began: datetime
    beats: int
    beat_at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of lock files in the home: those that are held, and those that are free."""

    held: frozenset[str]
    free: frozenset[str]


@dataclass(frozen=True, slots=True)
class Roll:
    """Who is there: `alive`, anywhere; `gone`, of this home; `lost`, of another machine."""

    alive: frozenset[str]
    gone: frozenset[str]
    lost: frozenset[str]


@dataclass(slots=True)
class RollCall:
    """Calls the roll again and again for the runners of `node`'s home, and remembers beats.

    Clocks of other machines are not asked: a beat is seen when it comes.
    """

    node: str
    _heard: dict[str, tuple[int, float]] = field(default_factory=dict)
    _called: float | None = None

    def call(self, runners: Iterable[Runner], seen: Seen, time: float) -> Roll:
        """Who of these is there. `time` is in seconds that never go back.

        Where nobody has called for long, nobody was heard: then silence counts from now on. The
        database may have been away, and with it everybody's beats.
        """
        if self._called is not None and time - self._called > UNHEARD:
            self._heard = {boot: (beats, time) for boot, (beats, _) in self._heard.items()}
        self._called = time
        alive, gone, lost = set(seen.held), set(seen.free), set()
        known = list(runners)
        for runner in known:
            if runner.boot in alive or runner.boot in gone:
                continue
            if not self._silent(runner, time):
                alive.add(runner.boot)
            elif runner.node == self.node:  # its lock went with the directory
                gone.add(runner.boot)
            else:
                lost.add(runner.boot)
        self._forget({runner.boot for runner in known})
        return Roll(frozenset(alive), frozenset(gone), frozenset(lost))

    def _silent(self, runner: Runner, time: float) -> bool:
        beats, since = self._heard.get(runner.boot, (-1, time))
        if runner.beats != beats:
            self._heard[runner.boot] = (runner.beats, time)
            return False
        return time - since > SILENT

    def _forget(self, but: Collection[str]) -> None:
        for boot in self._heard.keys() - but:
            del self._heard[boot]
