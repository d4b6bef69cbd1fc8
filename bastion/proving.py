"""What proves that some events are in the signed log, for somebody who may not see the others.

Each event is to fit its hash, and to be on the list that a checkpoint signs. What is found wrong
with that is a finding; how far the proof goes is for whoever reads it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bastion.audit import ANCHOR
from bastion.chains import Finding, Wrong
from bastion.checkpoints import Sealed, listed_of
from bastion.store.journal import Journal
from bastion.verdict import Judge

MOST_BETWEEN: Final = 2000
"""Checkpoints that are shown, so that each is seen to name the one before; else the needed ones."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of `events`, which are numbers in order.

    `over` are the checkpoints that speak for them, `unsealed` the events that none does, `unlisted`
    those that are not on its list: it is an older one without any, or others are gone. `last` is
    the newest checkpoint that is shown; `whole` says that all between the first and that one are.
    `anchors` are how far anchors have heard of checkpoints.
    """

    events: tuple[int, ...]
    over: tuple[int, ...]
    unsealed: tuple[int, ...]
    unlisted: tuple[int, ...]
    last: Sealed | None
    whole: bool
    anchors: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def shown(self) -> Sequence[int]:
        """The numbers of the checkpoints that are shown."""
        if self.last is None or not self.over:
            return ()
        return range(self.over[0], self.last.number + 1) if self.whole else self.over

    @property
    def anchored(self) -> Mapping[str, int]:
        """The anchors that have heard of one of its checkpoints, or of a later one."""
        first = self.over[-1] if self.over else 0
        return {name: at for name, at in self.anchors.items() if first and at >= first}


class Prover:
    """Proves events of one journal, as `signed` judges checkpoints. It blocks.

    At most so many checkpoints as `most` are shown between the first and the newest.
    """

    def __init__(self, journal: Journal, signed: Judge, most: int = MOST_BETWEEN) -> None:
        self._journal = journal
        self._signed = signed
        self._most = most

    def proof(self, events: Sequence[int]) -> Proof:
        """The proof of the events with these numbers, in order. Raises Unavailable."""
        findings = list(self._unfit(events))
        over: list[int] = []
        unsealed: list[int] = []
        unlisted: list[int] = []
        speaks, unproved = 0, 0
        for number in events:
            if number > speaks:
                sealed = self._journal.checkpoint_over(number, over[-1] if over else 0)
                if sealed is None:
                    unsealed.append(number)
                    continue
                over.append(sealed.number)
                speaks = sealed.checkpoint.events
                listed = sealed.checkpoint.listed
                unproved = speaks if listed is None else speaks - listed.events
                findings += self._against_list(sealed)
            if number <= unproved:
                unlisted.append(number)
        last = next(iter(self._journal.checkpoints(limit=1)), None)
        whole = last is not None and bool(over) and last.number - over[0] < self._most
        if not whole and over:
            last = self._journal.checkpoints(limit=1, before=over[-1] + 1)[0]
        proof = Proof(
            events=tuple(events),
            over=tuple(over),
            unsealed=tuple(unsealed),
            unlisted=tuple(unlisted),
            last=last,
            whole=whole,
            anchors=self._journal.cursors(ANCHOR),
            findings=tuple(findings),
        )
        return replace(proof, findings=(*findings, *self._between(proof)))

    def checkpoints(self, proof: Proof) -> Iterator[Sealed]:
        """The checkpoints that are shown, in order."""
        for number in proof.shown:
            found = self._journal.checkpoints(limit=1, before=number + 1)
            yield from (sealed for sealed in found if sealed.number == number)

    def _unfit(self, events: Sequence[int]) -> Iterator[Finding]:
        for event in self._journal.with_numbers(events):
            if event.digest() != event.hash:
                said = f"Event {event.id} was changed: it does not fit its hash."
                yield Finding(Wrong.CHANGED, f"event {event.id}", said)

    def _between(self, proof: Proof) -> Iterator[Finding]:
        """Each that is shown is signed, and names the one before."""
        before: Sealed | None = None
        for sealed in self.checkpoints(proof):
            where, number = f"checkpoint {sealed.number}", sealed.number
            why = self._signed(sealed.signature, sealed.body)
            if why is not None:
                said = f"The signature of checkpoint {number}: it {why}."
                yield Finding(Wrong.SIGNATURE, where, said)
            elif before is not None and proof.whole and not _follows(sealed, before):
                said = f"Checkpoint {number} does not follow checkpoint {before.number}."
                yield Finding(Wrong.CHANGED, where, said)
            before = sealed

    def _against_list(self, sealed: Sealed) -> Iterator[Finding]:
        """Its list is the one that was signed."""
        listed = sealed.checkpoint.listed
        if listed is not None and listed_of(self._journal.list_lines(sealed.checkpoint)) != listed:
            number = sealed.number
            said = f"The list of events that checkpoint {number} signs is not that of the log."
            yield Finding(Wrong.CHANGED, f"checkpoint {number}", said)


def _follows(sealed: Sealed, before: Sealed) -> bool:
    try:
        return sealed.checkpoint.after == before.sha256
    except ValueError:
        return False
