"""Events as values: who did what, when, why, from where; and the chain that they are kept in.

`Happened` is what somebody tells; an `Event` is the same with its place in the chain of one
process's boot, and the hash of the event before. Nothing here knows a clock or a database.

An event has one written form, a line of JSON with its keys in order and no blanks. It is what
`audit --json` shows, what goes to files and to syslog, and, without its own `hash`, what that
hash is made of: whoever has the line can check it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeAlias

import orjson

Details: TypeAlias = "str | int | bool | Sequence[Details] | Mapping[str, Details] | None"

START: Final = "0" * 64
"""What the first event of a chain has in place of the hash of the one before."""

AFTER: Final = "after"
"""Among the details of a chain's first event: which event was the newest of all."""


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
    LIMIT_REACHED = "limit.reached"
    CONNECTION_OPENED = "connection.opened"
    CONNECTION_REFUSED = "connection.refused"
    CONNECTION_CLOSED = "connection.closed"
    DOOR_REFUSED = "door.refused"
    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    SESSION_KILLED = "session.killed"
    SESSION_WAITING = "session.waiting"
    SESSION_FROZEN = "session.frozen"
    SESSION_RESUMED = "session.resumed"
    WATCH_ENDED = "watch.ended"
    RECORDING_LOOKED_AT = "recording.looked_at"
    RECORDING_SEARCHED = "recording.searched"
    RECORDING_FAILED = "recording.failed"
    RECORDING_SEALED = "recording.sealed"
    RECORDING_LET_GO = "recording.let_go"
    RETENTION_CHANGED = "retention.changed"
    HOLD_PLACED = "hold.placed"
    HOLD_RELEASED = "hold.released"
    EVIDENCE_ASKED = "evidence.asked"
    EVIDENCE_PACKED = "evidence.packed"
    RECORDING_CORRUPT = "recording.corrupt"
    RECORDING_REFUSED = "recording.refused"
    RECORDING_RECOVERED = "recording.recovered"
    RECORDING_RETURNED = "recording.returned"
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
    CA_MOVED = "ca.moved"
    KRL_WRITTEN = "krl.written"
    SERVICE_STARTED = "service.started"
    SERVICE_STOPPED = "service.stopped"
    ACCESS_SHUT = "access.shut"
    BACKUP_BEGUN = "backup.begun"
    HOME_RESTORED = "home.restored"
    CLOCK_RESET = "clock.reset"
    CLOCK_TRUSTED = "clock.trusted"
    DISK_CHANGED = "disk.changed"
    STORE_CHANGED = "store.changed"
    SIGNER_CHANGED = "signer.changed"
    NOTICE_GIVEN_UP = "notice.given_up"
    EVENTS_LOST = "events.lost"
    EVENT_UNREADABLE = "event.unreadable"
    """Never told: it stands for a row of the log that can't be read."""


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

    Both count from 1 and leave nothing out. `prev` is the hash of the one before in the chain,
    `hash` its own: SHA-256 in hex over everything else, see `digest`.
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

    def hashed(self) -> bytes:
        """What its hash is made of: its line without the hash."""
        return orjson.dumps(_columns(self), option=orjson.OPT_SORT_KEYS)

    def written(self) -> dict[str, object]:
        """Its written form, as JSON's values by name."""
        return {**_columns(self), "hash": self.hash}

    def line(self) -> bytes:
        """Its written form: one line of JSON, without the newline."""
        return orjson.dumps(self.written(), option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: its latest event's number and hash."""

    chain: Chain
    seq: int
    hash: str


def digest(event: Event) -> str:
    """The hash of an event: SHA-256 (hex) over its written form, which lacks only the hash."""
    return digest_of(_columns(event))


def digest_of(columns: Mapping[str, object]) -> str:
    """The hash of the event with these columns; `details` may be its JSON (`orjson.Fragment`)."""
    return hashlib.sha256(orjson.dumps(columns, option=orjson.OPT_SORT_KEYS)).hexdigest()


def following(
    id: int,  # noqa: A002
    chain: Chain,
    head: Head | None,
    happened: Happened,
    at: datetime,
    *,
    after: tuple[int, str] | None = None,
) -> Event:
    """The event that comes after `head` in its chain, or begins it; what is told is `bounded`.

    `after` are id and hash of the newest of all events: the first of a chain keeps them among its
    details, so that the chains hang together.
    """
    seq, prev = (1, START) if head is None else (head.seq + 1, head.hash)
    told = bounded(happened)
    if head is None and after is not None:
        told = replace(told, details={**told.details, AFTER: list(after)})
    bare = Event(id, chain, seq, at, told, prev, "")
    return replace(bare, hash=bare.digest())


# What a column may hold, in characters. Much of it comes from strangers.
ACTOR_LIMIT: Final = 128
SOURCE_LIMIT: Final = 128
ACCOUNT_LIMIT: Final = 64
USER_LIMIT: Final = 63
HOST_LIMIT: Final = 253
LOGIN_LIMIT: Final = 32
WHY_LIMIT: Final = 1000
DETAIL_LIMIT: Final = 2000
DETAILS_LIMIT: Final = 32 * 1024
"""Bytes of all details together, as JSON."""

_MOST = 200
"""Entries of a list or an object among the details."""


def bounded(happened: Happened) -> Happened:
    """The same with texts that can be written down anywhere, and none too long.

    Half a UTF-16 pair (a byte that was no UTF-8) and NUL become `\\udc80` and `\\x00`; what is too
    long ends in `…`. Details that are too many are replaced by how many bytes they were.
    """
    return replace(
        happened,
        actor=_text(happened.actor, ACTOR_LIMIT),
        source=_text(happened.source, SOURCE_LIMIT),
        account=_maybe(happened.account, ACCOUNT_LIMIT),
        user=_maybe(happened.user, USER_LIMIT),
        host=_maybe(happened.host, HOST_LIMIT),
        login=_maybe(happened.login, LOGIN_LIMIT),
        why=_maybe(happened.why, WHY_LIMIT),
        details=_bounded_details(happened.details) if happened.details else {},
    )


def moment(at: datetime) -> str:
    """A time as events have it: `2026-11-23T12:00:00.000000Z`, always to the microsecond."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def named(prefix: str, number: int | None) -> str | None:
    """An id as people write it: `G-7`."""
    return None if number is None else f"{prefix}-{number}"


def _columns(event: Event) -> dict[str, object]:
    told = event.happened
    return {
        "id": event.id,
        "node": event.chain.node,
        "boot": event.chain.boot,
        "seq": event.seq,
        "at": moment(event.at),
        "what": told.what.value,
        "actor": told.actor,
        "source": told.source,
        "account": told.account,
        "user": told.user,
        "host": told.host,
        "login": told.login,
        "request": named("R", told.request),
        "grant": named("G", told.grant),
        "connection": named("C", told.connection),
        "session": named("S", told.session),
        "why": told.why,
        "details": told.details,
        "prev": event.prev,
    }


def _bounded_details(details: Mapping[str, Details]) -> Mapping[str, Details]:
    found = {_text(key, USER_LIMIT): _detail(details[key]) for key in list(details)[:_MOST]}
    size = len(orjson.dumps(found))
    return found if size <= DETAILS_LIMIT else {"too_long": size}


def _detail(value: Details) -> Details:
    if isinstance(value, str):
        return _text(str(value), DETAIL_LIMIT)
    if isinstance(value, Mapping):
        return {_text(key, USER_LIMIT): _detail(value[key]) for key in list(value)[:_MOST]}
    if isinstance(value, Sequence):
        return [_detail(each) for each in value[:_MOST]]
    if isinstance(value, int) and value.bit_length() > 63:  # JSON's readers stop there
        return hex(value)[:DETAIL_LIMIT]
    return value


def _maybe(text: str | None, limit: int) -> str | None:
    return None if text is None else _text(text, limit)


def _text(text: str, limit: int) -> str:
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
