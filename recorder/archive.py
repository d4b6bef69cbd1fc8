"""The archive: where recordings live, and who opens and closes them.

    DIRECTORY/2026/11/23/S-31.cast    what was shown (asciicast), mode 0600; by and by S-31.cast.zst
    DIRECTORY/2026/11/23/S-31.sent    what was sent, encrypted to the auditors
    DIRECTORY/2026/11/23/S-31.manifest, S-31.manifest.sig    its seal, when the session is over
    DIRECTORY/2026/11/23/S-31.cast.zst.age    in place of the cast, where that is encrypted too

A row of the index and its files begin in one transaction, so whoever sees a session finds its
recording. The archive knows threads, and a wall clock that is handed in; it knows no network.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from recorder import asciicast, recovery
from recorder.age import identity, recipient
from recorder.arrears import Arrears
from recorder.ceilings import Ceilings
from recorder.covered import CoveredReader
from recorder.errors import (
    IndexUnavailable,
    LetGo,
    RecorderError,
    RecordingFailed,
    RecordingMissing,
    SomebodyIsAtIt,
)
from recorder.files import day_directory, make_directory, new_pens
from recorder.growing import Growing
from recorder.index import Index
from recorder.manifest import Held
from recorder.pen import Pen
from recorder.places import Places
from recorder.plain import covered_path, lying_path
from recorder.reader import Reader
from recorder.recording import Clock, Recording
from recorder.seal import Sealing
from recorder.sent import MeasuredTrack, SealedTrack, SentTrack
from recorder.session import (
    Compaction,
    EndReason,
    Kind,
    Session,
    SessionInfo,
    Stored,
    session_name,
)
from recorder.syncing import Syncing
from recorder.threads import Later, to_the_end
from recorder.told import files_told
from recorder.unbegun import remove_unbegun

log = logging.getLogger(__name__)

THREADS: Final = 16
"""Threads for opening and closing recordings: a disk that hangs keeps them, and no others."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Over:
    """A recording that was closed at that time: its file, or why that is not whole."""

    recording: Recording
    at: datetime
    stored: Stored | None = None
    failure: RecordingFailed | None = None


