"""Pruning: which recordings have been kept for long enough, and letting them go one by one.

A recording goes only if it is what was sealed, has no hold, and its time is over by rules that are
known to the log, at a time that can be believed. One that can't go never keeps another.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastion.actor import Actor
from bastion.authority import Authority
from bastion.authority.sshsig import sign
from bastion.denials import clock
from bastion.errors import BastionError, Refused
from bastion.retention import GRACE, Fate, Past, Retention, Rule, fate
from bastion.store import Store
from bastion.store.keeping import Keeping
from recorder import Index, Seals, Session
from recorder.errors import CorruptRecording, NotHere, NotLetGo
from recorder.inspection import Inspection
from recorder.manifest import Manifest, read_manifest, sha256_of
from recorder.removal import Removal
from recorder.seals import Kept
from recorder.tombstone import TOMBSTONE_NAMESPACE, Tombstone
from recorder.tombstones import Laid

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Due:
    """A recording whose time is over by a rule; one that is `held` stays all the same."""

    session: Session
    rule: Rule
    held: bool = False


class Pruning:
    """Lets go of what the rules of `retention` say. It blocks."""

    def __init__(
        self,
        retention: Retention,
        *,
        store: Store,
        keeping: Keeping,
        index: Index,
        seals: Seals,
        inspection: Inspection,
        removal: Removal,
        authority: Authority,
        now: Callable[[], datetime],
    ) -> None:
        self.retention = retention
        self.removal = removal
        self._store = store
        self._keeping = keeping
        self._index = index
        self._seals = seals
        self._inspection = inspection
        self._authority = authority
        self._now = now

    # May anything go?

    def demand_right_clock(self) -> None:
        """Raises Unavailable, Refused where the time can't be believed.

        A clock that is years ahead would let everything go. That of a bastion which was off for
        long looks the same: somebody has to say that it is right.
        """
        self._store.demand_right_clock(self._now())
        leap = self._keeping.leap()
        if leap is not None:
            raise Refused(
                f"The clock went from {clock(leap.since)} to {clock(leap.until)} with nothing in "
                f"between, and says {clock(self._now())} now: nothing is let go until somebody "
                "says that it is right, with bastion-admin prune --clock-is-right."
            )

    def heed(self, by: Actor) -> datetime:
        """Tell the log that these rules count, unless it knows; since when they do."""
        return self._keeping.heed(self.retention, by, self._now())

    def demand_known_rules(self) -> None:
        """Raises Refused where others count meanwhile, or these have not for long enough."""
        since = self._keeping.heeded(self.retention)
        if since is None:
            raise Refused(
                "The rules of retention in bastion.toml were changed since the service started: "
                "restart it."
            )
        if self._now() - since < GRACE:
            raise Refused(
                f"The rules of retention are new: they count from {clock(since + GRACE)}."
            )

    # What may go

    def due(self, until: datetime | None = None) -> Iterator[Due]:
        """Recordings whose time is over, host by host, the oldest first; read by and by.

        With `until`, only of sessions that ended before.
        """
        now, past = self._now(), self._keeping.past()
        sessions, grants = self._keeping.held()
        for host in self._index.kept_hosts():
            shortest = self._shortest(past, host)
            for session in () if shortest is None else self._kept(host, now - shortest):
                if session.ended_at is None or (until is not None and session.ended_at >= until):
                    continue
                rule = self.retention.rule_for(past.host(host, session.started_at))
                if fate(rule, session.ended_at, now, held=False) is Fate.DUE:
                    held = session.id in sessions or session.grant in grants
                    yield Due(session, rule, held)

    def rules_for(self, sessions: Sequence[Session]) -> dict[int, Rule]:
        """The rule by which each of these sessions is kept, by its number."""
        past = self._keeping.past() if self.retention.rules and sessions else Past()
        hosts = ((each.id, past.host(each.host, each.started_at)) for each in sessions)
        if not self.retention.rules:
            return {number: self.retention.default for number, _ in hosts}
        return {number: self.retention.rule_for(host) for number, host in hosts}

    def _shortest(self, past: Past, host: str) -> timedelta | None:
        """The shortest time that a session on this host was ever to be kept."""
        versions = [version for _, version in past.versions.get(host, ())] or [None]
        rules = map(self.retention.rule_for, versions)
        return min((rule.keep for rule in rules if rule.keep is not None), default=None)

    def _kept(self, host: str, began_before: datetime) -> Iterator[Session]:
        """One whose row can't be read is for verify to find, and hides no other."""
        after = None
        while page := self._index.kept(host, began_before, limit=_PAGE, after=after):
            found = self._index.read(page)
            yield from (session for number in page if (session := found.get(number)) is not None)
            after = page[-1]

    # Letting go

    def let_go(self, due: Due, by: Actor) -> Tombstone:
        """Let one recording go.

        Raises NotLetGo with what keeps it: a hold, or that it is not what was sealed; NotHere
        where another machine has it. Raises Conflict, Unavailable, IndexUnavailable.
        """
        with self.removal.alone_with(due.session):
            session, kept = self._sealed(due.session.id)
            tombstone = self._tombstone(session, kept, due.rule, by)
            laid = self._signed(tombstone)
            hold = self._keeping.let_go(session, tombstone, laid, by)
            if hold is not None:
                raise NotLetGo(f"{hold.name} is on hold by {hold.by} ({hold.reason})")
            gone = replace(session.recording, let_go_at=laid.at)
            self.removal.finish(replace(session, recording=gone), laid)
        return tombstone

    def _sealed(self, number: int) -> tuple[Session, Kept]:
        session = self._index.read([number]).get(number)
        kept = self._seals.of_all([number]).get(number)
        if session is None or session.recording.let_go_at is not None:
            raise NotLetGo("it is gone already")
        if kept is None or not session.recording.sealed:
            raise NotLetGo("it was never sealed")
        self._demand_here(session, kept)
        for finding in self._inspection.alone(session, kept):
            raise NotLetGo(finding.sentence.removeprefix(f"{session.name}: ").rstrip("."))
        return session, kept

    def _demand_here(self, session: Session, kept: Kept) -> None:
        """Several machines may share a database, each with recordings of its own."""
        try:
            node = read_manifest(kept.manifest).node
        except CorruptRecording as error:
            raise NotLetGo(str(error)) from error
        if node != self._store.chain.node and not self.removal.falls_to_us(session, node):
            raise NotHere(f"{node} has its files")

    def _tombstone(self, session: Session, kept: Kept, rule: Rule, by: Actor) -> Tombstone:
        manifest: Manifest = read_manifest(kept.manifest)
        return Tombstone(
            session=session.id,
            manifest=manifest.number,
            sha256=kept.sha256,
            at=self._now(),
            by=by.name,
            rule=str(rule),
            retention=self.retention.version,
            ended_at=manifest.ended_at,
            files=self.removal.parts(session, manifest),
            node=self._store.chain.node,
        )

    def _signed(self, tombstone: Tombstone) -> Laid:
        text = tombstone.text()
        try:
            signature = sign(self._authority.seal, TOMBSTONE_NAMESPACE, text.encode())
        except BastionError as error:
            raise NotLetGo(f"its tombstone can't be signed: {error}") from error
        return Laid(tombstone.session, text, signature, sha256_of(text), tombstone.at)
