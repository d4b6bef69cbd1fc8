"""Watching: the verb's part of it. Somebody looks at a live session for as long as she takes it in.

That she began, and that she ended, is told; in between each beat says that she is there. Whether
she counts where a grant asks for somebody who watches, `watchers` says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bastion.actor import Actor
from bastion.people import People
from bastion.store.watchers import Sights, Watchers
from bastion.watchers import BEAT, Eyes, Watcher, may_not_watch
from recorder.session import Session


class Look:
    """Somebody's look at one live session, kept in `book` from its beginning to its end."""

    def __init__(self, book: Watchers, session: Session, by: Actor, now: datetime) -> None:
        self._book = book
        self._session = session
        self._by = by
        self._watcher = book.begin(session, by, now)
        self._beaten: datetime | None = None

    @property
    def watcher(self) -> Watcher:
        """How she is known."""
        return self._watcher

    def beat(self, now: datetime) -> None:
        """She has taken all that there is to see. To be called often: it is kept once a second.

        Where she was away for so long that she counts as gone, she begins anew.
        """
        if self._beaten is not None and now - self._beaten < BEAT:
            return
        if not self._book.beat(self._watcher.id, now):
            self._watcher = self._book.begin(self._session, self._by, now)
            self._book.beat(self._watcher.id, now)
        self._beaten = now

    def end(self, now: datetime) -> None:
        """She watches no more."""
        self._book.end(self._watcher.id, now)


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody who watches now, and why that does not count; None where it does."""

    watcher: Watcher
    why_not: str | None


class Watching:
    """Looks at live sessions, and who takes them. `people` says who an account is."""

    def __init__(self, book: Watchers, people: People) -> None:
        self._book = book
        self._people = people

    def begin(self, by: Actor, session: Session, now: datetime) -> Look:
        """Begin to watch. Raises Conflict where too many do."""
        return Look(self._book, session, by, now)

    def anybody_for(self, contractor: str, now: datetime) -> bool:
        """Whether there is anybody whose watching `contractor` would count."""
        everybody = self._book.users()
        return any(may_not_watch(u, contractor, self._people, now) is None for u in everybody)

    def forget(self, now: datetime) -> None:
        """End the looks of those who went without a word, long ago."""
        self._book.forget(now)

    def of(self, sessions: Iterable[Session], now: datetime) -> dict[int, list[Seen]]:
        """Who watches each of these sessions, whoever came first coming first."""
        users = {each.id: each.user for each in sessions if each.live}
        sights = self._book.sights(users) if users else Sights()
        eyes = Eyes(sights.users, sights.givers, self._people)
        found: dict[int, list[Seen]] = {}
        for each in sights.watchers:
            if each.there(now):
                why_not = eyes.why_not(each, users[each.session], now)
                found.setdefault(each.session, []).append(Seen(each, why_not))
        return found

    def why_not(self, look: Look, session: Session, now: datetime) -> str | None:
        """Why such a look at `session` does not count, as a sentence; None where it does."""
        sights = self._book.sights([session.id])
        eyes = Eyes(sights.users, sights.givers, self._people)
        return eyes.why_not(look.watcher, session.user, now)
