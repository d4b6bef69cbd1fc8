"""Checkpoints as values: where all chains of events ended at a moment, to be sealed.

Each names the hash of the one before, so the newest speaks for all. Its `body` is what is signed,
byte for byte: a line of JSON with its keys in order and no blanks. Nothing here knows a key.
"""

import hashlib
from collections.abc import Mapping
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
class Checkpoint:
    """The `number`-th: where the chains that had moved since the one before ended at `at`.

    `events` is the number of the newest event of all at that moment, `after` the SHA-256 (hex) of
    the body before, `START` for the first.
    """

    number: int
    at: datetime
    events: int
    after: str
    heads: tuple[Head, ...]

    def body(self) -> str:
        """What is signed."""
        written = {
            "checkpoint": self.number,
            "at": moment(self.at),
            "events": self.events,
            "after": self.after,
            "heads": [_written(head) for head in self.heads],
        }
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


def sha256_of(body: str) -> str:
    """The hash (hex) of a checkpoint's body."""
    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()


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


def _number(read: object) -> int:
    if not isinstance(read, int) or isinstance(read, bool):
        raise ValueError("not a number")
    return read
