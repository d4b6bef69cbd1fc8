"""Turns across the processes of one home: one order of a host and login, whoever carries a session.

Two files that are locked (flock): whoever wants in takes the `gate`, then the `room`, shared or
alone, and gives the gate back. Whoever waits for the room keeps the gate meanwhile, so nobody
overtakes. A process that ends lets go of both. Nothing here waits: it is tried again.
"""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Protocol


class Across(Protocol):
    """The turn of this process among the others."""

    def enter(self, *, alone: bool) -> bool:
        """Whether one more may go, now; else it is to be tried again, or given up by `forgo`."""

    def leave(self) -> None:
        """One that was let in is done."""

    def forgo(self) -> None:
        """Who was not let in does not want to any more."""

    def wanted(self) -> bool:
        """Whether another process waits."""


class Unshared:
    """Where one process carries all sessions."""

    def enter(self, *, alone: bool) -> bool:
        """At once."""
        return True

    def leave(self) -> None:
        """Nobody waits."""

    def forgo(self) -> None:
        """Nobody waited."""

    def wanted(self) -> bool:
        """Nobody."""
        return False


class Shared:
    """By two files in `directory`, named for `key`. Raises OSError where they can't be opened."""

    def __init__(self, directory: Path, key: str) -> None:
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        directory.mkdir(mode=0o700, exist_ok=True)
        self._gate = _opened(directory / f"{name}.gate")
        try:
            self._room = _opened(directory / f"{name}.room")
        except BaseException:
            os.close(self._gate)
            raise
        self._at_gate = False
        self._inside = 0

    def __del__(self) -> None:
        for descriptor in (getattr(self, "_gate", -1), getattr(self, "_room", -1)):
            if descriptor >= 0:
                os.close(descriptor)

    def enter(self, *, alone: bool) -> bool:
        """Whether one more may go, now: one alone, or some together."""
        self._at_gate = self._at_gate or _taken(self._gate, fcntl.LOCK_EX)
        if not self._at_gate:
            return False
        if self._inside == 0 or alone:
            kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
            if not _taken(self._room, kind):
                return False
        self._inside += 1
        self.forgo()
        return True

    def leave(self) -> None:
        """One that was let in is done."""
        self._inside -= 1
        if self._inside == 0:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def forgo(self) -> None:
        """Give the gate back."""
        if self._at_gate:
            self._at_gate = False
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def wanted(self) -> bool:
        """Whether another process is at the gate."""
        if self._at_gate:
            return False
        if not _taken(self._gate, fcntl.LOCK_EX):
            return True
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        return False


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
