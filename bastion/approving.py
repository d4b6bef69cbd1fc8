"""The verbs of asking: request, approve, deny, cancel, extend. Each is judged by today's rules.

They exist once, for the command line and the control plane alike. Whoever may use which verb is
the caller's to know; who it was, and by which key, comes in as an `Actor`. Every refusal is a
sentence, and nothing was written then. Deciding runs within one transaction (`store.inbox`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastion.actor import Actor
from bastion.approvals import Bench, Signature, barred_from
from bastion.errors import BastionError, Conflict, NotFound, Refused
from bastion.granting import allowed
from bastion.grants import Grant, State
from bastion.inventory import User
from bastion.names import free_text
from bastion.people import People
from bastion.petition import Wish, asking_for, extending, granted, shorter, wished, written
from bastion.policy import clock
from bastion.requests import Approval, Request, Standing
from bastion.rules import Rules
from bastion.ruling import Ruling, Way
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
        self._lifetime = lifetime

    # Asking

    def request(self, actor: Actor, wish: Wish, now: datetime) -> Answer:
        """Ask for an access; where the rules want nobody's consent it is given at once.

        Raises Refused where no rule allows it, BadInput with everything that is missing,
        Conflict where too many requests wait.
        """
        self._store.demand_right_clock(now)
        user = self._open_user(wish.user, now)
        inventory = self._store.hosts()
        ruling = allowed(self._rules(), asking_for(wish, user), inventory)
        judged = granted(wish, ruling, user, inventory, now)
        request = written(wish, judged.grant, actor, now, self._lifetime)
        outcome = None if ruling.needs else Outcome(grant=judged.grant)
        decided = self._inbox.add(request, actor, now, outcome=outcome)
        return replace(self._answer(decided, now), warnings=judged.warnings)

    def cancel(self, actor: Actor, number: int, now: datetime) -> Request:
        """Withdraw one's own request. Raises NotFound, also for somebody else's; Conflict."""
        request = self._request(number)
        if actor.is_user and actor.name not in {request.user, request.asked_by}:
            raise NotFound(f"There is no request R-{number} of yours.")
        return self._inbox.cancel(number, actor, now)

    def standing(self, request: Request, now: datetime) -> Answer:
        """What a request waits for, and who may agree to it."""
        given = None if request.grant is None else self._store.grant(request.grant)
        return self._answer(Decided(request, given), now)

    def may_decide(self, actor: Actor, request: Request, now: datetime) -> bool:
        """Whether this person may agree to it as things stand, and has not yet."""
        if request.standing(now) is not Standing.PENDING or actor.name in request.approvers:
            return False
        case = self._inbox.case(request.id, actor.name)
        try:
            bench = self._bench(case, self._ruling(self._rules(), case, now))
        except BastionError:
            return False
        return bench.counts(case.people.get(actor.name), now)

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
        rules = self._rules()
        said = None if comment is None else free_text(comment, "comment")
        warnings: list[str] = []

        def judge(case: Case) -> tuple[Approval, Outcome]:
            less = shorter(case.request, duration)
            approval = _approval(actor, rules, less, said, now)
            outcome, told = self._judged(rules, case, actor, approval)
            warnings.extend(told)
            return approval, outcome

        decided = self._inbox.approve(number, actor, now, judge)
        return replace(self._answer(decided, now), warnings=tuple(warnings))

    def deny(self, actor: Actor, number: int, reason: str, now: datetime) -> Request:
        """Turn a request down. Raises NotFound, Conflict, Refused: one's own is withdrawn."""
        request = self._request(number)
        if self._people.person(actor.name) == request.user:
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
        grant = self._running(number, now)
        waiting = self._waiting_extension(number, now)
        if waiting is not None and actor.name != waiting.user:
            return self.approve(actor, waiting.id, now, duration=min(duration, waiting.duration))
        if waiting is not None:
            raise Conflict(f"{waiting} asks for that already, and waits.")
        return self._ask_to_extend(actor, grant, duration, reason or grant.reason, now)

    def _ask_to_extend(
        self, actor: Actor, grant: Grant, duration: timedelta, reason: str, now: datetime
    ) -> Answer:
        rules = self._rules()
        user = self._open_user(grant.user, now)
        way = Way.REQUEST if actor.is_user else Way.OPERATOR
        inventory = self._store.hosts()
        asking = extending(grant, duration, user, free_text(reason, "reason"), way)
        ruling = allowed(rules, asking, inventory)
        request = Request(
            id=0,
            user=grant.user,
            asked_by=actor.name,
            hosts=grant.hosts,
            logins=grant.logins,
            allows=grant.allows,
            duration=duration,
            reason=free_text(reason, "reason"),
            asked_at=now,
            stale_at=min(now + self._lifetime, grant.ends_at),
            ticket=grant.ticket,
            sources=grant.sources,
            window=grant.window,
            extends=grant.id,
            source=actor.source,
            rule=ruling.rule.name,
            policy=ruling.version,
        )
        if not ruling.needs:
            outcome = Outcome(until=grant.ends_at + duration)
            return self._answer(self._inbox.add(request, actor, now, outcome=outcome), now)
        if self._people.person(actor.name) == grant.user:
            return self._answer(self._inbox.add(request, actor, now), now)
        case = self._inbox.case_of(request, actor.name)
        approval = _approval(actor, rules, None, None, now)
        outcome, _ = self._judged(rules, case, actor, approval)
        decided = self._inbox.add(request, actor, now, approval=approval, outcome=outcome)
        return self._answer(decided, now)

    def _judged(
        self, rules: Rules, case: Case, actor: Actor, approval: Approval
    ) -> tuple[Outcome, tuple[str, ...]]:
        """What comes of a request when `approval` is added to those that it has."""
        request, now = case.request, approval.at
        if approval.by in request.approvers:
            raise Conflict(f"You have approved {request} already; it takes somebody else too.")
        ruling = self._ruling(rules, case, now)
        bench = self._bench(case, ruling)
        name = self._people.person(actor.name)
        signature = Signature(actor.key, actor.signed_in_at)
        refused = bench.why_not(case.people.get(name), name, signature, now)
        if refused is not None:
            raise Refused(refused)
        if bench.unmet([*_agreed(case, ruling), case.people[name]], now):
            return Outcome(), ()
        return self._outcome(case, ruling, [*request.approvals, approval], now)

    def _outcome(
        self, case: Case, ruling: Ruling, approvals: list[Approval], now: datetime
    ) -> tuple[Outcome, tuple[str, ...]]:
        """What everybody has agreed to: the shortest of what they said."""
        request = case.request
        said = [each.duration for each in approvals if each.duration is not None]
        duration = min([request.duration, *said])
        by = tuple(each.by for each in approvals)
        if case.extends is not None:
            return Outcome(until=case.extends.ends_at + duration), ()
        wish = replace(wished(request), duration=duration)
        try:
            judged = granted(wish, ruling, case.requester, case.inventory, now)
        except NotFound as gone:
            sentence = f"{request} can't be approved any more: {gone} Let {request.user} ask anew."
            raise Conflict(sentence) from None
        grant = replace(judged.grant, approved_by=by, granted_by=by[-1])
        return Outcome(grant=grant), judged.warnings

    def _ruling(self, rules: Rules, case: Case, now: datetime) -> Ruling:
        """What the rules say today. Raises Conflict where they allow it no more."""
        request = case.request
        if not case.requester.may_sign_in(now):
            raise Conflict(f"The account {request.user} is closed; {request} can't be approved.")
        if case.extends is None:
            asking = asking_for(wished(request), case.requester)
        else:
            self._demand_running(case.extends, now)
            asking = extending(
                case.extends, request.duration, case.requester, request.reason, Way.REQUEST
            )
        try:
            return allowed(rules, asking, case.inventory)
        except BastionError as error:
            sentence = f"{request} can't be approved by today's rules: {error}"
            raise Conflict(f"{sentence} Let {request.user} ask anew.") from None

    def _bench(self, case: Case, ruling: Ruling) -> Bench:
        meant = case.request.hosts
        return Bench(
            needs=ruling.needs,
            hosts=tuple(h for h in case.inventory if any(s.matches(h) for s in meant)),
            barred=barred_from(case.requester, self._people.persons(case.enrollers)),
            hardware=ruling.rule.hardware_approvers,
            fresh=ruling.rule.approver_login,
        )

    def _answer(self, decided: Decided, now: datetime) -> Answer:
        request = decided.request
        if request.standing(now) is not Standing.PENDING:
            return Answer(request, decided.grant)
        case = self._inbox.case(request.id, request.user)
        try:
            ruling = self._ruling(self._rules(), case, now)
        except BastionError as error:
            return Answer(request, warnings=(str(error),))
        bench, agreed = self._bench(case, ruling), _agreed(case, ruling)
        people = bench.eligible(self._store.users(), request.approvers, now)
        waits_for = tuple(map(str, bench.unmet(agreed, now)))
        return Answer(request, None, waits_for, tuple(people))

    # Looking up

    def _request(self, number: int) -> Request:
        request = self._inbox.request(number)
        if request is None:
            raise NotFound(f"There is no request R-{number}.")
        return request

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
        self._demand_running(grant, now)
        return grant

    def _demand_running(self, grant: Grant, now: datetime) -> None:
        state = grant.state(now)
        if state is State.REVOKED:
            raise Conflict(f"{grant} was revoked at {clock(grant.revoked_at)}: ask for a new one.")
        if now >= grant.ends_at:
            raise Conflict(f"{grant} ended at {clock(grant.ends_at)}: ask for a new one.")

    def _waiting_extension(self, number: int, now: datetime) -> Request | None:
        pending = frozenset({Standing.PENDING})
        wanted = Wanted(extends=number, standings=pending, at=now)
        return next(iter(self._inbox.requests(wanted, limit=1)), None)


def _approval(
    actor: Actor, rules: Rules, duration: timedelta | None, comment: str | None, now: datetime
) -> Approval:
    return Approval(
        by=actor.name,
        at=now,
        duration=duration,
        comment=comment,
        source=actor.source,
        fingerprint=None if actor.key is None else actor.key.fingerprint,
        policy=rules.version,
    )


def _agreed(case: Case, ruling: Ruling) -> list[User]:
    """Who approved so far in a way that the rule of today takes."""
    return [
        case.people[each.by]
        for each in case.request.approvals
        if each.by in case.people
        and (not ruling.rule.hardware_approvers or _by_hardware(case.people[each.by], each))
    ]


def _by_hardware(user: User, approval: Approval) -> bool:
    return any(k.hardware and k.fingerprint == approval.fingerprint for k in user.keys)
