"""The lookout: who watches what is open here, as the database has it, whichever process wrote it.

It asks when something was written, and then knows by the clock alone when a watcher is gone.
"""

from collections.abc import Collection
from datetime import datetime

from bastion.people import People
from bastion.store.watchers import Sights, Watchers
from bastion.watchers import Eyes, Leases


class Lookout:
    """Of one process. `people` says who an account is."""

    def __init__(self, book: Watchers, people: People) -> None:
        self._book = book
        self._people = people
        self._leases = Leases()
        self._eyes = Eyes({}, {}, people)

    def ask(self, sessions: Collection[int]) -> Sights:
        """Who watches these sessions. Blocks; raises Unavailable."""
        return self._book.sights(sessions)

    def heard(self, sights: Sights, now: datetime) -> None:
        """What was asked at `now`, or later."""
        self._leases.heard(sights.watchers, now)
        self._eyes = Eyes(sights.users, sights.givers, self._people)

    def watchers(self, session: int, contractor: str, now: datetime) -> tuple[str, ...]:
        """The names of those who watch a session of `contractor`, as far as they count."""
        there = self._leases.of(session, now)
        counting = (each for each in there if self._eyes.why_not(each, contractor, now) is None)
        return tuple(dict.fromkeys(each.name for each in counting))