class Archive:
    """Recordings below one directory, indexed by `index`.

    `recipients` are the auditors' public keys (age or SSH); with none, what is sent is only
    measured. `limit` is the most bytes that a session's asciicast may have, and its track of
    what was sent. Of a forward only length and SHA-256 are kept, as its bytes are opaque. What
    sftp and scp send is told of file by file, so its bytes are only counted. `sealing` seals what
    is over, and keeps checkpoints of what grows; without it nothing is sealed. `places` knows of
    recordings that are not on this machine. `arrears` is where a row waits that the database does
    not take; without it that is left to `recover`. Raises UnusableKey.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        *,
        recipients: Sequence[str],
        limit: int,
        now: Callable[[], datetime] = utc_now,
        clock: Clock = time.monotonic,
        sealing: Sealing | None = None,
        places: Places | None = None,
        arrears: Arrears | None = None,
    ) -> None:
        self._directory = directory
        self._places = places or Places(directory)
        self._index = index
        self._recipients = [recipient(text) for text in recipients]
        self._limit = limit
        self._now = now
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "recordings")
        self._syncing = Syncing(clock)
        self._sealing = sealing
        self._arrears = arrears
        self._later = Later("covers")
        self._growing = None if sealing is None else Growing(self._syncing, sealing.mark, now)

    @property
    def behind(self) -> float:
        """Seconds that the disk is behind with what live sessions have written."""
        return self._syncing.behind

    async def sync(self) -> None:
        """Ask the disk for what live sessions have written until now, and wait for it.

        A recording that the disk refuses is broken: its session can't go on.
        """
        await self._syncing.sync()

    async def checkpoint(self) -> None:
        """Keep in the database how far live recordings have come. Raises IndexUnavailable."""
        if self._growing is not None:
            await self._growing.checkpoint()

    @asynccontextmanager
    async def record(
        self, info: SessionInfo, ceilings: Ceilings | None = None
    ) -> AsyncIterator[Recording]:
        """A session's recording, for as long as the session lasts.

        Ends with the reason that was given to `Recording.end`, else `closed`; if the body
        raises, `recording_failed` or `lost`. It is closed also when the task is cancelled. Raises
        TooMany where so many go on as `ceilings` allow.
        """
        recording = await self.begin(info, ceilings)
        try:
            yield recording
        except RecordingFailed:
            recording.end(EndReason.RECORDING_FAILED)
            raise
        except BaseException:
            recording.end(EndReason.LOST)
            raise
        finally:
            await self.finish(recording)

    async def begin(self, info: SessionInfo, ceilings: Ceilings | None = None) -> Recording:
        """Open a recording: row, files and header are there when this returns.

        Raises RecordingFailed, IndexUnavailable or TooMany; then nothing is left behind. Where
        nobody can tell whether the database has kept the row, that is settled when it answers.
        """
        opened: list[Recording] = []
        unsure: list[Recording] = []
        try:
            begin = partial(self._begin, info, ceilings, unsure)
            await to_the_end(lambda: opened.append(begin()), self._threads)
        except asyncio.CancelledError:
            for recording in opened:
                recording.end(EndReason.LOST)
                await self.finish(recording)
            raise
        finally:
            for recording in unsure:
                self._put_off(partial(self._settle, recording))
        self._syncing.add(*opened[0].pens)
        if self._growing is not None:
            self._growing.add(opened[0])
        return opened[0]

    async def finish(self, recording: Recording) -> None:
        """Close a recording and write its end into the index. A second call does nothing.

        Runs to its end also when the task is cancelled. Where the database is away, the row is put
        off. Raises RecordingFailed (the row then says `recording_failed`), and without arrears
        IndexUnavailable (then `recover` will complete the row).
        """
        if not recording.claim_end():
            return
        self._syncing.remove(*recording.pens)
        if self._growing is not None:
            self._growing.remove(recording)
        left: list[_Over] = []
        try:
            await to_the_end(lambda: self._finish(recording, left), self._threads)
        finally:
            for over in left:
                self._put_off(partial(self._write, over))

    async def recover(
        self, mine: Callable[[Session], bool] = lambda _: True
    ) -> list[recovery.Recovered]:
        """Complete what a process that is gone left open, each recording for itself.

        Makes the archive's directory where there is none: who asks it for room is to get an answer.
        Only sessions that are `mine`, and of these none that somebody still writes. Raises
        IndexUnavailable.
        """
        return await to_the_end(lambda: self._recover(mine))

    async def recover_lost(self, runners: Collection[str]) -> list[str]:
        """Complete the recordings of what these carried, and others took for lost meanwhile.

        A sentence for each. Raises IndexUnavailable.
        """
        return await to_the_end(
            lambda: recovery.recover_lost(self._directory, self._index, self._hold, runners)
        )

    async def remove_unbegun(self) -> list[str]:
        """Remove what a process has left that died while it began a recording; see `unbegun`."""
        return await asyncio.to_thread(remove_unbegun, self._directory, self._index, self._now())

    async def seal_pending(self) -> list[str]:
        """Seal what is over and is not sealed yet; sentences for what can't be.

        Raises IndexUnavailable.
        """
        sealing = self._sealing
        return [] if sealing is None else await asyncio.to_thread(sealing.seal_pending)

    def open(
        self,
        session: Session,
        between: Callable[[], object] = lambda: None,
        key: str | None = None,
    ) -> Reader:
        """What reads a session's recording; it may be growing still.

        `between` is called between two slices of long reading. `key` is an auditor's identity, for
        one that is encrypted: without it reading raises Covered. One that is in the object store
        only is fetched first. Raises LetGo, RecordingMissing, CorruptRecording, StoreAway;
        UnusableKey for a key that is none.
        """
        if session.recording.let_go_at is not None:
            raise LetGo(f"{session.name} was let go on {session.recording.let_go_at:%Y-%m-%d}")
        covered = self.is_covered(session)
        path = self._places.root(session, between) / session.recording.path
        if covered:
            return CoveredReader(path, None if key is None else identity(key), between)
        try:
            lying_path(path)
        except RecordingMissing:
            raise RecordingMissing(f"the recording of {session.name} is missing: {path}") from None
        return Reader(path, between, points=session.recording.points)

    def is_covered(self, session: Session) -> bool:
        """Whether a session's recording is encrypted, and nothing plain of it lies there."""
        if self._places.is_stored(session):
            return session.recording.compaction is Compaction.ENCRYPTED
        path = self._directory / session.recording.path
        try:
            lying_path(path)
        except RecordingMissing:
            return covered_path(path).is_file()
        return False

    def _recover(self, mine: Callable[[Session], bool]) -> list[recovery.Recovered]:
        with suppress(OSError):
            make_directory(self._directory)
        return recovery.recover(self._directory, self._index, self._hold, mine)

    def _put_off(self, work: Callable[[], None]) -> None:
        if self._arrears is not None:
            self._arrears.later(work)

    def _begin(
        self, info: SessionInfo, ceilings: Ceilings | None, unsure: list[Recording]
    ) -> Recording:
        opened: list[Recording] = []
        started_at = self._now()

        def place(session: int) -> str:
            recording = self._open(session, info, started_at)
            opened.append(recording)
            return str(recording.path.relative_to(self._directory))

        try:
            self._index.add(info, started_at, place, ceilings)
        except BaseException as error:
            if self._arrears is not None and isinstance(error, IndexUnavailable):
                unsure.extend(opened)
            else:
                for recording in opened:
                    recording.discard()
            raise
        return opened[0]

    def _settle(self, recording: Recording) -> None:
        """The database was lost while it was to keep a row: has it done so, or not?

        The path tells: no two recordings ever had the same.
        """
        found = self._index.get(recording.session)
        path = str(recording.path.relative_to(self._directory))
        if found is None or found.recording.path != path:
            recording.discard()
            return
        recording.end(EndReason.LOST)
        if recording.claim_end():
            self._write(self._closed(recording))

    def _open(self, session: int, info: SessionInfo, started_at: datetime) -> Recording:
        try:
            directory = day_directory(self._directory, started_at)
            cast, track_pen = new_pens(directory, session_name(session))
        except OSError as error:
            reason = f"no recording can be begun in {self._directory}: {error.strerror}"
            raise RecordingFailed(reason) from error
        try:
            header = asciicast.header_of(session, info, started_at)
            cast.write(asciicast.header_line(header))
            track = self._track(track_pen, session, info)
        except BaseException:
            cast.discard()
            track_pen.discard()
            raise
        return Recording(
            session,
            started_at,
            cast,
            track_pen,
            track,
            limit=0 if info.kind is Kind.FORWARD else self._limit,
            clock=self._clock,
        )

    def _track(self, pen: Pen, session: int, info: SessionInfo) -> SentTrack:
        if info.kind is Kind.FORWARD:
            return MeasuredTrack(pen, session, 0, secret=False)
        if info.kind in (Kind.SFTP, Kind.SCP):
            return MeasuredTrack(pen, session, 0, secret=True)
        if self._recipients:
            return SealedTrack(pen, session, self._recipients, self._limit)
        return MeasuredTrack(pen, session, self._limit, secret=info.terminal is not None)

    def _finish(self, recording: Recording, left: list[_Over]) -> None:
        over = self._closed(recording)
        try:
            self._write(over)
        except IndexUnavailable as error:
            if self._arrears is None:
                raise
            log.warning("%s is over, and its row has to wait: %s", recording.name, error)
            left.append(over)
        if over.failure is not None:
            raise over.failure

    def _closed(self, recording: Recording) -> _Over:
        at = self._now()
        try:
            recording.close()
            return _Over(recording, at, recording.stored(self._directory))
        except RecordingFailed as error:
            recording.failed()
            return _Over(recording, at, failure=error)

    def _write(self, over: _Over) -> None:
        """What the database is to know of a session that is over; twice is the same as once."""
        recording, stored = over.recording, over.stored
        if stored is None:
            self._hold(recording.session)
            stored = recovery.salvaged(self._directory, recording.path)
        if recording.tells_files:  # first: a session that is over has all of its rows
            told = files_told(Reader(recording.path).events(), recording.started_at)
            self._index.files.keep(recording.session, told)
        self._index.complete(recording.session, recording.ending(over.at), stored)
        if self._sealing is not None and self._sealing.takes_long(stored.size):
            self._later.do(lambda: self._seal(recording.session))
        else:
            self._seal(recording.session)

    def _hold(self, session: int) -> Held | None:
        """Before a recording is mended: is it what its checkpoint says?"""
        return None if self._sealing is None else self._sealing.hold(session)

    def _seal(self, session: int) -> None:
        """A session that can't be sealed now is over all the same: `seal_pending` tries again."""
        if self._sealing is None:
            return
        try:
            self._sealing.seal(session)
        except SomebodyIsAtIt:
            return
        except (RecorderError, ValueError, TypeError) as error:
            log.error("%s is not sealed yet: %s", session_name(session), error)
