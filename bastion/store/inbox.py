"""The inbox: requests, and deciding them. Each method is one transaction, as in `store`.

Who may decide is judged by the caller, on what stands in the database at that moment: the
judgement is handed in, and runs within the transaction that keeps what came of it. Two approvers
in the same millisecond are one after the other here.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection

from bastion import happenings
from bastion.actor import Actor
from bastion.errors import NotFound
from bastion.events import Happened, What
from bastion.grants import Grant
from bastion.inventory import Host, Role, User
from bastion.requests import Approval, Request, Standing
from bastion.store import events, grants, hosts, requests, users
from bastion.store.store import Store


@dataclass(frozen=True, slots=True)
class Case:
    """What a request is decided from, as it stands in the transaction that decides.

    `people` are the requester, whoever approved so far, and the actor, by name; who is not there
    does not exist.
    `enrollers` gave the requester the account or a key; `givers` are who enrolled which key of the
    `people`, by its fingerprint. `extends` is the grant that is to last longer.
    """

    request: Request
    requester: User
    enrollers: frozenset[str]
    people: dict[str, User]
    inventory: list[Host]
    givers: dict[str, frozenset[str]] = field(default_factory=dict)
    extends: Grant | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of a request: a grant to be given, or a new end of the one it extends.

    Neither, while others have to agree.
    """

    grant: Grant | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A request as it now stands, and the grant that came of it, if one did."""

    request: Request
    grant: Grant | None = None


Judge: TypeAlias = Callable[[Case], tuple[Approval | None, Outcome]]
"""Says what comes of a request, and with whose yes; or raises, and then nothing was written."""


class Inbox:
    """Requests, on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def request(self, number: int) -> Request | None:
        """The request `R-<number>`."""
        with self._store.read() as connection:
            return requests.get(connection, number)

    def requests(
        self,
        wanted: requests.Wanted | None = None,
        *,
        limit: int = requests.MOST_ROWS,
        before: int | None = None,
    ) -> list[Request]:
        """The newest first, at most `limit`; for the next page, `before` is the last one's id."""
        with self._store.read() as connection:
            return requests.find(connection, wanted or requests.Wanted(), limit, before)

    def approvers(self) -> list[User]:
        """All whose role lets them approve, by name."""
        with self._store.read() as connection:
            return users.having(connection, Role.APPROVER)

    def case(self, number: int, by: str) -> Case:
        """What `R-<number>` would be decided from by `by`, to be looked at. Raises NotFound."""
        with self._store.read() as connection:
            return _case(connection, _known(connection, number), by)

    def cases(self, found: Collection[Request], by: str | None = None) -> list[Case]:
        """The same for several that were found, in one view. Raises NotFound."""
        with self._store.read() as connection:
            inventory = hosts.inventory(connection) if found else []
            return [_case(connection, each, by or each.user, inventory) for each in found]

    def add(
        self, request: Request, by: Actor, now: datetime, judge: Judge | None = None
    ) -> Decided:
        """A new request. What comes of it at once, `judge` says; without one it waits.

        Raises Conflict when too many wait, or when it is asked already that a grant last longer.
        """
        with self._store.writing(now) as connection:
            if request.extends is not None:
                requests.demand_only(connection, request.extends, now)
            kept = requests.add(connection, request)
            told = happenings.of_request(by, What.REQUEST_MADE, kept)
            events.append(connection, self._store.chain, told, now)
            approval, outcome = None, Outcome()
            if judge is not None:
                approval, outcome = judge(_case(connection, kept, by.name))
            decided = self._settled(connection, kept, by, now, approval=approval, outcome=outcome)
            requests.demand_room(connection, request.user, now)
            return decided

    def approve(self, number: int, by: Actor, now: datetime, judge: Judge) -> Decided:
        """Somebody agrees; `judge` says what comes of it. Raises NotFound, Conflict."""
        with self._store.writing(now) as connection:
            case = _case(connection, _known(connection, number), by.name)
            if case.request.standing(now) is not Standing.PENDING:
                raise requests.why_not(number, case.request, now)
            approval, outcome = judge(case)
            request = case.request
            return self._settled(connection, request, by, now, approval=approval, outcome=outcome)

    def deny(self, number: int, by: Actor, reason: str, now: datetime) -> Request:
        """Turn a request down. Raises NotFound, Conflict."""
        with self._store.writing(now) as connection:
            standing = Standing.DENIED
            ended = requests.decide(connection, number, standing, by.name, now, comment=reason)
            told = happenings.of_request(by, What.REQUEST_DENIED, ended, reason)
            events.append(connection, self._store.chain, told, now)
            return ended

    def cancel(self, number: int, by: Actor, now: datetime) -> Request:
        """Withdraw a request. Raises NotFound, Conflict."""
        with self._store.writing(now) as connection:
            ended = requests.decide(connection, number, Standing.CANCELLED, by.name, now)
            told = happenings.of_request(by, What.REQUEST_CANCELLED, ended)
            events.append(connection, self._store.chain, told, now)
            return ended

    def _settled(
        self,
        connection: Connection,
        request: Request,
        by: Actor,
        now: datetime,
        *,
        approval: Approval | None,
        outcome: Outcome,
    ) -> Decided:
        """Keep the approval, and what comes of the request."""
        chain = self._store.chain
        if approval is not None:
            requests.approve(connection, request.id, approval)
            told = happenings.of_approval(by, request, approval)
            events.append(connection, chain, told, now)
        given = _given(connection, request, outcome, now)
        if given is None:
            return Decided(requests.get(connection, request.id) or request)
        decided = requests.decide(
            connection, request.id, Standing.APPROVED, by.name, now, grant=given.id
        )
        policy = request.policy if approval is None else approval.policy
        events.append(connection, chain, _told(by, decided, given, policy), now)
        return Decided(decided, given)


def _told(by: Actor, request: Request, given: Grant, policy: str | None) -> Happened:
    """What came of a request. Of one that lasts longer, the rules of today let it, by `policy`."""
    if request.extends is None:
        told = happenings.of_grant(by, What.GRANT_GIVEN, given, request.reason)
    else:
        told = happenings.of_grant(by, What.GRANT_EXTENDED, given, request.reason)
        told = replace(told, details={**told.details, "rule": request.rule, "policy": policy})
    return replace(told, request=request.id)


def _given(
    connection: Connection, request: Request, outcome: Outcome, now: datetime
) -> Grant | None:
    if outcome.grant is not None:
        return grants.add(connection, replace(outcome.grant, request=request.id), now)
    if outcome.until is not None and request.extends is not None:
        return grants.extend(connection, request.extends, outcome.until, now)
    return None


def _known(connection: Connection, number: int) -> Request:
    request = requests.get(connection, number)
    if request is None:
        raise NotFound(f"There is no request R-{number}.")
    return request


def _case(
    connection: Connection, request: Request, by: str, inventory: list[Host] | None = None
) -> Case:
    people = users.called(connection, {request.user, by, *request.approvers})
    requester = people.get(request.user)
    if requester is None:
        raise users.unknown(request.user)
    return Case(
        request=request,
        requester=requester,
        enrollers=users.enrollers(connection, request.user),
        people=people,
        inventory=hosts.inventory(connection) if inventory is None else inventory,
        givers=users.givers(connection, people.keys()),
        extends=None if request.extends is None else grants.get(connection, request.extends),
    )
