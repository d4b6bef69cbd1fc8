"""Anchoring: which checkpoint of the log speaks for a recording's seal, and who outside was told.

A seal is told to the log, a checkpoint signs the log, an anchor has the checkpoint: so a recording
is as old as its anchor says, whoever has the keys here. Whether what arrived there is what this log
says is for whoever reads it there to hold against it (`audit verify --checkpoint`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bastion.audit import ANCHOR
from bastion.checkpoints import Checkpoint, Sealed
from bastion.events import Event
from bastion.store.journal import Journal
from bastion.verdict import Judge

NOT_ANCHORED: Final = "Not anchored: whoever is root here could have sealed another recording."
_ALONE: Final = "Send the checkpoints of the log out ([audit] anchors)."
_SOON: Final = "No checkpoint of the log speaks for its seal yet: the next one does."
_UNTOLD: Final = "The log does not know of its seal."


@dataclass(frozen=True, slots=True)
class Anchoring:
    """How far the seal of a recording has been carried.

    `event` is the number of the event that tells of it, None where the log has none; `sealed` the
    checkpoint that speaks for that event, None where none does yet, and `at` its time. `anchors`
    are those that were sent this checkpoint or a later one, `fault` why the checkpoint does not
    hold.
    """

    event: int | None = None
    sealed: Sealed | None = None
    at: datetime | None = None
    anchors: Sequence[str] = ()
    fault: str | None = None

    def sentences(self) -> Iterator[str]:
        """What that is worth."""
        if self.sealed is None:
            yield f"{NOT_ANCHORED} {_SOON if self.event is not None else _UNTOLD}"
        elif not self.anchors:
            yield f"{NOT_ANCHORED} {_ALONE}"
        else:
            by = ", ".join(self.anchors)
            yield (
                f"Anchored: {self._where()} was sent to {by}. What arrived there proves it "
                f"(audit verify --checkpoint NUMBER:SHA256)."
            )

    def _where(self) -> str:
        assert self.sealed is not None  # noqa: S101 (for the type)
        assert self.at is not None  # noqa: S101 (for the type)
        return (
            f"its seal is event {self.event} of the log, and checkpoint {self.sealed.number} of "
            f"{self.at:%Y-%m-%d %H:%M} UTC, which speaks for that,"
        )


def anchoring(journal: Journal, session: int, signed: Judge) -> Anchoring:
    """How far the seal of this session's recording has been carried. Raises Unavailable."""
    told = journal.seals_told([session])
    if not told:
        return Anchoring()
    sealed = journal.checkpoint_over(told[-1].id)
    if sealed is None:
        return Anchoring(told[-1].id)
    try:
        checkpoint = sealed.checkpoint
    except ValueError:
        return Anchoring(told[-1].id, fault=f"checkpoint {sealed.number} can't be read")
    sent = journal.cursors(ANCHOR)
    anchors = sorted(name for name, upto in sent.items() if upto >= sealed.number)
    found = Anchoring(told[-1].id, sealed, checkpoint.at, anchors)
    return replace(found, fault=_fault(journal, told[-1], sealed, checkpoint, signed))


@dataclass(frozen=True, slots=True)
class Upto:
    """How far the seals of all recordings have been carried: to `checkpoint`, which was sent to
    `anchors`, 0 and none where nothing was sent. `missing` seals came later."""

    checkpoint: int
    anchors: Sequence[str]
    missing: int

    def sentence(self) -> str:
        """What that is worth."""
        if not self.anchors:
            return f"{NOT_ANCHORED} {_ALONE}"
        sent = f"checkpoint {self.checkpoint} of the log was sent to {', '.join(self.anchors)}"
        if self.missing:
            return f"Anchored but for the last {self.missing}: {sent}; they were sealed since."
        return f"Anchored: {sent}, and speaks for all of their seals."


def anchored_upto(journal: Journal) -> Upto:
    """How far the seals of all recordings have been carried. Raises Unavailable."""
    sent = journal.cursors(ANCHOR)
    furthest = max(sent.values(), default=0)
    found = journal.checkpoints_after(furthest - 1, limit=1) if furthest else []
    try:
        events = found[0].checkpoint.events if found else 0
    except ValueError:
        events = 0
    anchors = sorted(name for name, upto in sent.items() if upto == furthest)
    return Upto(furthest, anchors, journal.seals_after(events))


def _fault(
    journal: Journal, event: Event, sealed: Sealed, checkpoint: Checkpoint, signed: Judge
) -> str | None:
    """Why a checkpoint does not speak for an event as it stands in the log now."""
    why = signed(sealed.signature, sealed.body)
    if why is not None:
        return f"the signature of checkpoint {sealed.number}: it {why}"
    if event.hash != event.digest():
        return f"event {event.id} was changed"
    if checkpoint.listed is None:
        return None  # it has no list: audit verify follows the chain to it
    before = checkpoint.events - checkpoint.listed.events
    if journal.listed(before, checkpoint.events) != checkpoint.listed:
        return f"checkpoint {sealed.number} has other events than the log has now"
    return None
