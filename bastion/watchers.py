"""Watchers: who follows a live session, and whose watching counts where a grant asks for it. Pure.

Whoever watches takes what is shown, and says so again and again: a beat. One whose last beat is
too long ago is gone, whatever became of her: a lost connection says nothing when it goes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bastion.inventory import Role, User
from bastion.people import People

BEAT: Final = timedelta(seconds=1)
"""Between two beats of one who watches and takes all that there is."""

LEASE: Final = timedelta(seconds=4)
"""So long after her last beat a watcher is gone."""

MOST: Final = 32
"""Watchers of one session."""

_ROLES = frozenset({Role.AUDITOR, Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Watcher:
    """Somebody who follows the session `S-<session>` since `began`.

    `name` is a user's, or an account of the machine (`os:root`), come from `source`; `fingerprint`
    is that of the key that signed in, if one did. `beats` counts how often she had taken all that
    there was to see, at `seen_at` the last time.
    """

    id: int
    session: int
    name: str
    source: str
    began: datetime
    seen_at: datetime
    beats: int = 0
    account: str | None = None
    fingerprint: str | None = None

    def there(self, now: datetime) -> bool:
        """Whether she watches, as far as one can tell who asks once."""
        return self.beats > 0 and abs(now - self.seen_at) < LEASE


@dataclass(frozen=True, slots=True)
class Eyes:
    """Whose watching counts. `users` are the watchers that are users, by name; `givers` who has
    ever enrolled which of their keys, by its fingerprint; `people` says who an account is."""

    users: Mapping[str, User]
    givers: Mapping[str, Collection[str]]
    people: People

    def why_not(self, watcher: Watcher, contractor: str, now: datetime) -> str | None:
        """Why her watching `contractor` does not count, as a sentence; None where it does."""
        user = self.users.get(watcher.name)
        if user is None:
            return f"{watcher.name} is nobody that the bastion knows: map the account to a user."
        refused = may_not_watch(user, contractor, self.people, now)
        return refused or self._by_key(user, watcher.fingerprint, contractor)

    def _by_key(self, user: User, fingerprint: str | None, contractor: str) -> str | None:
        if fingerprint is None:
            return None
        if all(key.fingerprint != fingerprint for key in user.keys):
            return f"The key {fingerprint} is not enrolled for {user.name} any more."
        if contractor in self.people.persons(self.givers.get(fingerprint, ())):
            return f"{contractor} gave {user.name} that key: sign in with another one."
        return None


def may_not_watch(user: User, contractor: str, people: People, now: datetime) -> str | None:
    """Why `user` watching `contractor` would not count, as a sentence; None where it would.

    Whoever was let in by the contractor may be the contractor.
    """
    if user.name == contractor:
        return "Nobody watches herself: somebody else has to."
    if not user.may_sign_in(now):
        return f"The account {user.name} is closed."
    if not user.roles & _ROLES:
        return f"{user.name} is no auditor."
    enrolled_by = None if user.enrolled_by is None else people.person(user.enrolled_by)
    if contractor in (user.sponsor, enrolled_by):
        return f"{contractor} let {user.name} in here, so somebody else has to watch."
    return None


class Leases:
    """Which watchers are there, as one process has come to know it.

    A lease lasts from when a beat was heard of, by this process's own clock: how far another's is
    ahead makes no difference. Only of one that was not known before, her own word is taken.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[Watcher, datetime]] = {}

    def heard(self, watchers: Iterable[Watcher], now: datetime) -> None:
        """All that there are, as they stood at `now`."""
        self._held = {each.id: (each, self._until(each, now)) for each in watchers if each.beats}

    def of(self, session: int, now: datetime) -> list[Watcher]:
        """Those of a session, at `now`. After a clock was set back, only who has beaten since."""
        return [
            watcher
            for watcher, until in self._held.values()
            if watcher.session == session and until - LEASE <= now < until
        ]

    def _until(self, watcher: Watcher, now: datetime) -> datetime:
        if watcher.id not in self._held:
            return min(watcher.seen_at, now) + LEASE
        known, until = self._held[watcher.id]
        return until if known.beats == watcher.beats else now + LEASE
