"""Manifests: what is signed of a recording when its session is over. Values and text; pure.

One line of JSON, its keys in order and no blanks, with its newline: exactly these bytes are what
is signed, what lies beside the recording, and what the next manifest names the SHA-256 of. A line
that would be written otherwise is none. Nothing here knows a key, a file or a clock.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

import orjson

from recorder.errors import CorruptRecording
from recorder.session import EndReason, Kind, Session, session_name

NAMESPACE: Final = "recording@bastion"
"""What the signature is for (OpenSSH's PROTOCOL.sshsig)."""

LONGEST_MANIFEST: Final = 4 * 1024 * 1024
"""Bytes of a manifest: a command line may be long."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"S-[0-9]{1,19}(-[0-9]{1,2})?\.(cast|sent)", re.ASCII)
_LARGEST = 2**63 - 1
T = TypeVar("T")


class Held(StrEnum):
    """What became of the checkpoint of a recording that was interrupted."""

    WHOLE = "whole"
    CUT = "cut"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a recording: its plain name, the SHA-256 (hex) and the size of its content."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts of one recording, the `number`-th that was sealed.

    `previous` is the SHA-256 (hex) of the manifest before, None for the first. `files` are those
    that there were: the cast, and the track of what was sent. `checkpoint` tells of a recording
    that was interrupted how it stood to what the database knew of it while it grew.
    """

    number: int
    session: int
    connection: int
    user: str
    grant: int
    host: str
    login: str
    kind: Kind
    command: str | None
    source: str
    started_at: datetime
    ended_at: datetime
    end_reason: EndReason
    exit_status: int | None
    exit_signal: str | None
    bytes_in: int
    bytes_out: int
    events: int
    files: tuple[Part, ...]
    checkpoint: Held | None
    previous: str | None
    sealed_at: datetime
    node: str

    @property
    def name(self) -> str:
        """The session as people say it: `S-31`."""
        return session_name(self.session)

    def part(self, suffix: str) -> Part | None:
        """Its file with this suffix: `.cast`, `.sent`."""
        return next((each for each in self.files if each.name.endswith(suffix)), None)

    def text(self) -> str:
        """What is signed."""
        options = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        return orjson.dumps(_written(self), option=options).decode()


def sha256_of(text: str) -> str:
    """The hash (hex) of a manifest's text: what the next one names."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def manifest_of(
    session: Session,
    files: tuple[Part, ...],
    *,
    number: int,
    previous: str | None,
    checkpoint: Held | None,
    sealed_at: datetime,
    node: str,
) -> Manifest:
    """The manifest of a session that is over. Raises ValueError for one that is live."""
    if session.ended_at is None or session.end_reason is None:
        raise ValueError(f"{session.name} is not over")
    return Manifest(
        number=number,
        session=session.id,
        connection=session.connection,
        user=session.user,
        grant=session.grant,
        host=session.host,
        login=session.login,
        kind=session.kind,
        command=session.command,
        source=session.source,
        started_at=session.started_at,
        ended_at=session.ended_at,
        end_reason=session.end_reason,
        exit_status=session.exit_status,
        exit_signal=session.exit_signal,
        bytes_in=session.bytes_in,
        bytes_out=session.bytes_out,
        events=session.recording.events,
        files=files,
        checkpoint=checkpoint,
        previous=previous,
        sealed_at=sealed_at,
        node=node,
    )


def read_manifest(text: str) -> Manifest:
    """The manifest that a text is, to the byte. Raises CorruptRecording, with one sentence."""
    if len(text) > LONGEST_MANIFEST:
        raise CorruptRecording("the manifest is too long")
    try:
        read = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
        raise CorruptRecording("the manifest is not JSON") from error
    if not isinstance(read, dict):
        raise CorruptRecording("the manifest is not an object")
    try:
        found = _read(read)
        same = found.text() == text
    except (ValueError, OverflowError, TypeError) as error:
        raise CorruptRecording(f"the manifest can't be read: {error}") from error
    if not same:
        raise CorruptRecording("the manifest is not written as manifests are")
    return found


def _written(manifest: Manifest) -> Mapping[str, object]:
    return {
        "manifest": manifest.number,
        "session": manifest.name,
        "connection": f"C-{manifest.connection}",
        "user": manifest.user,
        "grant": f"G-{manifest.grant}",
        "host": manifest.host,
        "login": manifest.login,
        "kind": manifest.kind.value,
        "command": manifest.command,
        "source": manifest.source,
        "started_at": _moment(manifest.started_at),
        "ended_at": _moment(manifest.ended_at),
        "end_reason": manifest.end_reason.value,
        "exit_status": manifest.exit_status,
        "exit_signal": manifest.exit_signal,
        "bytes_in": manifest.bytes_in,
        "bytes_out": manifest.bytes_out,
        "events": manifest.events,
        "files": [
            {"name": each.name, "sha256": each.sha256, "size": each.size} for each in manifest.files
        ],
        "checkpoint": manifest.checkpoint and manifest.checkpoint.value,
        "previous": manifest.previous,
        "sealed_at": _moment(manifest.sealed_at),
        "node": manifest.node,
    }


def _read(read: dict[str, object]) -> Manifest:
    """Raises ValueError, and OverflowError for times that no clock tells."""
    take = _Facts(read)
    return Manifest(
        number=take("manifest", _number),
        session=take("session", _named("S")),
        connection=take("connection", _named("C")),
        user=take("user", _text),
        grant=take("grant", _named("G")),
        host=take("host", _text),
        login=take("login", _text),
        kind=Kind(take("kind", _text)),
        command=take("command", _maybe(_text)),
        source=take("source", _text),
        started_at=take("started_at", _when),
        ended_at=take("ended_at", _when),
        end_reason=EndReason(take("end_reason", _text)),
        exit_status=take("exit_status", _maybe(_number)),
        exit_signal=take("exit_signal", _maybe(_text)),
        bytes_in=take("bytes_in", _number),
        bytes_out=take("bytes_out", _number),
        events=take("events", _number),
        files=take("files", _parts),
        checkpoint=take("checkpoint", _maybe(lambda value: Held(_text(value)))),
        previous=take("previous", _maybe(_sha256)),
        sealed_at=take("sealed_at", _when),
        node=take("node", _text),
    )


class _Facts:
    """Takes facts out of an object; what is missing or of another kind is named."""

    def __init__(self, read: dict[str, object]) -> None:
        self._read = read

    def __call__(self, name: str, kind: Callable[[object], T]) -> T:
        try:
            return kind(self._read[name])
        except KeyError:
            raise ValueError(f"it lacks {name}") from None
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None


def _maybe(kind: Callable[[object], T]) -> Callable[[object], T | None]:
    return lambda value: None if value is None else kind(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise ValueError("is not a number")
    return value


def _named(prefix: str) -> Callable[[object], int]:
    def number(value: object) -> int:
        letter, _, digits = _text(value).partition("-")
        if letter != prefix or not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
            raise ValueError(f"is not written {prefix}-N")
        return _number(int(digits))

    return number


def _sha256(value: object) -> str:
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise ValueError("is not a SHA-256")
    return value


def _when(value: object) -> datetime:
    at = datetime.fromisoformat(_text(value))
    if at.tzinfo is None:
        raise ValueError("is a time without a zone")
    return at.astimezone(UTC)


def _moment(at: datetime) -> str:
    """As events of the log have it: in UTC, always to the microsecond."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _parts(value: object) -> tuple[Part, ...]:
    if not isinstance(value, list) or len(value) > 2:
        raise ValueError("are not the files of a recording")
    return tuple(map(_part, value))


def _part(value: object) -> Part:
    if not isinstance(value, dict):
        raise ValueError("are not files")
    take = _Facts(value)
    name = take("name", _text)
    if _NAME.fullmatch(name) is None:
        raise ValueError("has a name that no recording has")
    return Part(name, take("sha256", _sha256), take("size", _number))
