"""A session as the recorder knows it: what is told at the start, what is known at the end.

Values only. Nothing here knows a file, a database, a clock or a network.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LONGEST_SIGNAL = 32
_LONGEST_TERM = 64


class Kind(StrEnum):
    """What a session is. One session is one channel, transfer, forward or prompt line."""

    SHELL = "shell"
    EXEC = "exec"
    PROMPT = "prompt"
    SFTP = "sftp"
    SCP = "scp"
    FORWARD = "forward"


class EndReason(StrEnum):
    """Why a session is over."""

    CLOSED = "closed"
    EXPIRED = "expired"
    REVOKED = "revoked"
    KILLED = "killed"
    IDLE = "idle"
    LIMIT = "limit"
    DRAINED = "drained"
    LOST = "lost"
    RECORDING_FAILED = "recording_failed"
    INTERRUPTED = "interrupted"


class Compaction(StrEnum):
    """What became of the file of a recording that is sealed.

    `kept`: it would be no smaller; `corrupt`: it is not what was sealed, and left as it is;
    `encrypted`: to the auditors, before it was sealed.
    """

    COMPACTED = "compacted"
    KEPT = "kept"
    CORRUPT = "corrupt"
    ENCRYPTED = "encrypted"


class Shipment(StrEnum):
    """What became of a recording that was to go into the object store.

    `corrupt`: it is not what was sealed, and stays where it is; `other`: the store has other bytes
    under its names, which nobody changes.
    """

    SHIPPED = "shipped"
    CORRUPT = "corrupt"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Size:
    """A terminal's size in character cells, as the client gave it (0 and 60000 do occur)."""

    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What is known when a session starts.

    `terminal` is None without a pty. `command` and `term` come from the client: what is not
    text in them (a NUL, bytes decoded with surrogateescape) is kept as a `\\xNN` escape, so
    that a header and a database can hold it.
    """

    connection: int
    user: str
    grant: int
    host: str
    login: str
    kind: Kind
    source: str
    command: str | None = None
    term: str | None = None
    terminal: Size | None = None

    def __post_init__(self) -> None:
        if self.command is not None:
            object.__setattr__(self, "command", storable(self.command))
        if self.term is not None:
            object.__setattr__(self, "term", storable(self.term)[:_LONGEST_TERM])


@dataclass(frozen=True, slots=True)
class Stored:
    """A recording's file. `path` is relative to the archive's directory.

    Until the session has ended, `sha256` (hex, of the whole file) is None and the rest is 0.
    `let_go_at` is when it was let go: its file is no more. Hash and size are of the plain content;
    of one that was compacted, `compacted_size` is the file's, and `points` the SHA-256 (hex) of
    what finds a time in it. `shipment` is what became of it in the object store.
    """

    path: str
    sha256: str | None = None
    size: int = 0
    events: int = 0
    sealed: bool = False
    let_go_at: datetime | None = None
    compaction: Compaction | None = None
    compacted_size: int | None = None
    points: str | None = None
    shipment: Shipment | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known when a session has ended. Exactly one of status and signal, or neither."""

    reason: EndReason
    at: datetime
    exit_status: int | None = None
    exit_signal: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """One row of the index. Times are timezone-aware UTC; a live session has no `ended_at`.

    `bytes_in` is what the contractor sent, `bytes_out` what the target did. `runner` names the
    process that records it, or did.
    """

    id: int
    connection: int
    user: str
    grant: int
    host: str
    login: str
    kind: Kind
    command: str | None
    source: str
    started_at: datetime
    ended_at: datetime | None
    end_reason: EndReason | None
    exit_status: int | None
    exit_signal: str | None
    bytes_in: int
    bytes_out: int
    recording: Stored
    runner: str | None = None

    @property
    def name(self) -> str:
        """The session as people say it: `S-31`."""
        return session_name(self.id)

    @property
    def live(self) -> bool:
        """Whether it has not ended yet."""
        return self.ended_at is None


def session_name(session: int) -> str:
    """`S-31` for 31."""
    return f"S-{session}"


def storable(text: str) -> str:
    """Text from outside that any header and database can hold: odd bytes as `\\xNN`."""
    raw = text.encode("utf-8", "surrogateescape").replace(b"\0", b"\\x00")
    return raw.decode("utf-8", "backslashreplace")
