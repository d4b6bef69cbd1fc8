"""The bulletin: how the processes of a home are, from what each says of itself. Pure.

A process says its figures and what is wrong with it, again and again (`Said`). What has been
counted outlives who counted it; what was measured is gone with it.

Strangers speak to the processes that say this. So what does not look as it has to is not taken.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bastion import metrics
from bastion.metrics import Figures, Key

LONGEST: Final = 128 * 1024
"""Bytes of what a process says at once."""

WHOLE: Final = ""
"""Stands for all processes together, where figures are given."""


class Wrong(StrEnum):
    """Why a process can't take new sessions, in a word."""

    DATABASE = "database"
    DISK = "disk"
    CLOCK = "clock"
    SIGNER = "signer"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class Said:
    """What a process says of itself."""

    figures: Figures = field(default_factory=dict)
    wrong: tuple[Wrong, ...] = ()

    def encoded(self) -> bytes:
        """It, as it goes through a pipe."""
        figures = [[*key, value] for key, value in self.figures.items()]
        return json.dumps([figures, self.wrong], separators=(",", ":")).encode()

    @classmethod
    def decoded(cls, data: bytes) -> "Said":
        """What of it is as it has to be."""
        try:
            figures, wrong = json.loads(data)
            pairs = [(tuple(map(str, key)), float(value)) for *key, value in figures]
            words = tuple(Wrong(word) for word in wrong)
        except (ValueError, TypeError, OverflowError, RecursionError):
            return cls()
        return cls({key: value for key, value in pairs if metrics.known(key, value)}, words)


@dataclass(slots=True)
class _Process:
    """What is known of one: what it says, what its former lives have counted, its starts."""

    said: Said | None = None
    before: dict[Key, float] = field(default_factory=dict)
    starts: int = 0

    def figures(self) -> dict[Key, float]:
        now = {} if self.said is None else self.said.figures
        found = {**now, **metrics.added([self.before, now])}
        found[(metrics.READY.name,)] = float(self.said is not None)
        found[(metrics.STARTS.name,)] = float(self.starts)
        return found


class Bulletin:
    """How these processes are."""

    def __init__(self, processes: Sequence[str]) -> None:
        self._processes = {name: _Process() for name in processes}

    def started(self, process: str) -> None:
        """It is there, and has yet to say something."""
        self._processes[process].starts += 1

    def heard(self, process: str, said: Said) -> None:
        """It has said that of itself."""
        self._processes[process].said = said

    def ended(self, process: str) -> None:
        """It is gone, or not heard of any more."""
        found = self._processes[process]
        if found.said is not None:
            found.before = metrics.added([found.before, found.said.figures])
        found.said = None

    def wrong(self) -> list[str]:
        """Why new sessions can't begin, a few words each; empty where they can."""
        silent = [name for name, process in self._processes.items() if process.said is None]
        said = {word for each in self._processes.values() if each.said for word in each.said.wrong}
        return [*sorted(said), *silent]

    def live(self) -> int:
        """How many sessions go on."""
        return round(
            sum(
                value
                for process in self._processes.values()
                if process.said is not None
                for key, value in process.said.figures.items()
                if key[0] == metrics.LIVE.name
            )
        )

    def exposition(self) -> str:
        """All figures, as Prometheus reads them."""
        whole: Mapping[Key, float] = {(metrics.HEALTHY.name,): float(not self.wrong())}
        each = {name: process.figures() for name, process in self._processes.items()}
        return metrics.exposition({WHOLE: whole, **each})
