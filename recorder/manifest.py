"""Manifests: what is signed of a recording when its session is over. Values and text; pure.

One line of JSON, its keys in order and no blanks, with its newline: exactly these bytes are what
is signed, what lies beside the recording, and what the next manifest names the SHA-256 of. A line
that would be written otherwise is none. Nothing here knows a key, a file or a clock.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from recorder import facts
from recorder.session import EndReason, Kind, Session, session_name

NAMESPACE: Final = "recording@bastion"
"""What the signature is for (OpenSSH's PROTOCOL.sshsig)."""

LONGEST_MANIFEST: Final = 4 * 1024 * 1024
"""Bytes of a manifest: a command line may be long."""

COVERED: Final = ".cast.zst.age"
"""What follows `S-31` where a recording is encrypted to the auditors."""

_NAME = re.compile(r"S-[0-9]{1,19}(-[0-9]{1,2})?\.(cast(\.zst\.age)?|sent)", re.ASCII)


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
    that there were: the cast, the track of what was sent, and what covers the cast where that was
    encrypted (the cast is then what that holds). `checkpoint` tells of a recording that was
    interrupted how it stood to what the database knew of it while it grew.
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

    @property
    def covered(self) -> Part | None:
        """The encrypted file in place of its cast, where there is one."""
        return self.part(COVERED)

    def part(self, suffix: str) -> Part | None:
        """Its file with this suffix: `.cast`, `.sent`, `.cast.zst.age`."""
        return next((each for each in self.files if each.name.endswith(suffix)), None)

    def text(self) -> str:
        """What is signed."""
        return facts.line_of(_written(self))


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
    return facts.read_back(text, "manifest", LONGEST_MANIFEST, _read, Manifest.text)


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
        "started_at": facts.moment(manifest.started_at),
        "ended_at": facts.moment(manifest.ended_at),
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
        "sealed_at": facts.moment(manifest.sealed_at),
        "node": manifest.node,
    }


def _read(take: facts.Facts) -> Manifest:
    return Manifest(
        number=take("manifest", facts.number),
        session=take("session", facts.named("S")),
        connection=take("connection", facts.named("C")),
        user=take("user", facts.text),
        grant=take("grant", facts.named("G")),
        host=take("host", facts.text),
        login=take("login", facts.text),
        kind=Kind(take("kind", facts.text)),
        command=take("command", facts.maybe(facts.text)),
        source=take("source", facts.text),
        started_at=take("started_at", facts.when),
        ended_at=take("ended_at", facts.when),
        end_reason=EndReason(take("end_reason", facts.text)),
        exit_status=take("exit_status", facts.maybe(facts.number)),
        exit_signal=take("exit_signal", facts.maybe(facts.text)),
        bytes_in=take("bytes_in", facts.number),
        bytes_out=take("bytes_out", facts.number),
        events=take("events", facts.number),
        files=take("files", facts.several(3, read_part)),
        checkpoint=take("checkpoint", facts.maybe(lambda value: Held(facts.text(value)))),
        previous=take("previous", facts.maybe(facts.sha256)),
        sealed_at=take("sealed_at", facts.when),
        node=take("node", facts.text),
    )


def read_part(take: facts.Facts) -> Part:
    """A file, as manifests write it. Raises ValueError."""
    name = take("name", facts.text)
    if _NAME.fullmatch(name) is None:
        raise ValueError("has a name that no recording has")
    return Part(name, take("sha256", facts.sha256), take("size", facts.number))
