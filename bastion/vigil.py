"""A vigil: whether a session that somebody has to watch goes on, waits, or is given up. Pure."""

from datetime import datetime, timedelta
from enum import Enum, auto


class Change(Enum):
    """What is to be done with the session."""

    FREEZE = auto()
    GO_ON = auto()
    GIVE_UP = auto()


class Vigil:
    """Over one session. It begins, at `now`, with nobody there; that may last for `patience`."""

    def __init__(self, patience: timedelta, now: datetime) -> None:
        self._patience = patience
        self._over = False
        self.alone_since: datetime | None = now
        self.begun = False

    def judge(self, *, watched: bool, now: datetime) -> Change | None:
        """What comes of it that somebody watches at `now`, or nobody does; None where nothing."""
        if self._over:
            return None
        if watched:
            return self._goes_on()
        if self.alone_since is None:
            self.alone_since = now
            return Change.FREEZE
        if now - self.alone_since < self._patience:
            return None
        self._over = True
        return Change.GIVE_UP

    def _goes_on(self) -> Change | None:
        if self.alone_since is None:
            return None
        self.alone_since, self.begun = None, True
        return Change.GO_ON
