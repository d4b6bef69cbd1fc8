"""Serials: each is signed once. Pure.

Several machines ask, so serials come nearly in order and not quite: those far below the highest
are taken for used, the others are remembered. The same body for the same serial is no second
certificate: it gets the same signature when the first answer was lost.
"""

from dataclasses import dataclass, field
from typing import Final

WINDOW: Final = 4096
"""How far below the highest a serial may still be new."""

LEAP: Final = 10_000_000
"""How far above the highest one may be: else a single request could use up all that there are. A
home that was restored leaves a gap of a million, perhaps several times."""


@dataclass(slots=True)
class Serials:
    """Of one ledger: the highest that was signed, and what the latest were signed for."""

    highest: int = 0
    _bodies: dict[int, str] = field(default_factory=dict)

    def takes(self, serial: int, body: str) -> bool:
        """Whether it may be signed for this body (a hash of it)."""
        if serial in self._bodies:
            return self._bodies[serial] == body
        floor = max(0, self.highest - WINDOW)
        return floor < serial <= self.highest + LEAP

    def took(self, serial: int, body: str) -> None:
        """It was signed for this body."""
        self._bodies[serial] = body
        self.highest = max(self.highest, serial)
        if len(self._bodies) > 2 * WINDOW:
            floor = self.highest - WINDOW
            self._bodies = {each: of for each, of in self._bodies.items() if each > floor}

    @property
    def next(self) -> int:
        """One that is certainly new."""
        return self.highest + 1
