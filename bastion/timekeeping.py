"""Timekeeping: the latest time that the store knows, and the way out where that was a mistake.

A clock behind that time opens nothing (`clock`). One that was ahead for a moment has left a time
that has not come yet, and everybody is kept out until it has. Nothing says by itself that the
earlier one is right: somebody does, who has looked at another clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bastion.actor import Actor
from bastion.clock import JUMP
from bastion.denials import clock as shown
from bastion.errors import Conflict, Refused
from bastion.store import Store

APART: Final = timedelta(minutes=2)
"""How far the time that somebody reads off another clock may be from ours."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the clock says `now`, and the `latest` time that was ever kept."""

    now: datetime
    latest: datetime | None

    @property
    def ahead(self) -> timedelta:
        """How far that time lies ahead."""
        return timedelta(0) if self.latest is None else max(timedelta(0), self.latest - self.now)

    @property
    def locked(self) -> bool:
        """Whether nothing is opened for that."""
        return self.ahead > JUMP


class Timekeeping:
    """The latest time of a store. It blocks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def standing(self, now: datetime) -> Standing:
        """How it stands."""
        return Standing(now, self._store.latest_time())

    def reset(self, by: Actor, now: datetime, read: datetime, reason: str) -> Standing:
        """Take `now` for right, which was `read` off another clock; how it stood before.

        Raises Refused where the two are not the same time, Conflict where nothing is locked.
        """
        if abs(read - now) > APART:
            raise Refused(
                f"The clock says {shown(now)}, and not {shown(read)}: set it right first, "
                "then say again what another clock says."
            )
        before = self.standing(now)
        if not before.locked:
            raise Conflict("No later time than now is known, so there is nothing to set back.")
        self._store.reset_time(by, now, reason)
        return before
