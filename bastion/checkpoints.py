"""Checkpoints as values: where all chains of events ended at a moment, to be sealed.

Each names the hash of the one before, so the newest speaks for all. Its `body` is what is signed,
byte for byte: a line of JSON with its keys in order and no blanks. Nothing here knows a key.

It also signs a list of the events since the one before, so that one event can be proved to
somebody who may not see the others. A line of the list is the SHA-256 of an event's hash, not the
hash itself: whoever has the list can't try out what the event before another one was.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from bastion.events import START, Chain, Head, moment

NAMESPACE: Final = "audit@bastion"
"""What the seal is for, so that a seal over anything else is never taken for one over this."""

MOST_HEADS: Final = 1000
"""Heads of one checkpoint; when more have moved, another one follows at once."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of events: how many, and the SHA-256 (hex) of all its lines (`listed_line`)."""

    events: int
    sha256: str


class Listing:
    """Makes a list of the events whose hashes it is given, in the order of their numbers."""

    def __init__(self) -> None:
        self._count = 0
        self._digest = hashlib.sha256()

    def add(self, hash_: str) -> None:
        """The next event."""
        self._count += 1
        self._digest.update(listed_line(hash_))

    def listed(self) -> Listed:
        """What has been listed so far."""
        return Listed(self._count, self._digest.hexdigest())


def listed_of(pieces: Iterable[bytes]) -> Listed:
    """The list that these pieces of it are, one after the other."""
    digest, lines = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        lines += piece.count(b"\n")
    return Listed(lines, digest.hexdigest())


def listed_line(hash_: str) -> bytes:
    """The line of the event with this hash: the SHA-256 (hex) of that, and a newline."""
    return f"{sha256_of(hash_)}\n".encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The `number`-th: where the chains that had moved since the one before ended at `at`.

    `events` is the number of the newest event of all at that moment, `after` the SHA-256 (hex) of
    the body before, `START` for the first. `listed` are the last so many events up to that one;
    older checkpoints have no list.
    """

    number: int
    at: datetime
    events: int
    after: str
    heads: tuple[Head, ...]
    listed: Listed | None = None

    def body(self) -> str:
        """What is signed."""
        written: dict[str, object] = {
            "checkpoint": self.number,
            "at": moment(self.at),
            "events": self.events,
            "after": self.after,
            "heads": [_written(head) for head in self.heads],
        }
        if self.listed is not None:
            written["list"] = {"events": self.listed.events, "sha256": self.listed.sha256}
        return orjson.dumps(written, option=orjson.OPT_SORT_KEYS).decode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """The `number`-th checkpoint as it is kept: what was signed, and the armoured signature."""

    number: int
    body: str
    signature: str

    @property
    def sha256(self) -> str:
        """The hash (hex) of the body: what the next one names, and what anchors are told."""
        return sha256_of(self.body)

    @property
    def checkpoint(self) -> Checkpoint:
        """What the body says. Raises ValueError where it can't be read."""
        return read_checkpoint(self.body)

    def line(self) -> bytes:
        """What anchors are told: one short line of JSON, however much was sealed."""
        told = {"checkpoint": self.number, "sha256": self.sha256, "signature": self.signature}
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def sha256_of(text: str) -> str:
    """The hash (hex) of a checkpoint's body, or of what stands for an event in a list."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def place_after(before: Sealed | None) -> tuple[int, str]:
    """The number of the next checkpoint, and the hash that it has to name."""
    return (1, START) if before is None else (before.number + 1, before.sha256)


def read_checkpoint(body: str) -> Checkpoint:
    """The checkpoint with this body. Raises ValueError where it is not one of ours, to the byte."""
    read = orjson.loads(body)
    try:
        found = Checkpoint(
            number=_number(read["checkpoint"]),
            at=datetime.fromisoformat(read["at"]).astimezone(UTC),
            events=_number(read["events"]),
            after=str(read["after"]),
            heads=tuple(map(_head, read["heads"])),
            listed=_listed(read.get("list")),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("not the body of a checkpoint") from error
    if found.body() != body:
        raise ValueError("not written as checkpoints are")
    return found


def _written(head: Head) -> Mapping[str, object]:
    return {
        "node": head.chain.node,
        "boot": head.chain.boot,
        "seq": head.seq,
        "hash": head.hash,
    }


def _head(read: Mapping[str, object]) -> Head:
    chain = Chain(str(read["node"]), str(read["boot"]))
    return Head(chain, _number(read["seq"]), str(read["hash"]))


def _listed(read: Mapping[str, object] | None) -> Listed | None:
    return None if read is None else Listed(_number(read["events"]), str(read["sha256"]))


def _number(read: object) -> int:
    if not isinstance(read, int) or isinstance(read, bool):
        raise ValueError("not a number")
    return read
