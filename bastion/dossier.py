"""The dossier of a grant: all that is known of it at a moment, gathered from the store.

Values only; nothing is written and no file is opened. The dossier of one session is that of its
grant, with no other session's things in it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bastion.grants import Grant
from bastion.inventory import User
from bastion.jumps import Jump
from bastion.ledger import Entry, Kind
from bastion.requests import Request
from bastion.store import Store
from bastion.store.about import Circle
from bastion.store.inbox import Inbox
from bastion.store.jumps import Wanted as WantedJumps
from bastion.store.ledger import Wanted as WantedCertificates
from bastion.store.policies import Kept
from bastion.store.requests import Wanted as WantedRequests
from recorder import Index, Session, Wanted

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Dossier:
    """What is known of `grant` at `at`, or of its session `only`. Each list is in time's order.

    `requests` are the one that it came from, then those that it should last longer. `people` are
    all who asked, agreed, gave or ended it, as of `at`: None for a name that is no user's.
    `policies` are the rules that it was judged by, as they were.
    """

    at: datetime
    grant: Grant
    only: Session | None
    requests: tuple[Request, ...]
    people: tuple[tuple[str, User | None], ...]
    policies: tuple[Kept, ...]
    certificates: tuple[Entry, ...]
    connections: tuple[Jump, ...]
    sessions: tuple[Session, ...]

    @property
    def name(self) -> str:
        """What it is about: `G-7`, or `S-31`."""
        return str(self.grant) if self.only is None else self.only.name

    @property
    def live(self) -> tuple[Session, ...]:
        """The sessions that go on."""
        return tuple(each for each in self.sessions if each.live)

    def circle(self) -> Circle:
        """What its events are found by."""
        return Circle(
            grant=self.grant.id,
            user=self.grant.user,
            requests=frozenset(each.id for each in self.requests),
            sessions=frozenset(each.id for each in self.sessions),
            connections=frozenset(each.id for each in self.connections),
            serials=frozenset(each.serial for each in self.certificates),
            policies=frozenset(each.version for each in self.policies),
            narrowed=self.only is not None,
        )


class Registry:
    """Gathers dossiers. It blocks, and raises Unavailable."""

    def __init__(self, store: Store, inbox: Inbox, index: Index) -> None:
        self._store = store
        self._inbox = inbox
        self._index = index

    def dossier(self, grant: Grant, only: Session | None, at: datetime) -> Dossier:
        """The dossier of a grant, or of one of its sessions."""
        requests = self._requests(grant)
        sessions = (only,) if only is not None else tuple(self._sessions(grant))
        certificates = self._certificates(grant, only)
        return Dossier(
            at=at,
            grant=grant,
            only=only,
            requests=requests,
            people=self.people(_named(grant, requests)),
            policies=self._policies(grant, requests),
            certificates=certificates,
            connections=self._connections(grant, sessions, certificates, only),
            sessions=sessions,
        )

    def people(self, names: Iterable[str]) -> tuple[tuple[str, User | None], ...]:
        """Who these are, each once: None for a name that is no user's."""
        wanted = tuple(dict.fromkeys(name for name in names if name))
        known = self._store.users_called(wanted)
        return tuple((name, known.get(name)) for name in wanted)

    def _requests(self, grant: Grant) -> tuple[Request, ...]:
        first = None if grant.request is None else self._inbox.request(grant.request)
        longer = self._inbox.requests(WantedRequests(extends=grant.id), limit=_PAGE)
        found = {each.id: each for each in (first, *longer) if each is not None}
        return tuple(found[number] for number in sorted(found))

    def _sessions(self, grant: Grant) -> Iterator[Session]:
        found: list[Session] = []
        before = None
        while page := self._index.find(Wanted(grant=grant.id), limit=_PAGE, before=before):
            found += page
            before = page[-1].id
        return reversed(found)

    def _certificates(self, grant: Grant, only: Session | None) -> tuple[Entry, ...]:
        found: list[Entry] = []
        before = None
        wanted = WantedCertificates(grant=grant.id)
        while page := self._store.ledger(wanted, limit=_PAGE, before=before):
            found += page
            before = page[-1].serial
        return tuple(
            each
            for each in reversed(found)
            if only is None or each.kind is Kind.USER or each.connection == only.connection
        )

    def _connections(
        self,
        grant: Grant,
        sessions: Sequence[Session],
        certificates: Sequence[Entry],
        only: Session | None,
    ) -> tuple[Jump, ...]:
        """Those that carried its sessions, that a target's certificate was signed for, or that
        came by a certificate that counts for this grant alone."""
        ids = {each.connection for each in sessions}
        serials: set[int | None] = set()
        if only is None:
            ids |= {each.connection for each in certificates if each.connection is not None}
            own = (each for each in certificates if each.kind is Kind.USER)
            serials = {each.serial for each in own if each.grants == {grant.id}}
        found = (
            jump for jump in self._jumps(grant) if jump.id in ids or jump.certificate in serials
        )
        return tuple(sorted(found, key=lambda jump: jump.id))

    def _jumps(self, grant: Grant) -> Iterator[Jump]:
        before = None
        wanted = WantedJumps(user=grant.user)
        while page := self._store.connections(wanted, limit=_PAGE, before=before):
            yield from page
            before = page[-1].id

    def _policies(self, grant: Grant, requests: Sequence[Request]) -> tuple[Kept, ...]:
        versions = [grant.policy, *(each.policy for each in requests)]
        versions += [each.policy for request in requests for each in request.approvals]
        return tuple(sorted(self._kept(versions), key=lambda kept: kept.at))

    def _kept(self, versions: Collection[str | None]) -> Iterator[Kept]:
        for version in dict.fromkeys(versions):
            kept = None if version is None else self._store.policy(version)
            if kept is not None:
                yield kept


def _named(grant: Grant, requests: Sequence[Request]) -> Iterator[str]:
    """Everybody whom a grant and its requests name."""
    yield from (grant.user, grant.granted_by, *grant.approved_by)
    yield from (grant.revoked_by or "", grant.reviewed_by or "")
    for request in requests:
        yield from (request.user, request.asked_by, *request.approvers)
        yield from (request.decided_by or "", request.sponsor or "")
