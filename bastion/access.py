"""The verbs of access: grant, revoke, review, certificate, kill. Each checks, then does one thing.

They exist once, for the command line and the control plane alike. Whoever may use which verb is
the caller's to know; who it was comes in as an `Actor`. Every refusal is a sentence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastion.actor import Actor
from bastion.approvals import Bench, Signature, barred_from, in_words
from bastion.authority import Authority
from bastion.denials import clock
from bastion.errors import Conflict, NotFound, Refused
from bastion.granting import Granted, Proposal, allowed, judge, under
from bastion.grants import Grant
from bastion.inventory import PublicKey, Role, User
from bastion.jumps import Kill
from bastion.ledger import Draft, Entry, Kind, Signed
from bastion.names import free_text
from bastion.people import People
from bastion.rules import Rules
from bastion.ruling import Asking, Ruling, Way
from bastion.store import Store

SHORTEST = timedelta(seconds=1)
"""A certificate counts whole seconds; one for less would be over when it is made."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A contractor's certificate: `line` is the whole `-cert.pub`, `grants` what it counts for."""

    line: str
    serial: int
    valid_before: datetime
    grants: tuple[Grant, ...]


class Access:
    """The verbs, on one store and one authority.

    `lifetime` is the longest of a certificate; `rules` gives the rules that are in force.
    """

    def __init__(
        self,
        store: Store,
        authority: Authority,
        lifetime: timedelta,
        rules: Callable[[], Rules],
        people: People,
    ) -> None:
        self._store = store
        self._authority = authority
        self._lifetime = lifetime
        self._rules = rules
        self._people = people

    def grant(
        self, actor: Actor, proposal: Proposal, now: datetime, *, override: bool = False
    ) -> Granted:
        """Give an access, by the rules, or in spite of them where `override` says so.

        Whatever it raises, nothing was written then.
        """
        self._store.demand_right_clock(now)
        user = self._store.user(proposal.user)
        if user is None:
            raise NotFound(f"There is no user {proposal.user}: bastion-admin user add makes one.")
        giver = self._people.person(actor.name)
        if giver == user.name:
            raise Refused("Nobody grants to herself: ask somebody else to.")
        inventory = self._store.hosts()
        judged = judge(proposal, user, inventory, giver, now)
        if override:
            grant = replace(judged.grant, override=True, policy=self._rules().version)
        else:
            judged = self._by_the_rules(actor, proposal, user, judged, now)
            grant = judged.grant
        return replace(judged, grant=self._store.add_grant(grant, actor, now))

    def _by_the_rules(
        self, actor: Actor, proposal: Proposal, user: User, judged: Granted, now: datetime
    ) -> Granted:
        """The same as the rules want it. Raises Refused, BadInput."""
        if not self._rules().rules:
            raise Refused(
                "There are no rules in policy.toml, so nothing may be given: write one with "
                "operators = true (docs/policy.md), or say --override."
            )
        grant, inventory = judged.grant, self._store.hosts()
        asking = Asking(
            user=user,
            hosts=grant.hosts,
            logins=grant.logins,
            allows=grant.allows,
            duration=grant.ends_at - grant.starts_at,
            way=Way.OPERATOR,
            reason=grant.reason,
            ticket=grant.ticket,
            window=grant.window,
            sources=grant.sources,
            starts_at=grant.starts_at,
        )
        ruling = allowed(self._rules(), asking, inventory)
        within = replace(proposal, window=ruling.window, sources=ruling.sources)
        judged = judge(within, user, inventory, judged.grant.granted_by, now)
        grant = under(ruling, judged.grant)
        if ruling.needs:
            self._demand_alone(actor, user, grant, ruling, now)
            grant = replace(grant, approved_by=(grant.granted_by,))
        return replace(judged, grant=grant)

    def _demand_alone(
        self, actor: Actor, user: User, grant: Grant, ruling: Ruling, now: datetime
    ) -> None:
        """Raises Refused unless the giver may agree to this, and nobody else has to."""
        enrollers = self._people.persons(self._store.key_enrollers(user.name))
        bench = Bench(
            needs=ruling.needs,
            hosts=tuple(host for host in self._store.hosts() if grant.covers(host)),
            barred=barred_from(user, enrollers),
            hardware=ruling.rule.hardware_approvers,
            fresh=ruling.rule.approver_login,
            requester=user.name,
            people=self._people,
        )
        giver = self._store.user(grant.granted_by)
        signature = Signature(actor.key, actor.signed_in_at)
        refused = bench.why_not(giver, grant.granted_by, signature, now)
        if refused is None and giver is not None and bench.unmet([giver], now):
            refused = f"It takes {in_words(ruling.needs)}."
        if refused is not None:
            raise Refused(
                f"The rule {ruling.rule.name} decides this. {refused} Let {user.name} ask for it "
                "(ssh bastion request); --override gives it past the rules, and everybody is told."
            )

    def revoke(self, actor: Actor, number: int, reason: str, now: datetime) -> Grant:
        """End `G-<number>` now. Raises NotFound, or Conflict where it is over already."""
        return self._store.revoke_grant(number, actor, free_text(reason, "reason"), now)

    def review(self, actor: Actor, number: int, comment: str, now: datetime) -> Grant:
        """Close the review of a break-glass grant. Raises NotFound, Conflict, Refused."""
        grant, name = self._store.grant(number), self._people.person(actor.name)
        if grant is not None and grant.user == name:
            raise Refused(f"{grant} was your own: somebody else has to look at it.")
        reviewer = self._store.user(name)
        if reviewer is None or not reviewer.roles & {Role.AUDITOR, Role.ADMIN}:
            raise Refused(f"{name} is no auditor, and only an auditor can close a review.")
        emergency = grant is not None and grant.emergency and grant.revoked_at is None
        if grant is not None and emergency and now < grant.ends_at:
            raise Conflict(f"{grant} is still open: revoke it first, or wait for its end.")
        return self._store.review_grant(number, actor, free_text(comment, "comment"), now)

    def revoke_certificate(self, actor: Actor, serial: int, reason: str, now: datetime) -> Entry:
        """A certificate counts no more. Raises NotFound, or Conflict where it is over already."""
        return self._store.revoke_certificate(serial, actor, free_text(reason, "reason"), now)

    def certificate(
        self, user: User, key: PublicKey, now: datetime, source: str | None = None
    ) -> Issued:
        """A certificate for `key`, for all that the user has been granted.

        Good until the latest end of those grants, the end of the account, or the lifetime,
        whichever is first. Raises Refused with what to do, Unavailable.
        """
        self._store.demand_right_clock(now)
        self._demand_enrolled(user, key, now)
        grants = self._store.grants_not_over(user.name, now)
        counted = tuple(g for g in grants if g.starts_at < now + self._lifetime)
        if not counted:
            raise Refused(_nothing_granted(grants))
        ends = [max(g.ends_at for g in counted), now + self._lifetime, user.until]
        valid_before = min(end for end in ends if end is not None)
        if valid_before - now < SHORTEST:
            raise Refused(f"What you have been granted ends at {clock(valid_before)}.")
        signed = self._signed(user, key, counted, (now, valid_before), source)
        return Issued(f"{signed.line}\n", signed.serial, signed.valid_before, counted)

    def kill(self, actor: Actor, session: int, reason: str, now: datetime) -> Kill:
        """Ask for `S-<session>` to be cut. Raises BadInput for a reason that is none."""
        return self._store.ask_kill(session, actor, free_text(reason, "reason"), now)

    def _signed(
        self,
        user: User,
        key: PublicKey,
        grants: Sequence[Grant],
        valid: tuple[datetime, datetime],
        source: str | None,
    ) -> Signed:
        after, before = valid
        draft = Draft(Kind.USER, user.name, frozenset(g.id for g in grants), after, source)
        return self._store.sign_into_ledger(
            draft,
            lambda serial: self._authority.sign_user(key, user.name, serial, after, before),
        )

    def _demand_enrolled(self, user: User, key: PublicKey, now: datetime) -> None:
        """As it stands in the store now: whoever signed in may have been shut out since."""
        kept = self._store.user(user.name)
        if kept is None or not kept.may_sign_in(now):
            raise Refused("Your account is closed; ask whoever invited you.")
        if all(k.blob != key.blob for k in kept.keys):
            raise Refused(f"The key {key.fingerprint} is not enrolled for you any more.")


def _nothing_granted(later: Sequence[Grant]) -> str:
    if not later:
        return (
            "You have no grant, so there is nothing to certify: ssh bastion request asks for one, "
            "ssh bastion status says what it waits for."
        )
    first = min(later, key=lambda g: g.starts_at)
    return f"{first} begins at {clock(first.starts_at)}: fetch a certificate nearer to that."
