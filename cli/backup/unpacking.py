"""Unpacking: a backup read as it comes, member by member, and nothing but what may be in one."""

from collections.abc import Callable
from typing import Final, Protocol

from bastion.errors import BadInput
from cli.backup.members import BLOCK, Entry, read_header

MOST: Final = 10_000_000
"""Members."""


class Taker(Protocol):
    """What takes the content of one member."""

    def write(self, data: bytes, /) -> object:
        """The next of it."""

    def close(self) -> None:
        """That was all."""


class Unpacking:
    """Takes a tar in pieces of any length; `take` gives what takes the content of each member.

    `finish` is to be called at the end. Raises BadInput, with what is wrong.
    """

    def __init__(self, take: Callable[[Entry], Taker]) -> None:
        self._take = take
        self._buffer = bytearray()
        self._taker: Taker | None = None
        self._left = self._padding = 0
        self._names: set[str] = set()
        self._over = False

    def write(self, data: bytes) -> int:
        """The next piece."""
        self._buffer += data
        while self._step():
            pass
        return len(data)

    def finish(self) -> None:
        """Nothing more comes. Raises BadInput where something had to."""
        if not self._over:
            raise BadInput("it ends too early: it was cut")

    def _step(self) -> bool:
        """One step on; False where more has to come first."""
        if self._over:
            if any(self._buffer):
                raise BadInput("something stands behind its end")
            self._buffer.clear()
            return False
        if self._taker is not None:
            return self._content(self._taker)
        if len(self._buffer) < self._padding + BLOCK:
            return False
        block = bytes(self._buffer[self._padding : self._padding + BLOCK])
        del self._buffer[: self._padding + BLOCK]
        self._padding = 0
        self._begin(block)
        return True

    def _begin(self, block: bytes) -> None:
        if not any(block):
            self._over = True
            return
        entry = read_header(block)
        if entry.name in self._names or len(self._names) >= MOST:
            raise BadInput(f"it has {entry.name} twice, or too much")
        self._names.add(entry.name)
        self._left, self._padding = entry.size, entry.padding
        self._taker = self._take(entry)

    def _content(self, taker: Taker) -> bool:
        if self._left and not self._buffer:
            return False
        data = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(data)
        if data:
            taker.write(data)
        if not self._left:
            taker.close()
            self._taker = None
        return True
