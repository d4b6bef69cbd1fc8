"""Recovery: completing the sessions that an earlier process left open.

Each recording stands alone: one that is damaged or missing is reported and does not keep the
others. A recording that somebody still writes (its file is locked) is left alone.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from recorder import asciicast
from recorder.errors import CorruptRecording, RecorderError
from recorder.index import Index, Wanted
from recorder.manifest import Held
from recorder.mend import Mended, mend, still_written
from recorder.plain import lying_path, plain_measure
from recorder.reader import Reader
from recorder.sent_reader import bytes_sent
from recorder.session import (
    LONGEST_SIGNAL,
    Ending,
    EndReason,
    Kind,
    Session,
    SessionInfo,
    Stored,
    session_name,
)
from recorder.told import files_told

_PAGE = 100
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of one open session. `cut` is how many torn bytes were removed from its
    recording; `problem` a sentence if the recording is not what it should be."""

    session: int
    cut: int = 0
    problem: str | None = None

    def __str__(self) -> str:
        return f"{session_name(self.session)}: {self.problem or 'interrupted'}"


Hold = Callable[[int], Held | None]
"""Holds a session's checkpoint against its files, once nobody writes them any more: what became
of it, None where there is none."""


Mine = Callable[[Session], bool]
"""Whether an open session is to be completed here: nobody else carries it."""


def recover(directory: Path, index: Index, hold: Hold, mine: Mine) -> list[Recovered]:
    """Mend and complete the open sessions below `directory` that are `mine`.

    Raises IndexUnavailable.
    """
    ours = filter(mine, _open_sessions(index))
    results = (_recover(directory, index, session, hold) for session in ours)
    return [result for result in results if result is not None]


def recover_lost(directory: Path, index: Index, hold: Hold, runners: Collection[str]) -> list[str]:
    """Mend the recordings of what these carried and others took for lost; sentences of each.

    Raises IndexUnavailable.
    """
    lost = index.lost(runners)
    return [str(found) for each in lost if (found := _recover(directory, index, each, hold))]


def _open_sessions(index: Index) -> Iterator[Session]:
    before = None
    while page := index.find(Wanted(live=True), limit=_PAGE, before=before):
        yield from page
        before = page[-1].id


def _recover(directory: Path, index: Index, session: Session, hold: Hold) -> Recovered | None:
    path = directory / session.recording.path
    if still_written(path):
        return None
    held = hold(session.id)
    try:
        mended = mend(path, asciicast.header_line(_header(session)))
        sent, problem = _sent(path.with_suffix(".sent"))
        ending = ending_of(session.started_at, mended, sent)
    except (RecorderError, OSError) as error:
        ending = Ending(reason=EndReason.INTERRUPTED, at=session.started_at)
        _complete(index, session, ending, _as_it_is(directory, session.recording))
        return Recovered(session.id, problem=str(error))
    if session.kind in (Kind.SFTP, Kind.SCP):
        index.files.keep(session.id, files_told(Reader(path).events(), session.started_at))
    _complete(index, session, ending, _stored(session.recording.path, mended))
    return Recovered(session.id, mended.cut, problem or _not_held(held))


def _complete(index: Index, session: Session, ending: Ending, stored: Stored) -> None:
    if session.live:
        index.complete(session.id, ending, stored)
    else:
        index.keep_recording(session, ending, stored)


def _not_held(held: Held | None) -> str | None:
    if held in (None, Held.WHOLE):
        return None
    return f"interrupted, and its recording was {held} since its last checkpoint"


def salvaged(directory: Path, path: Path) -> Stored:
    """A recording whose writing failed, made whole as far as the disk allows."""
    relative = str(path.relative_to(directory))
    try:
        return _stored(relative, mend(path, b""))
    except (RecorderError, OSError):
        return _as_it_is(directory, Stored(relative))


def ending_of(started_at: datetime, mended: Mended, sent: int) -> Ending:
    """How a session ended, read from its recording: `interrupted` unless that says otherwise.

    Raises CorruptRecording for what no recorder has written.
    """
    found = mended.found
    status = found.exit if found.exit is not None and found.exit.isdecimal() else None
    signal = found.exit if status is None else None
    try:
        return Ending(
            reason=EndReason(str((found.ended or {}).get("reason", EndReason.INTERRUPTED))),
            at=started_at + timedelta(seconds=found.last_time),
            exit_status=None if status is None else _number(status),
            exit_signal=None if signal is None else signal.removeprefix("SIG")[:LONGEST_SIGNAL],
            bytes_in=sent,
            bytes_out=_number(found.bytes_out),
        )
    except (ValueError, OverflowError) as error:
        raise CorruptRecording(f"the recording's end cannot be right: {error}") from error


def _number(value: int | str) -> int:
    number = int(value)
    if not 0 <= number <= _LARGEST:
        raise ValueError(f"{number} is out of range")
    return number


def _stored(path: str, mended: Mended) -> Stored:
    return Stored(path, mended.sha256, mended.size, mended.found.events)


def _sent(path: Path) -> tuple[int, str | None]:
    try:
        return bytes_sent(path), None
    except RecorderError as error:
        return 0, str(error)


def _as_it_is(directory: Path, stored: Stored) -> Stored:
    try:
        size, sha256 = plain_measure(lying_path(directory / stored.path))
    except RecorderError:
        return stored
    return Stored(stored.path, sha256, size)


def _header(session: Session) -> asciicast.Header:
    info = SessionInfo(
        connection=session.connection,
        user=session.user,
        grant=session.grant,
        host=session.host,
        login=session.login,
        kind=Kind(session.kind),
        source=session.source,
        command=session.command,
    )
    return asciicast.header_of(session.id, info, session.started_at)
