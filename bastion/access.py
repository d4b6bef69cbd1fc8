"""The verbs of access: grant, revoke, certificate, kill. Each checks, and then does one thing.

They exist once, for the command line and the control plane alike. Whoever may use which verb is
the caller's to know; who it was comes in as an `Actor`. Every refusal is a sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastion.actor import Actor
from bastion.authority import Authority
from bastion.errors import NotFound, Refused, Unavailable
from bastion.granting import Granted, Proposal, judge
from bastion.grants import Grant
from bastion.inventory import PublicKey, User
from bastion.jumps import Kill
from bastion.ledger import Draft, Entry, Kind, Signed
from bastion.names import free_text
from bastion.policy import clock
from bastion.store import Store

TOLERANCE = timedelta(seconds=5)
"""How far the clock may be behind the latest time that was kept."""

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
    """The verbs, on one store and one authority. `lifetime` is the longest of a certificate."""

    def __init__(self, store: Store, authority: Authority, lifetime: timedelta) -> None:
        self._store = store
        self._authority = authority
        self._lifetime = lifetime

    def grant(self, actor: Actor, proposal: Proposal, now: datetime) -> Granted:
        """Give an access. Whatever it raises, nothing was written then."""
        self._check_clock(now)
        user = self._store.user(proposal.user)
        if user is None:
            raise NotFound(f"There is no user {proposal.user}: bastion-admin user add makes one.")
        judged = judge(proposal, user, self._store.hosts(), actor.name, now)
        return replace(judged, grant=self._store.add_grant(judged.grant, actor, now))

    def revoke(self, actor: Actor, number: int, reason: str, now: datetime) -> Grant:
        """End `G-<number>` now. Raises NotFound, or Conflict where it is over already."""
        return self._store.revoke_grant(number, actor, free_text(reason, "reason"), now)

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
        self._check_clock(now)
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

    def _check_clock(self, now: datetime) -> None:
        latest = self._store.latest_time()
        if latest is not None and now + TOLERANCE < latest:
            raise Unavailable(
                f"The clock says {clock(now)}, but {clock(latest)} has been already: set it right, "
                "then look at bastion-admin doctor."
            )


def _nothing_granted(later: Sequence[Grant]) -> str:
    if not later:
        return "You have no grant, so there is nothing to certify: ask whoever invited you."
    first = min(later, key=lambda g: g.starts_at)
    return f"{first} begins at {clock(first.starts_at)}: fetch a certificate nearer to that."
