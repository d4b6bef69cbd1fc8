"""Adopting: recordings of a machine that is gone are put together here, from what the store has.

    parts         what the store has of it, joined aside, and on this disk
    claimed       its row says that this process carries it: no other machine does it too
    in place      S-31.cast, S-31.sent, as if they had been recorded here
    mended        torn ends are cut, checkpoints held against it; a session that was lost stays so
    sealed        by this machine, and from here on it is one like the others

Whatever ends this between two of them, it is begun anew, here or on another machine. One that was
over already is taken only whole, as its row or its seal has it. It blocks.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from recorder import recovery
from recorder.asciicast import LONGEST_LINE, parse_header
from recorder.errors import NotAdopted, RecorderError, StoreAway
from recorder.files import day_directory, sync_directory, write_beside
from recorder.index import Index
from recorder.manifest import read_manifest
from recorder.mend import measured, still_written
from recorder.nouns import counted
from recorder.objects import LIVE, Lying, folder_of, size_of
from recorder.places import Places
from recorder.recovery import Hold
from recorder.resting import Resting
from recorder.seal import MANIFEST, SIGNATURE
from recorder.seals import Seals
from recorder.sent_reader import session_of
from recorder.session import EndReason, Session
from recorder.shelf import Shelf
from recorder.shipments import Shipments

ASIDE: Final = ".adopting"

AGAIN: Final = timedelta(hours=1)
"""How long one that could not be adopted is left alone."""

MOST: Final = 100
"""Recordings in one run."""

_SUFFIXES = (".cast", ".sent")

Orphaned = Callable[[Collection[str]], frozenset[str]]
"""Which of these runners are gone, and nobody is left on their machine to look after what they
recorded."""

Told = Callable[[Session, int], None]
"""Is told of a recording that was put together from so many bytes, perhaps twice. Raises
RecorderError."""


class Adopting:
    """Adopts for the archive below `directory`, whose sessions the process `runner` carries.

    What has been over for `after` and did not get into the store is looked at; `floor` bytes of
    the disk stay free. `seal` seals a session.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        seals: Seals,
        *,
        shipments: Shipments,
        shelf: Shelf,
        places: Places,
        runner: str,
        orphaned: Orphaned,
        hold: Hold,
        seal: Callable[[int], object],
        told: Told,
        after: timedelta,
        floor: int,
        now: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._index = index
        self._seals = seals
        self._shipments = shipments
        self._shelf = shelf
        self._places = places
        self._runner = runner
        self._orphaned = orphaned
        self._hold = hold
        self._seal = seal
        self._told = told
        self._after = after
        self._floor = floor
        self._now = now
        self._resting = Resting(AGAIN)

    def run(self, pause: Callable[[], object] = lambda: None) -> list[str]:
        """Adopt what is orphaned; a sentence for each. Raises StoreAway, IndexUnavailable."""
        said: list[str] = []
        for session in list(self._due()):
            try:
                said.append(self._adopt(session, pause))
            except StoreAway:
                raise
            except (RecorderError, OSError, ValueError, TypeError) as error:
                self._resting.leave(session.id, self._now())
                said.append(f"{session.name} can't be recovered from the store: {error}")
        return said

    def _due(self) -> Iterator[Session]:
        now = self._now()
        self._resting.wake(now)
        runners = self._shipments.runners(now - self._after)
        orphaned = self._orphaned(runners) if runners else frozenset()
        numbers = self._shipments.of_runners(orphaned, now - self._after) if orphaned else []
        wanted = self._resting.awake(numbers)[:MOST]
        for session in self._index.read(wanted).values():
            if session is not None and (not self._places.is_here(session) or _is_begun(session)):
                yield session

    def _adopt(self, session: Session, pause: Callable[[], object]) -> str:
        folder = folder_of(session)
        if self._places.is_here(session):
            if still_written(self._directory / session.recording.path):
                raise NotAdopted("somebody is writing it")
            self._claim(session)
            return self._settled(session, session.recording.size)
        files = self._shelf.files(f"{folder}/{LIVE}")
        stem = folder.rpartition("/")[2]
        if f"{stem}.cast" not in files:
            raise NotAdopted("the store has nothing of it")
        asides: dict[Path, Path] = {}
        try:
            for path, aside, pieces in self._wanted(session, files):
                asides[path] = aside
                self._fetch(aside, pieces, pause)
            _demand_own(session, asides)
            self._demand_whole(session, asides)
            self._claim(session)
            self._put_in_place(asides)
        finally:
            for aside in asides.values():
                aside.unlink(missing_ok=True)
        return self._settled(session, size_of(files[f"{stem}.cast"]))

    def _settled(self, session: Session, size: int) -> str:
        """In place: what is left to be done would be done at the next start as well."""
        self._told(session, size)
        if session.recording.sealed:
            self._lay_seal(session)
        else:
            recovery.recover_lost(self._directory, self._index, self._hold, [self._runner])
            self._seal(session.id)
        shown = counted(size, "byte")
        return f"{session.name} was recovered from the store: {shown} of what it showed"

    def _lay_seal(self, session: Session) -> None:
        kept = self._seals.of(session.id)
        if kept is not None:
            stem = self._directory / folder_of(session)
            write_beside(
                (stem.with_name(stem.name + SIGNATURE), kept.signature.encode()),
                (stem.with_name(stem.name + MANIFEST), kept.manifest.encode()),
            )

    def _wanted(
        self, session: Session, files: dict[str, list[Lying]]
    ) -> Iterator[tuple[Path, Path, list[Lying]]]:
        """The files that it is to have, where what the store has of each lies meanwhile, and that.

        Raises NotAdopted, OSError.
        """
        day_directory(self._directory, session.started_at)
        self._demand_room(sum(map(size_of, files.values())))
        place = self._directory / folder_of(session)
        for suffix in _SUFFIXES:
            path = place.with_name(place.name + suffix)
            if path.name in files:
                yield path, path.with_name(path.name + ASIDE), files[path.name]

    def _fetch(self, aside: Path, pieces: list[Lying], pause: Callable[[], object]) -> None:
        aside.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(aside, flags, 0o600), "wb") as file:
            for chunk in self._shelf.chunks(pieces):
                file.write(chunk)
                pause()
            file.flush()
            os.fsync(file.fileno())

    def _demand_room(self, size: int) -> None:
        if shutil.disk_usage(self._directory).free - size < self._floor:
            raise NotAdopted("there is no room for it on this machine's disk")

    def _demand_whole(self, session: Session, asides: dict[Path, Path]) -> None:
        """One that was over has a hash: less of it is not it. Raises NotAdopted."""
        if session.recording.sha256 is None:
            return
        kept = self._seals.of(session.id)
        sealed = {} if kept is None else {p.name: p for p in read_manifest(kept.manifest).files}
        for path, aside in asides.items():
            size, sha256 = measured(aside)
            wanted = (session.recording.size, session.recording.sha256)
            if path.suffix == ".sent":
                part = sealed.get(path.name)
                wanted = (size, sha256) if part is None else (part.size, part.sha256)
            if (size, sha256) != wanted:
                raise NotAdopted(f"of {path.name} the store has {size} of {wanted[0]} bytes")

    def _claim(self, session: Session) -> None:
        if session.recording.sealed:
            return  # whoever has it whole has what was sealed
        if not self._shipments.adopt(session, self._runner):
            raise NotAdopted("another machine has it meanwhile")

    def _put_in_place(self, asides: dict[Path, Path]) -> None:
        for path, aside in reversed(asides.items()):  # the cast last: with it, it is here
            aside.rename(path)
        for path in asides:
            sync_directory(path.parent)


def _demand_own(session: Session, asides: dict[Path, Path]) -> None:
    """Both files name their session in the first line, where it is whole. Raises NotAdopted."""
    for path, aside in asides.items():
        with aside.open("rb") as file:
            line = file.readline(LONGEST_LINE)
        if line.endswith(b"\n") and _named(line, path.suffix) != session.id:
            raise NotAdopted(f"{path.name} there is another session's")


def _named(line: bytes, suffix: str) -> object:
    """Which session's file begins with this line. Raises CorruptRecording."""
    return session_of(line) if suffix == ".sent" else parse_header(line).session.get("session")


def _is_begun(session: Session) -> bool:
    """Whether one that lies here was put together and not mended: whoever did it was killed."""
    recording = session.recording
    return session.end_reason is EndReason.LOST and recording.sha256 is None
