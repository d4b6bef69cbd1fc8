"""What could not be done now is left alone for a while. In memory, and not without end. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

MOST: Final = 10_000
"""Recordings that are left alone; beyond them each is tried again at once."""


class Resting:
    """Recordings that are left alone for as long as `rest`, by the numbers of their sessions."""

    def __init__(self, rest: timedelta) -> None:
        self._rest = rest
        self._until: dict[int, datetime] = {}

    def leave(self, number: int, now: datetime) -> None:
        """Leave this one alone from now on."""
        if len(self._until) < MOST:
            self._until[number] = now + self._rest

    def wake(self, now: datetime) -> None:
        """Let those go that were left alone for long enough."""
        self._until = {number: until for number, until in self._until.items() if until > now}

    def awake(self, numbers: Iterable[int]) -> list[int]:
        """Those of these that are not left alone."""
        return [number for number in numbers if number not in self._until]
