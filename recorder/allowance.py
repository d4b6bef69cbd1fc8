"""An allowance: so much at once, and so much more with every second of the recording. Pure."""


class Allowance:
    """`burst` at once at most, and `rate` a second; the time is the recording's, not a clock's."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left = burst
        self._at = 0.0

    def left(self, time: float) -> float:
        """What may be taken at `time`."""
        if time > self._at:
            self._left = min(self._burst, self._left + (time - self._at) * self._rate)
            self._at = time
        return self._left

    def take(self, time: float, amount: float) -> bool:
        """Whether `amount` is left; it is taken. Where it is not, nothing is left after that."""
        enough = self.left(time) >= amount
        self._left = self._left - amount if enough else 0.0
        return enough
