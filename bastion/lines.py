"""Lines from a client, one at a time: typed at a terminal, or read from a pipe."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from bastion.commands import LIMIT
from bastion.keystrokes import Keystrokes, State

MOST_WAITING = 2 * LIMIT
"""Bytes of a script that are read ahead of the line that runs."""

INTERRUPT = b"\x03"


class Source(Protocol):
    """Where lines come from, as far as it can be told to wait."""

    def pause_reading(self) -> None:
        """Enough for now."""

    def resume_reading(self) -> None:
        """More again."""


class Reader:
    """Gives one line after the other."""

    def __init__(self) -> None:
        self._moved = asyncio.Event()

    async def line(self) -> str | None:
        """The next line, or None at the end."""
        raise NotImplementedError

    def data(self, data: bytes) -> None:
        """Something was typed."""
        raise NotImplementedError

    def end(self) -> None:
        """Nothing more will be."""
        raise NotImplementedError


class Typed(Reader):
    """From a terminal: what is typed is seen, and can be corrected."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._keys = Keystrokes()
        self._show = show
        self._given_up_by = b""
        self._ended = False

    async def line(self) -> str | None:
        """ctrl-c begins a line anew, ctrl-d on an empty one is the end."""
        while True:
            self._keys.interrupted()
            line, shown = self._keys.ask()
            self._show(shown)
            while line.state is State.OPEN:
                self._moved.clear()
                await self._moved.wait()
            if line.state is State.ENTERED:
                return line.text.strip()
            if self._ended or INTERRUPT not in self._given_up_by:
                return None
            self._given_up_by = b""
            return ""

    def data(self, data: bytes) -> None:
        self._given_up_by = data
        self._show(self._keys.typed(data))
        self._moved.set()

    def end(self) -> None:
        self._ended = True
        self._keys.end()
        self._moved.set()


class Piped(Reader):
    """From a pipe or a file: lines as they are, read no further ahead than needed."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._ahead = bytearray()
        self._ended = False
        self._paused = False

    async def line(self) -> str | None:
        """The next line; what is longer than a command can be, is judged as far as it was read."""
        while b"\n" not in self._ahead and not self._ended and len(self._ahead) <= LIMIT:
            self._resume()
            self._moved.clear()
            await self._moved.wait()
        if not self._ahead:
            return None
        line, _, rest = bytes(self._ahead).partition(b"\n")
        self._ahead = bytearray(rest)
        return line.decode("utf-8", "surrogateescape").strip(" \t\r")

    def data(self, data: bytes) -> None:
        self._ahead += data
        if len(self._ahead) > MOST_WAITING and not self._paused:
            self._paused = True
            self._source.pause_reading()
        self._moved.set()

    def end(self) -> None:
        self._ended = True
        self._moved.set()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._source.resume_reading()
