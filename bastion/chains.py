"""Judging the chains of events, row by row as they lie in the database. Pure.

Events come in the order of their numbers. Each must be written as it was hashed, follow the one
before in its chain, and leave no number out. What is found wrong is a `Finding` that says which.
One fault is said once: next to a row that is damaged or gone, links that can't fit are not counted
again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias

import orjson

from bastion.events import AFTER, START, Chain, Head, What, digest_of

Row: TypeAlias = tuple[object, ...]

EVENT_COLUMNS: Final = (
    *("id", "node", "boot", "seq", "at", "what", "actor", "source", "account", "user", "host"),
    *("login", "request", "grant", "connection", "session", "why", "details", "prev", "hash"),
)
"""The columns of a row of events, in the order in which it is judged."""

MOST_FINDINGS: Final = 1000
"""So many are said; how many more there are is counted."""

_KINDS = frozenset(what.value for what in What)
_KEPT_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{6}", re.ASCII)


class Wrong(StrEnum):
    """What can be wrong with the log."""

    CHANGED = "changed"
    MISSING = "missing"
    ADDED = "added"
    UNREADABLE = "unreadable"
    SIGNATURE = "signature"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: `where` names it (`event 17`, `checkpoint 3`), `sentence` says it whole."""

    wrong: Wrong
    where: str
    sentence: str


@dataclass(slots=True)
class Findings:
    """Collects what is wrong, and counts what is beyond the most that are kept."""

    kept: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(self, wrong: Wrong, where: str, sentence: str) -> None:
        """One more."""
        if len(self.kept) < MOST_FINDINGS:
            self.kept.append(Finding(wrong, where, sentence))
        else:
            self.more += 1


@dataclass(slots=True)
class End:
    """The end of a chain so far: its latest sound event, and how far it is sealed."""

    id: int
    seq: int
    hash: str
    sealed: int = 0


def named_chain(chain: Chain) -> str:
    """A chain as people are told of it."""
    return f"chain {chain.node}/{chain.boot}"


def between(first: int, last: int) -> str:
    """One number, or the first and the last of several."""
    return str(first) if first == last else f"{first} to {last}"


class Walk:
    """Takes the events one by one, and knows where each chain stands.

    `damaged` is the number of the latest row that was missing or not sound.
    """

    def __init__(self, findings: Findings) -> None:
        self.ends: dict[Chain, End] = {}
        self.moved: set[Chain] = set()
        self.events = 0
        self.damaged = 0
        self._findings = findings
        self._last = 0
        self._last_hash: str | None = START

    @property
    def last(self) -> int:
        """The number of the latest event."""
        return self._last

    def take(self, row: Row) -> None:
        """The next event."""
        self.events += 1
        number, hash_ = row[0], row[-1]
        if not isinstance(number, int):
            self._wrong(Wrong.UNREADABLE, f"event {number!a}", "has a number that is none")
            return
        self._count(number)
        told, seq = written(row), row[3]
        if told is None or not isinstance(seq, int) or digest_of_written(told) != hash_:
            self._unsound(row, number)
        else:
            self._join(row, number, seq, str(hash_))
        self._last = max(number, self._last)

    def damaged_after(self, number: int) -> bool:
        """Whether a row after the event `number` is missing or not sound."""
        return self.damaged > number

    def short_of(self, head: Head) -> int:
        """How many events a chain lacks of those that `head` knows."""
        end = self.ends.get(head.chain)
        return max(0, head.seq - (0 if end is None else end.seq))

    def lack(self, upto: int, why: str) -> None:
        """The events after the latest one, up to the number `upto`, are not there."""
        self._missing(self._last + 1, upto, f": {why}")
        self._last, self._last_hash = upto, None

    def _wrong(self, wrong: Wrong, where: str, what: str) -> None:
        self._findings.add(wrong, where, f"{where[:1].upper()}{where[1:]} {what}.")

    def _count(self, number: int) -> None:
        """Numbers leave nothing out."""
        if number < 1:
            self._wrong(Wrong.ADDED, f"event {number}", "was added: numbers begin at 1")
        elif number > self._last + 1:
            self._missing(self._last + 1, number - 1)
            self.damaged, self._last_hash = number - 1, None

    def _missing(self, first: int, last: int, why: str = "") -> None:
        where, are = ("event", "is") if first == last else ("events", "are")
        self._wrong(Wrong.MISSING, f"{where} {between(first, last)}", f"{are} missing{why}")

    def _unsound(self, row: Row, number: int) -> None:
        self.damaged, self._last_hash = number, None
        unreadable = why_unreadable(row)
        if unreadable is None:
            self._wrong(Wrong.CHANGED, f"event {number}", "was changed: it does not fit its hash")
        else:
            self._wrong(Wrong.UNREADABLE, f"event {number}", f"was changed: {unreadable}")

    def _join(self, row: Row, number: int, seq: int, digest: str) -> None:
        """An event that fits its hash, in its chain."""
        unreadable = why_unreadable(row)
        if unreadable is not None:
            self._wrong(Wrong.UNREADABLE, f"event {number}", f"can't be read: {unreadable}")
        chain = Chain(str(row[1]), str(row[2]))
        end = self.ends.get(chain)
        if end is None:
            self._begin(row, number, seq)
            self.ends[chain] = End(number, seq, digest)
        else:
            self._follow(row, number, seq, end)
            end.id, end.seq, end.hash = number, seq, digest
        self.moved.add(chain)
        self._last_hash = digest

    def _begin(self, row: Row, number: int, seq: int) -> None:
        """The first event of a chain."""
        where = f"event {number}"
        if seq != 1:
            if not self.damaged_after(0):
                self._wrong(Wrong.ADDED, where, f"is number {seq} of a chain that has no others")
            return
        if row[18] != START:
            self._wrong(Wrong.ADDED, where, "begins a chain, and yet follows something")
        known = (number - 1, self._last_hash)
        if number > 1 and self._last_hash is not None and after_of(row[17]) != known:
            said = f"is not the one that {where} says it came after"
            self._wrong(Wrong.CHANGED, f"event {number - 1}", said)

    def _follow(self, row: Row, number: int, seq: int, end: End) -> None:
        if self.damaged_after(end.id):
            return
        where = f"event {number}"
        if seq > end.seq + 1:
            gap = between(end.seq + 1, seq - 1)
            self._wrong(
                Wrong.MISSING, where, f"comes too early: number {gap} of its chain is missing"
            )
        elif seq <= end.seq:
            self._wrong(Wrong.ADDED, where, f"was added: its chain has a number {seq} already")
        elif row[18] != end.hash:
            self._wrong(Wrong.CHANGED, f"event {end.id}", f"is not the one that {where} follows")


