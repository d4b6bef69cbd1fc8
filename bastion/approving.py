"""The verbs of asking: request, approve, deny, cancel, extend. Each is judged by today's rules.

They exist once, for the command line and the control plane alike. Whoever may use which verb is
the caller's to know; who it was, and by which key, comes in as an `Actor`, and an account of the
machine acts as the user that it is mapped to. Every refusal is a sentence, and nothing but the log
knows of it then. Deciding runs within one transaction (`store.inbox`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastion import happenings, petition
from bastion.actor import Actor
from bastion.errors import BastionError, Conflict, NotFound, Refused
from bastion.events import What
from bastion.granting import allowed
from bastion.grants import Grant
from bastion.inventory import User, machines
from bastion.judging import Judging, demand_running
from bastion.names import free_text
from bastion.people import People
from bastion.petition import Wish, agreement, shorter
from bastion.requests import Approval, Request, Standing
from bastion.rules import Rules
from bastion.ruling import Way
from bastion.store import Store
from bastion.store.inbox import Case, Decided, Inbox, Outcome
from bastion.store.requests import Wanted


@dataclass(frozen=True, slots=True)
class Answer:
    """A request as it stands, the grant if there is one, and what it waits for, a phrase each.

    `people` may agree to it; `warnings` are sentences.
    """

    request: Request
    grant: Grant | None = None
    waits_for: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Approving:
    """The verbs, on one store. `rules` gives those in force; `lifetime` is how long one waits."""

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        rules: Callable[[], Rules],
        people: People,
        lifetime: timedelta,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._rules = rules
        self._people = people
        self._judging = Judging(people)
        self._lifetime = lifetime

    # Asking

    def request(self, actor: Actor, wish: Wish, now: datetime) -> Answer:
        """Ask for an access; where the rules want nobody's consent it is given at once.

        Raises Refused where no rule allows it, BadInput with everything that is missing,
        Conflict where too many requests wait.
        """
        self._store.demand_right_clock(now)
        actor, rules = self._present(actor, now), self._rules()
        user = self._open_user(wish.user, now)
        petition.demand_possible(wish, now)
        inventory = self._store.hosts()
        details = petition.details_of(wish, rules.version)
        with self._refusals_told(actor, now, user=user.name, details=details):
            ruling = allowed(rules, petition.asking_for(wish, user), inventory)
        judged = petition.granted(wish, ruling, user, inventory, now)
        request = replace(
            petition.written(wish, judged.grant, actor, now, self._lifetime), sponsor=user.sponsor
        )
        outcome = Outcome() if ruling.needs else Outcome(grant=judged.grant)
        decided = self._inbox.add(request, actor, now, lambda _: (None, outcome))
        return replace(self._answer(decided, now), warnings=judged.warnings)

    def cancel(self, actor: Actor, number: int, now: datetime) -> Request:
        """Withdraw one's own request. Raises NotFound, also for somebody else's; Conflict."""
        actor = self._present(actor, now)
        request = self._inbox.request(number)
        if not _operates(actor) and (request is None or actor.name not in _askers(request)):
            raise NotFound(f"There is no request R-{number} of yours.")
        return self._inbox.cancel(number, actor, now)

    def standing(self, request: Request, now: datetime) -> Answer:
        """What a request waits for, and who may agree to it."""
        given = None if request.grant is None else self._store.grant(request.grant)
        return self._answer(Decided(request, given), now)

    def standings(self, found: Sequence[Request], now: datetime) -> list[Answer]:
        """The same for several that wait; those that are decided come without their grants."""
        waiting = [each for each in found if each.standing(now) is Standing.PENDING]
        users = self._inbox.approvers() if waiting else []
        cases = {case.request.id: case for case in self._inbox.cases(waiting)}
        return [
            self._waiting(cases[each.id], users, now) if each.id in cases else Answer(each)
            for each in found
        ]

    def may_decide(self, actor: Actor, request: Request, now: datetime) -> bool:
        """Whether this person may agree to it as things stand, and has not yet."""
        if request.standing(now) is not Standing.PENDING:
            return False
        name = self._person(actor).name
        return self._may_agree(self._inbox.case(request.id, name), name, now)

    def to_decide(self, actor: Actor, found: Sequence[Request], now: datetime) -> list[Request]:
        """Those of several that this person may agree to."""
        name = self._person(actor).name
        waiting = [each for each in found if each.standing(now) is Standing.PENDING]
        cases = self._inbox.cases(waiting, name)
        return [case.request for case in cases if self._may_agree(case, name, now)]

    # Deciding

    def approve(
        self,
        actor: Actor,
        number: int,
        now: datetime,
        *,
        duration: timedelta | None = None,
        comment: str | None = None,
    ) -> Answer:
        """Agree to a request, or to a shorter one.

        What all approvals together make of it is given at once when nobody else has to agree.
        Raises Refused where it is not this person's to decide, Conflict, NotFound, BadInput.
        """
        self._store.demand_right_clock(now)
        actor = self._present(actor, now)
        said = None if comment is None else free_text(comment, "comment")
        with self._refusals_told(actor, now, request=number):
            return self._agree(actor, number, now, duration=duration, comment=said)

    def deny(self, actor: Actor, number: int, reason: str, now: datetime) -> Request:
        """Turn a request down. Raises NotFound, Conflict, Refused: one's own is withdrawn."""
        actor, request = self._present(actor, now), self._inbox.request(number)
        if request is not None and actor.name == request.user:
            raise Refused(f"{request} is your own: withdraw it with cancel {request}.")
        return self._inbox.deny(number, actor, free_text(reason, "reason"), now)

    def extend(
        self,
        actor: Actor,
        number: int,
        duration: timedelta,
        now: datetime,
        reason: str | None = None,
    ) -> Answer:
        """Let `G-<number>` last `duration` longer, by the rules.

        Where one consent is enough and it is this person's to give, at once; else it is a request
        that waits, and counts for one consent. A second call by somebody else agrees to it.
        Raises NotFound, Conflict where it is over, Refused, BadInput.
        """
        self._store.demand_right_clock(now)
        actor = self._present(actor, now)
        said = None if reason is None else free_text(reason, "reason")
        grant = self._running(number, now)
        if grant.emergency:
            raise Refused(f"{grant} is break-glass and does not last longer: ask for an access.")
        with self._refusals_told(actor, now, user=grant.user, grant=number):
            waiting = self._waiting_extension(number, now)
            if waiting is None:
                try:
                    return self._ask_to_extend(actor, grant, duration, said or grant.reason, now)
                except Conflict:  # where somebody asks in the same moment, this agrees to that
                    waiting = self._waiting_extension(number, now)
                    if waiting is None:
                        raise
            if actor.name == waiting.user:
                raise Conflict(f"{waiting} asks for that already, and waits.")
            less, way = min(duration, waiting.duration), _way(actor, grant)
            return self._agree(actor, waiting.id, now, duration=less, comment=said, way=way)

    def _ask_to_extend(
        self, actor: Actor, grant: Grant, duration: timedelta, reason: str, now: datetime
    ) -> Answer:
        rules, user = self._rules(), self._open_user(grant.user, now)
        asking = petition.extending(grant, duration, user, reason, _way(actor, grant))
        ruling = allowed(rules, asking, self._store.hosts())
        petition.demand_within(grant, ruling)
        request = petition.lengthening(
            grant,
            duration,
            reason,
            ruling,
            by=actor,
            sponsor=user.sponsor,
            now=now,
            lifetime=self._lifetime,
        )

        def judge(case: Case) -> tuple[Approval | None, Outcome]:
            if case.extends is None or case.extends.ends_at != grant.ends_at:
                raise Conflict(f"{grant} has been given another end meanwhile: look at it again.")
            if not ruling.needs:
                return None, Outcome(until=grant.ends_at + duration)
            if actor.name == grant.user:
                return None, Outcome()
            approval = agreement(actor, rules.version, _behind(case), now)
            return approval, self._judging.judge(rules, case, actor, approval).outcome

        return self._answer(self._inbox.add(request, actor, now, judge), now)

    def _agree(
        self,
        actor: Actor,
        number: int,
        now: datetime,
        *,
        duration: timedelta | None,
        comment: str | None,
        way: Way = Way.REQUEST,
    ) -> Answer:
        rules = self._rules()
        warnings: list[str] = []

        def judge(case: Case) -> tuple[Approval, Outcome]:
            less = shorter(case.request, duration)
            behind = _behind(case)
            approval = agreement(actor, rules.version, behind, now, duration=less, comment=comment)
            judged = self._judging.judge(rules, case, actor, approval, way)
            warnings.extend(judged.warnings)
            return approval, judged.outcome

        decided = self._inbox.approve(number, actor, now, judge)
        return replace(self._answer(decided, now), warnings=tuple(warnings))

    def _answer(self, decided: Decided, now: datetime) -> Answer:
        request = decided.request
        if request.standing(now) is not Standing.PENDING:
            return Answer(request, decided.grant)
        case = self._inbox.case(request.id, request.user)
        return self._waiting(case, self._inbox.approvers(), now)

    def _waiting(self, case: Case, users: Sequence[User], now: datetime) -> Answer:
        try:
            lacking = self._judging.lacking(self._rules(), case, users, now)
        except BastionError as error:
            return Answer(case.request, warnings=(str(error),))
        return Answer(case.request, None, lacking.needs, lacking.people)

    def _may_agree(self, case: Case, name: str, now: datetime) -> bool:
        try:
            return self._judging.may_agree(self._rules(), case, name, now)
        except BastionError:
            return False

    @contextmanager
    def _refusals_told(self, actor: Actor, now: datetime, **about: object) -> Iterator[None]:
        """The log hears of what was refused within the block."""
        try:
            yield
        except Refused as refused:
            told = happenings.by(actor, What.REQUEST_REFUSED, why=str(refused), **about)
            self._store.tell(told, now)
            raise

    # Looking up

    def _person(self, actor: Actor) -> Actor:
        """The same as the user whom an account of the machine acts as."""
        name = self._people.person(actor.name)
        if name == actor.name:
            return actor
        return replace(actor, name=name, account=actor.account or actor.name.removeprefix("os:"))

    def _present(self, actor: Actor, now: datetime) -> Actor:
        """The same, if she may still be here: who signed in may have been shut out since."""
        actor = self._person(actor)
        user = None if actor.key is None else self._store.user(actor.name)
        if user is None or actor.key is None:
            return actor
        if not user.may_sign_in(now):
            raise Refused(f"The account {user.name} is closed.")
        if all(key.blob != actor.key.blob for key in user.keys):
            raise Refused(f"The key {actor.key.fingerprint} is not enrolled for you any more.")
        return actor

    def _open_user(self, name: str, now: datetime) -> User:
        user = self._store.user(name)
        if user is None:
            raise NotFound(f"There is no user {name}: bastion-admin user add makes one.")
        if not user.may_sign_in(now):
            raise Refused(f"The account {name} is closed.")
        return user

    def _running(self, number: int, now: datetime) -> Grant:
        grant = self._store.grant(number)
        if grant is None:
            raise NotFound(f"There is no grant G-{number}.")
        demand_running(grant, now)
        return grant

    def _waiting_extension(self, number: int, now: datetime) -> Request | None:
        pending = frozenset({Standing.PENDING})
        wanted = Wanted(extends=number, standings=pending, at=now)
        return next(iter(self._inbox.requests(wanted, limit=1)), None)


def _operates(actor: Actor) -> bool:
    """Whether it is somebody on the machine itself, mapped to a user or not."""
    return actor.account is not None or not actor.is_user


def _way(actor: Actor, grant: Grant) -> Way:
    """Operators may let a grant last longer as they may give one: never their own."""
    return Way.OPERATOR if _operates(actor) and actor.name != grant.user else Way.REQUEST


def _askers(request: Request) -> frozenset[str]:
    return frozenset({request.user, request.asked_by})


def _behind(case: Case) -> str:
    """The machines that a consent is given for."""
    return machines(case.request.hosts, case.inventory)
