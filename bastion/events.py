"""Events as values: who did what, when, why, from where; and the chain that they are kept in.

`Happened` is what somebody tells; an `Event` is the same with its place in the chain of one
process's boot, and the hash of the event before. Nothing here knows a clock or a database.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeAlias

import orjson

Details: TypeAlias = "str | int | bool | Sequence[Details] | Mapping[str, Details] | None"

START: Final = "0" * 64
"""What the first event of a chain has in place of the hash of the one before."""


class What(StrEnum):
    """What can happen, by the thing that it happens to."""

    REQUEST_MADE = "request.made"
    REQUEST_REFUSED = "request.refused"
    REQUEST_CANCELLED = "request.cancelled"
    REQUEST_APPROVED = "request.approved"
    REQUEST_DENIED = "request.denied"
    GRANT_GIVEN = "grant.given"
    GRANT_EXTENDED = "grant.extended"
    GRANT_REVOKED = "grant.revoked"
    GRANT_REVIEWED = "grant.reviewed"
    CERTIFICATE_SIGNED = "certificate.signed"
    CERTIFICATE_REVOKED = "certificate.revoked"
    SIGNIN_FAILED = "signin.failed"
    CONNECTION_OPENED = "connection.opened"
    CONNECTION_REFUSED = "connection.refused"
    CONNECTION_CLOSED = "connection.closed"
    DOOR_REFUSED = "door.refused"
    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    SESSION_KILLED = "session.killed"
    RECORDING_LOOKED_AT = "recording.looked_at"
    RECORDING_FAILED = "recording.failed"
    RULES_CHANGED = "rules.changed"
    RULES_BROKEN = "rules.broken"
    USER_ADDED = "user.added"
    USER_CHANGED = "user.changed"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    KEY_ENROLLED = "key.enrolled"
    KEY_REMOVED = "key.removed"
    HOST_ADDED = "host.added"
    HOST_CHANGED = "host.changed"
    HOST_REMOVED = "host.removed"
    HOST_MOVED = "host.moved"
    CA_ROTATED = "ca.rotated"
    CA_RETIRED = "ca.retired"
    KRL_WRITTEN = "krl.written"
    SERVICE_STARTED = "service.started"
    SERVICE_STOPPED = "service.stopped"
    CLOCK_RESET = "clock.reset"
    NOTICE_GIVEN_UP = "notice.given_up"


@dataclass(frozen=True, slots=True)
class Happened:
    """What is told. `actor` did it, from `source`; `account` is the machine's, where it has one.

    `user` is whom it is about; `why` the reason that was given, or the door's. `details` are
    JSON's values, for what has no column of its own.
    """

    what: What
    actor: str
    source: str = "local"
    account: str | None = None
    user: str | None = None
    host: str | None = None
    login: str | None = None
    request: int | None = None
    grant: int | None = None
    connection: int | None = None
    session: int | None = None
    why: str | None = None
    details: Mapping[str, Details] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chain:
    """Whose chain it is: the machine, and one process's life on it."""

    node: str
    boot: str


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, in its place: the `seq`-th of its chain, `id`-th of all.

    `prev` is the hash of the one before in the chain, `hash` its own: SHA-256 in hex over
    everything else, see `digest`.
    """

    id: int
    chain: Chain
    seq: int
    at: datetime
    happened: Happened
    prev: str
    hash: str

    def digest(self) -> str:
        """What its hash has to be."""
        return digest(self)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: its latest event's number and hash."""

    chain: Chain
    seq: int
    hash: str


def digest(event: Event) -> str:
    """SHA-256 (hex) over the canonical JSON (keys in order, no blanks, UTC) of all but the hash."""
    whole = {
        **asdict(event.happened),
        **asdict(event.chain),
        "id": event.id,
        "seq": event.seq,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "prev": event.prev,
    }
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


def following(
    id: int,  # noqa: A002
    chain: Chain,
    head: Head | None,
    happened: Happened,
    at: datetime,
) -> Event:
    """The event that comes after `head` in its chain, or begins it."""
    seq, prev = (1, START) if head is None else (head.seq + 1, head.hash)
    bare = Event(id, chain, seq, at, happened, prev, "")
    return replace(bare, hash=bare.digest())
