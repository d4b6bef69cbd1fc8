"""What comes of a request when somebody agrees to it: by today's rules, from a case. Pure.

A case is what stands in the database at the moment of deciding. Nothing is written here, and what
was judged earlier is judged again: the rules, the requester, who agreed before, how they signed in.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from bastion import petition
from bastion.actor import Actor
from bastion.approvals import Bench, Signature, barred_from
from bastion.denials import clock
from bastion.errors import BadInput, BastionError, Conflict, NotFound, Refused
from bastion.granting import allowed
from bastion.grants import Grant
from bastion.inventory import User, machines
from bastion.people import People
from bastion.requests import Approval, Request
from bastion.rules import Rules
from bastion.ruling import Ruling, Way
from bastion.store.inbox import Case, Outcome


@dataclass(frozen=True, slots=True)
class Judged:
    """What comes of it, and what the last who agreed should know, a sentence each."""

    outcome: Outcome
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a request waits for, in words, and some of those who may bring it further."""

    needs: tuple[str, ...]
    people: tuple[str, ...]


class Judging:
    """Judges cases; `people` says whom an account of the machine acts as."""

    def __init__(self, people: People) -> None:
        self._people = people

    def judge(
        self, rules: Rules, case: Case, actor: Actor, approval: Approval, way: Way = Way.REQUEST
    ) -> Judged:
        """What comes of a request when `approval` is added to those that it has.

        Raises Refused where it is not this person's to decide; Conflict where today's rules allow
        it no more, or where she has agreed already.
        """
        request, now = case.request, approval.at
        ruling = self._ruling(rules, case, now, way)
        if way is Way.OPERATOR and not ruling.needs:
            return _outcome(case, ruling, (actor.name,), approval)
        bench = self._bench(case, ruling)
        user, agreed = case.people.get(actor.name), _agreed(bench, case, ruling)
        if user in agreed and bench.unmet(agreed, now):
            raise Conflict(f"You have approved {request} already; it takes somebody else too.")
        signature = Signature(actor.key, actor.signed_in_at)
        refused = bench.why_not(user, actor.name, signature, now)
        if refused is not None or user is None:
            raise Refused(refused or "")
        if bench.unmet([*agreed, user], now):
            return Judged(Outcome())
        counted = [each.name for each in agreed if bench.counts(each, now)]
        return _outcome(case, ruling, tuple(dict.fromkeys([*counted, user.name])), approval)

    def may_agree(self, rules: Rules, case: Case, name: str, now: datetime) -> bool:
        """Whether this person's consent would be one. Raises as `judge` does."""
        ruling = self._ruling(rules, case, now)
        bench = self._bench(case, ruling)
        user, agreed = case.people.get(name), _agreed(bench, case, ruling)
        if user in agreed and bench.unmet(agreed, now):
            return False
        return bench.counts(user, now)

    def lacking(self, rules: Rules, case: Case, users: Iterable[User], now: datetime) -> Lacking:
        """What it waits for. Raises as `judge` does."""
        ruling = self._ruling(rules, case, now)
        bench = self._bench(case, ruling)
        agreed = _agreed(bench, case, ruling)
        people = bench.eligible(users, [each.name for each in agreed], now)
        # Rules that have come to want less: whoever approves it next is enough.
        needs = tuple(map(str, bench.unmet(agreed, now))) or ("any approver",)
        return Lacking(needs, tuple(people))

    def _ruling(self, rules: Rules, case: Case, now: datetime, way: Way = Way.REQUEST) -> Ruling:
        """What the rules say today. Raises Conflict where they allow it no more."""
        request = case.request
        if not case.requester.may_sign_in(now):
            raise Conflict(f"The account {request.user} is closed; {request} can't be approved.")
        for host in request.hosts:
            if host.exact and not any(host.matches(each) for each in case.inventory):
                raise _no_more(request, f"There is no host {host} any more.")
        if case.extends is None:
            asking = petition.asking_for(petition.wished(request), case.requester)
        else:
            demand_running(case.extends, now)
            longer, why = request.duration, request.reason
            asking = petition.extending(case.extends, longer, case.requester, why, way)
        try:
            ruling = allowed(rules, asking, case.inventory)
        except BastionError as error:
            raise _no_more(request, str(error)) from None
        if case.extends is not None:
            petition.demand_within(case.extends, ruling)
        return ruling

    def _bench(self, case: Case, ruling: Ruling) -> Bench:
        request, requester = case.request, case.requester.name
        barred = barred_from(case.requester, self._people.persons(case.enrollers))
        if request.sponsor is not None and request.sponsor not in barred:
            barred[request.sponsor] = (
                f"{request.sponsor} vouched for {requester} when it was asked."
            )
        if request.extends is None and request.asked_by not in barred:
            asker = request.asked_by
            barred[asker] = f"{asker} asked for it, so somebody else has to approve."
        given = {
            fingerprint
            for fingerprint, givers in case.givers.items()
            if requester in self._people.persons(givers)
        }
        return Bench(
            needs=ruling.needs,
            hosts=tuple(h for h in case.inventory if any(s.matches(h) for s in request.hosts)),
            barred=barred,
            hardware=ruling.rule.hardware_approvers,
            fresh=ruling.rule.approver_login,
            requester=requester,
            people=self._people,
            given=frozenset(given),
            machines=machines(request.hosts, case.inventory),
        )


def demand_running(grant: Grant, now: datetime) -> None:
    """Raises Conflict where a grant is over: what was revoked is, whatever the clock says."""
    if grant.revoked_at is not None:
        raise Conflict(f"{grant} was revoked at {clock(grant.revoked_at)}: ask for a new one.")
    if now >= grant.ends_at:
        raise Conflict(f"{grant} ended at {clock(grant.ends_at)}: ask for a new one.")


def _outcome(case: Case, ruling: Ruling, by: tuple[str, ...], last: Approval) -> Judged:
    """What everybody has agreed to: the shortest of what they said."""
    request = case.request
    said = (each.duration for each in (*request.approvals, last) if each.duration is not None)
    duration = min((request.duration, *said))
    if case.extends is not None:
        return Judged(Outcome(until=case.extends.ends_at + duration))
    wish = replace(petition.wished(request), duration=duration)
    try:
        judged = petition.granted(wish, ruling, case.requester, case.inventory, last.at)
    except (BadInput, NotFound, Refused) as error:
        raise _no_more(request, str(error)) from None
    grant = replace(judged.grant, approved_by=by, granted_by=by[-1])
    return Judged(Outcome(grant=grant), judged.warnings)


def _agreed(bench: Bench, case: Case, ruling: Ruling) -> list[User]:
    """Who has agreed so far in a way that stands today."""
    return bench.agreed(case.request.approvals, case.people, ruling.version)


def _no_more(request: Request, why: str) -> Conflict:
    """Why nobody can agree to a request that once could be asked for."""
    stopped = why if why.endswith(".") else f"{why}."
    return Conflict(f"{request} can't be approved any more. {stopped} Let {request.user} ask anew.")
