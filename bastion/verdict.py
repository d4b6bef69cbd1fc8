"""Judging the whole log: events, the heads, the checkpoints that seal them. Pure.

Checkpoints and events are read side by side, each once: when the last event that a checkpoint knew
of has passed, every chain has to stand where it says. What comes of it is a `Verdict`: what was
found wrong, and how far nothing was.
"""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bastion.chains import End, Finding, Findings, Row, Walk, Wrong, between, named_chain
from bastion.checkpoints import MOST_HEADS, Checkpoint, Listing, read_checkpoint, sha256_of
from bastion.events import START, Chain, Head
from recorder.nouns import counted

Judge = Callable[[str, str], str | None]
"""Why a signature does not hold over a body, in words that read well behind "it"; None: it does."""

_ARMOUR = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n", re.ASCII
)
_COLUMNS: Final = 70


@dataclass(frozen=True, slots=True)
class Log:
    """The log as it lies in the database (`store.evidence`), and what is known of it elsewhere.

    `open_tables` are those in which the database no longer refuses changes. `known` are SHA-256 of
    checkpoints that somebody has kept, by number; `sent` how many were sent to each anchor.
    """

    events: Iterable[Row]
    checkpoints: Iterable[Row]
    heads: Iterable[Row]
    open_tables: Iterable[str] = ()
    known: Mapping[int, str] = field(default_factory=dict)
    sent: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. `findings` are the first thousand, `more` is how many others there were.

    `events`, `chains` and `checkpoints` were read. `sealed` is the newest checkpoint that holds,
    `unsealed` how many events no checkpoint speaks for; `anchored` the newest checkpoint that was
    sent to an anchor, 0 for none.
    """

    events: int
    chains: int
    checkpoints: int
    findings: tuple[Finding, ...]
    more: int
    sealed: Checkpoint | None
    unsealed: int
    anchored: int

    @property
    def found(self) -> int:
        """How much was found wrong."""
        return len(self.findings) + self.more

    @property
    def sound(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings


def proof(verdict: Verdict, known: Collection[int] = ()) -> list[str]:
    """What is proved, and what is not: sentences. `known` are the checkpoints that were named."""
    return [
        _counted_up(verdict),
        *_about_seals(verdict),
        *_about_anchors(verdict, known),
    ]


def _counted_up(verdict: Verdict) -> str:
    inside = f"{counted(verdict.events, 'event')} in {counted(verdict.chains, 'chain')}"
    read = f"{inside}, {counted(verdict.checkpoints, 'checkpoint')}"
    if verdict.sound:
        return f"{read}: nothing was changed, is missing or was added."
    return f"{read}: {counted(verdict.found, 'finding')}. The log is not as it was written."


def _about_seals(verdict: Verdict) -> Iterator[str]:
    sealed = verdict.sealed
    if sealed is not None:
        yield (
            f"Sealed up to event {sealed.events} by checkpoint {sealed.number} of "
            f"{sealed.at:%Y-%m-%d %H:%M} UTC: only who has the seal key could write that anew."
        )
    if verdict.unsealed:
        unsealed = counted(verdict.unsealed, "event")
        yield (
            f"Not sealed: {unsealed}. For these the database alone speaks; the "
            "service seals them soon, and bastion-admin audit seal does it at once."
        )


def _about_anchors(verdict: Verdict, known: Collection[int]) -> Iterator[str]:
    for number in sorted(known):
        if number <= verdict.checkpoints and verdict.sound:
            yield f"Checkpoint {number} is the one that you name: so is all that it speaks for."
    if verdict.sealed is None:
        return
    if verdict.anchored:
        yield (
            f"Anchored up to checkpoint {verdict.anchored}: it was sent out, and what arrived "
            "there proves it (--checkpoint NUMBER:SHA256)."
        )
    elif not known:
        yield (
            "Not anchored: whoever is root here could have sealed another log. Send the "
            "checkpoints out ([audit] anchors), or keep one elsewhere."
        )


def judge(log: Log, signed: Judge) -> Verdict:
    """The verdict over a log."""
    findings = Findings()
    for table in log.open_tables:
        sentence = (
            f"The database no longer refuses to change the table {table}: its triggers are gone."
        )
        findings.add(Wrong.OPEN, f"table {table}", sentence)
    walk = Walk(findings)
    seals = _Seals(findings, signed, log.known)
    pending = seals.read(log.checkpoints)
    checkpoint = next(pending, None)
    for row in log.events:
        number = row[0]
        while checkpoint is not None and isinstance(number, int) and number > checkpoint.events:
            seals.settle(checkpoint, walk)
            checkpoint = next(pending, None)
        walk.take(row)
        if checkpoint is not None:
            seals.enlist(checkpoint, row)
    while checkpoint is not None:
        seals.settle(checkpoint, walk)
        checkpoint = next(pending, None)
    seals.close(log.sent)
    _against_heads(walk, log.heads, seals, findings)
    return Verdict(
        events=walk.events,
        chains=len(walk.ends),
        checkpoints=seals.count,
        findings=tuple(findings.kept),
        more=findings.more,
        sealed=seals.newest,
        unsealed=sum(end.seq - min(end.sealed, end.seq) for end in walk.ends.values()),
        anchored=max(log.sent.values(), default=0),
    )


class _Seals:
    """Reads the checkpoints in their order, and holds the chains against those that hold.

    `broken` is set once one was missing or does not hold.
    """

    def __init__(self, findings: Findings, signed: Judge, known: Mapping[int, str]) -> None:
        self.count = 0
        self.last = 0
        self.newest: Checkpoint | None = None
        self.broken = False
        self._findings = findings
        self._signed = signed
        self._known = known
        self._after: str | None = START
        self._events = 0
        self._gap = False
        self._listing = Listing()
        self._said = len(findings.kept)

    def read(self, rows: Iterable[Row]) -> Iterator[Checkpoint]:
        """The checkpoints that hold; what is wrong with the others is found."""
        for row in rows:
            self.count += 1
            checkpoint = self._read(row)
            if checkpoint is not None:
                yield checkpoint

    def enlist(self, checkpoint: Checkpoint, row: Row) -> None:
        """An event that the checkpoint knew of: is it on its list?"""
        number, hash_, listed = row[0], row[-1], checkpoint.listed
        if listed is None or not isinstance(number, int) or not isinstance(hash_, str):
            return
        if number > checkpoint.events - listed.events:
            self._listing.add(hash_)

    def settle(self, checkpoint: Checkpoint, walk: Walk) -> None:
        """All that the checkpoint knew of has passed: do the chains stand where it says?"""
        number, lacking = checkpoint.number, checkpoint.events - walk.last
        if lacking > 0:
            walk.lack(checkpoint.events, f"checkpoint {number} knows of them")
            # Where the chains lack more than that, others have gone too: then each is named.
            if sum(walk.short_of(head) for head in checkpoint.heads) <= lacking:
                walk.damaged = checkpoint.events
        for head in checkpoint.heads:
            hold(walk, head, f"checkpoint {number}", self._findings)
            walk.moved.discard(head.chain)
            if head.chain in walk.ends:
                walk.ends[head.chain].sealed = head.seq
        if lacking > 0:
            walk.damaged = checkpoint.events
        if len(checkpoint.heads) < MOST_HEADS:
            if not self._gap:
                self._strangers(number, walk)
            walk.moved.clear()
        self._against_list(checkpoint)
        self._gap = False
        self.newest = checkpoint

    def _against_list(self, checkpoint: Checkpoint) -> None:
        """Where nothing else was found of these events, their list is the one that was signed."""
        found, self._listing = self._listing.listed(), Listing()
        before, self._said = self._said, len(self._findings.kept) + self._findings.more
        if checkpoint.listed not in (None, found) and before == self._said:
            number = checkpoint.number
            sentence = f"The list of events that checkpoint {number} signs is not that of the log."
            self._findings.add(Wrong.CHANGED, f"checkpoint {number}", sentence)

    def close(self, sent: Mapping[str, int]) -> None:
        """None is left: were there more?"""
        for name, number in sent.items():
            if number > self.last:
                gone = f"Checkpoint {number} was sent to {name}, and is not here."
                self._broken(Wrong.MISSING, number, gone)
        for number in self._known:
            if number > self.last:
                gone = f"Checkpoint {number}, which you name, is not here."
                self._broken(Wrong.MISSING, number, gone)

    def _strangers(self, number: int, walk: Walk) -> None:
        """Chains that had moved, and that the checkpoint does not name."""
        for chain in sorted(walk.moved, key=str):
            end = walk.ends[chain]
            if not walk.damaged_after(end.id):
                sentence = f"Event {end.id} was added: checkpoint {number} does not know of it."
                self._findings.add(Wrong.ADDED, f"event {end.id}", sentence)

    def _broken(self, wrong: Wrong, number: object, sentence: str) -> None:
        self._findings.add(wrong, f"checkpoint {number}", sentence)
        self.broken = self._gap = True

    def _read(self, row: Row) -> Checkpoint | None:
        number, at, body, signature = row
        before, self._after = self._after, None
        if not self._counted(number) or not isinstance(number, int):
            return None
        if self.last + 1 < number:
            before = None
        self.last = number
        try:
            checkpoint = read_checkpoint(body if isinstance(body, str) else "")
        except ValueError:
            sentence = f"Checkpoint {number} was changed: it can't be read."
            self._broken(Wrong.UNREADABLE, number, sentence)
            return None
        fault = self._fault(number, checkpoint, at, str(body), signature)
        if fault is not None:
            self._broken(*fault)
            return None
        if before is not None and checkpoint.after != before:
            sentence = f"Checkpoint {number - 1} is not the one that checkpoint {number} names."
            self._broken(Wrong.CHANGED, number - 1, sentence)
        self._after, self._events = sha256_of(str(body)), checkpoint.events
        return checkpoint

    def _counted(self, number: object) -> bool:
        """Numbers leave nothing out."""
        if not isinstance(number, int) or number < 1:
            self._broken(Wrong.ADDED, number, f"Checkpoint {number!a} was added.")
            return False
        if number > self.last + 1:
            gap = between(self.last + 1, number - 1)
            several = "s" if number > self.last + 2 else ""
            sentence = f"Checkpoint{several} {gap} {'are' if several else 'is'} missing."
            self._broken(Wrong.MISSING, gap, sentence)
        return True

    def _fault(
        self, number: int, checkpoint: Checkpoint, at: object, body: str, signature: object
    ) -> tuple[Wrong, int, str] | None:
        """What is wrong with one checkpoint by itself."""
        if checkpoint.number != number:
            return Wrong.CHANGED, number, f"Checkpoint {number} was made as {checkpoint.number}."
        if at != kept_time(checkpoint.at):
            return Wrong.CHANGED, number, f"The time of checkpoint {number} was changed."
        if not isinstance(signature, str) or not _exact(signature):
            return Wrong.SIGNATURE, number, f"The signature of checkpoint {number} was changed."
        why = self._signed(signature, body)
        if why is not None:
            return Wrong.SIGNATURE, number, f"The signature of checkpoint {number}: it {why}."
        if self._known.get(number, sha256_of(body)) != sha256_of(body):
            sentence = f"Checkpoint {number} is another one than you name: {sha256_of(body)}."
            return Wrong.CHANGED, number, sentence
        if checkpoint.events < self._events:
            return Wrong.CHANGED, number, f"Checkpoint {number} knows less than the one before."
        return None


def hold(walk: Walk, head: Head, by: str, findings: Findings) -> None:
    """Whether a chain stands where `by` (`checkpoint 3`, `its head`) says."""
    end = walk.ends.get(head.chain)
    if walk.damaged_after(0 if end is None else end.id):
        return
    chain = named_chain(head.chain)
    if end is None:
        gone = f"The {chain} is gone, all {head.seq} events: {by} knows of it."
        findings.add(Wrong.MISSING, chain, gone)
    elif end.seq < head.seq:
        gap = between(end.seq + 1, head.seq)
        gone = f"Of the {chain} number {gap} is missing: {by} knows of it."
        findings.add(Wrong.MISSING, chain, gone)
    elif end.seq > head.seq:
        gap = between(head.seq + 1, end.seq)
        new = f"To the {chain} number {gap} was added, up to event {end.id}: {by} has less."
        findings.add(Wrong.ADDED, f"event {end.id}", new)
    elif end.hash != head.hash:
        gap = between(end.sealed + 1, end.seq)
        other = f"Of the {chain} number {gap} was changed, up to event {end.id}: {by} has another."
        findings.add(Wrong.CHANGED, f"event {end.id}", other)


def _against_heads(walk: Walk, rows: Iterable[Row], seals: _Seals, findings: Findings) -> None:
    """Every chain has its head, and every head its chain."""
    headless = set(walk.ends)
    for node, boot, seq, hash_, sealed in rows:
        chain = Chain(str(node), str(boot))
        headless.discard(chain)
        if not isinstance(seq, int) or not isinstance(sealed, int) or not isinstance(hash_, str):
            sentence = f"The head of the {named_chain(chain)} was changed: it can't be read."
            findings.add(Wrong.UNREADABLE, named_chain(chain), sentence)
            continue
        hold(walk, Head(chain, seq, hash_), "its head", findings)
        _against_seals(chain, walk.ends.get(chain), sealed, seals, findings)
    for chain in sorted(headless, key=str):
        sentence = f"The {named_chain(chain)} has no head: it was added, or its head taken away."
        findings.add(Wrong.ADDED, named_chain(chain), sentence)


def _against_seals(
    chain: Chain, end: End | None, sealed: int, seals: _Seals, findings: Findings
) -> None:
    """A head knows how far its chain was sealed."""
    if end is None or seals.broken or sealed == end.sealed:
        return
    where = named_chain(chain)
    if sealed > end.sealed:
        sentence = f"A checkpoint is missing that sealed the {where} up to its number {sealed}."
        findings.add(Wrong.MISSING, f"checkpoint {seals.last + 1}", sentence)
    else:
        sentence = f"The head of the {where} was changed: more of it is sealed than it says."
        findings.add(Wrong.CHANGED, where, sentence)


def kept_time(at: datetime) -> str:
    """A time as the database keeps it."""
    return at.replace(tzinfo=None).isoformat(" ", "microseconds")


def _exact(signature: str) -> bool:
    """Whether a signature is armoured as ours are, to the byte: a changed blank is a change."""
    found = _ARMOUR.fullmatch(signature)
    if found is None:
        return False
    lines = found[1].split("\n")
    try:
        again = base64.b64encode(base64.b64decode("".join(lines), validate=True)).decode()
    except binascii.Error:
        return False
    return lines == [again[at : at + _COLUMNS] for at in range(0, len(again), _COLUMNS)]