def written(row: Row) -> Mapping[str, object] | None:
    """An event's written form without its hash, from a row; None where it can't be had.

    To the byte: details are taken as they lie, and a time that reads alike but is written
    otherwise is none.
    """
    at, details = row[4], row[17]
    if not isinstance(at, str) or _KEPT_TIME.fullmatch(at) is None or not isinstance(details, str):
        return None
    return {
        "id": row[0],
        "node": row[1],
        "boot": row[2],
        "seq": row[3],
        "at": f"{at[:10]}T{at[11:]}Z",
        "what": row[5],
        "actor": row[6],
        "source": row[7],
        "account": row[8],
        "user": row[9],
        "host": row[10],
        "login": row[11],
        "request": _id("R", row[12]),
        "grant": _id("G", row[13]),
        "connection": _id("C", row[14]),
        "session": _id("S", row[15]),
        "why": row[16],
        "details": orjson.Fragment(details),
        "prev": row[18],
    }


def digest_of_written(told: Mapping[str, object]) -> str | None:
    """The hash that belongs to it; None where something in it is no text or number."""
    try:
        return digest_of(told)
    except (TypeError, ValueError):
        return None


def why_unreadable(row: Row) -> str | None:
    """Why an event can't be read from a row; None where it can."""
    if row[5] not in _KINDS:
        return f"{str(row[5])[:40]!a} is nothing that can happen"
    try:
        datetime.fromisoformat(str(row[4]))
    except ValueError:
        return f"{str(row[4])[:40]!a} is not a time"
    try:
        if isinstance(orjson.loads(str(row[17])), dict):
            return None
    except ValueError:
        pass
    return "its details are not JSON"


def after_of(details: object) -> tuple[int, str] | None:
    """What the first event of a chain says that it came after."""
    try:
        number, hash_ = orjson.loads(str(details))[AFTER]
    except (ValueError, KeyError, TypeError):
        return None
    return number, hash_


def _id(prefix: str, number: object) -> object:
    """An id as it is written; what is neither a number nor nothing fits no hash."""
    if isinstance(number, int):
        return f"{prefix}-{number}"
    return None if number is None else [str(number)]
