"""Shutting: all that gives access is taken back at once.

For the day on which nobody knows any more who should have what: a database that was restored from a
copy has forgotten what was revoked since, and somebody may have stolen what signs. Each step is an
event of its own, as if somebody had typed it.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from bastion import happenings
from bastion.actor import Actor
from bastion.errors import Conflict, NotFound
from bastion.events import What
from bastion.grants import State
from bastion.ledger import Kind
from bastion.requests import Standing
from bastion.store import Store
from bastion.store.grants import Wanted as WantedGrants
from bastion.store.inbox import Inbox
from bastion.store.ledger import Wanted as WantedCertificates
from bastion.store.requests import Wanted as WantedRequests
from recorder.nouns import counted

OPEN = frozenset({State.SCHEDULED, State.ACTIVE})


@dataclass(frozen=True, slots=True)
class Shut:
    """How many of each were taken back."""

    users: int = 0
    requests: int = 0
    grants: int = 0
    certificates: int = 0

    def __str__(self) -> str:
        return (
            f"{counted(self.grants, 'grant')} and {counted(self.certificates, 'certificate')} "
            f"revoked, {counted(self.requests, 'request')} denied, "
            f"{counted(self.users, 'account')} disabled"
        )


class Shutting:
    """Takes back all that gives access, in the name of `actor`. It blocks."""

    def __init__(self, store: Store, actor: Actor, reason: str) -> None:
        self._store = store
        self._inbox = Inbox(store)
        self._actor = actor
        self._reason = reason

    def everything(self, now: datetime, keep: Collection[str] = ()) -> Shut:
        """Accounts first, so that nobody opens anything meanwhile; those in `keep` stay open.

        Raises NotFound for one of `keep` that there is not, before anything is done.
        """
        for name in keep:
            if self._store.user(name) is None:
                raise NotFound(f"There is no user {name}.")
        self._store.tell(happenings.by(self._actor, What.ACCESS_SHUT, why=self._reason), now)
        return Shut(
            self._users(now, frozenset(keep)),
            self._requests(now),
            self._grants(now),
            self._certificates(now),
        )

    def _users(self, now: datetime, keep: frozenset[str]) -> int:
        shut = 0
        for user in self._store.users():
            if user.disabled_at is None and user.name not in keep:
                disabled = replace(user, disabled_at=now)
                self._store.update_user(disabled, self._actor, now, What.USER_DISABLED)
                shut += 1
        return shut

    def _requests(self, now: datetime) -> int:
        wanted = WantedRequests(standings=frozenset({Standing.PENDING}), at=now)

        def page(before: int | None) -> list[int]:
            return [request.id for request in self._inbox.requests(wanted, before=before)]

        def deny(number: int) -> None:
            self._inbox.deny(number, self._actor, self._reason, now)

        return _each(page, deny)

    def _grants(self, now: datetime) -> int:
        wanted = WantedGrants(states=OPEN, at=now)

        def page(before: int | None) -> list[int]:
            return [grant.id for grant in self._store.grants(wanted, before=before)]

        def revoke(number: int) -> None:
            self._store.revoke_grant(number, self._actor, self._reason, now)

        return _each(page, revoke)

    def _certificates(self, now: datetime) -> int:
        wanted = WantedCertificates(kind=Kind.USER, live_at=now)

        def page(before: int | None) -> list[int]:
            return [entry.serial for entry in self._store.ledger(wanted, before=before)]

        def revoke(serial: int) -> None:
            self._store.revoke_certificate(serial, self._actor, self._reason, now)

        return _each(page, revoke)


def _each(page: Callable[[int | None], list[int]], end: Callable[[int], None]) -> int:
    """End all that the pages list, the newest first; how many. Some may be over by then."""
    ended, before = 0, None
    while numbers := page(before):
        for number in numbers:
            with suppress(Conflict):
                end(number)
                ended += 1
        before = numbers[-1]
    return ended
