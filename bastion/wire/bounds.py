"""What one connection may ask for, and what all of a process may have on their way.

A channel grants its peer a window, and so many bytes may wait here if nobody takes them. While few
windows were granted they are large; beyond a budget they are small, so that what can be on its way
at once has a bound, whoever stalls.
"""

from dataclasses import dataclass
from typing import Final

WINDOW: Final = 2 * 1024 * 1024
SMALL: Final = 128 * 1024
"""Bytes of a channel's window: fast over any distance, and enough for somebody at a terminal."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Channels at once, and requests in a minute: to open one, within one, and of all."""

    channels: int = 256
    requests: int = 6000


class Windows:
    """The windows of a process's channels; beyond `most` bytes in all, further ones are small."""

    __slots__ = ("_most", "granted")

    def __init__(self, most: int = 1 << 40) -> None:
        self._most = most
        self.granted = 0

    def next(self) -> int:
        """The size of the next one."""
        return WINDOW if self.granted + WINDOW <= self._most else SMALL
