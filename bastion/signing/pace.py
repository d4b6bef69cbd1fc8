"""The pace: so much a second over a while, with a reserve for when much comes at once. Pure."""

from dataclasses import dataclass

RESERVE = 5.0
"""Seconds of the rate that may be taken at once."""


@dataclass(slots=True)
class Pace:
    """A bucket of tokens, full at first. `rate` is a second's; times are seconds, rising."""

    rate: float
    filled_at: float
    tokens: float = -1.0

    def __post_init__(self) -> None:
        if self.tokens < 0:
            self.tokens = self.most

    @property
    def most(self) -> float:
        """What it holds."""
        return max(1.0, self.rate * RESERVE)

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self.tokens = min(self.most, self.tokens + max(0.0, now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True
