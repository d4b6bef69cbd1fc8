"""Inspecting recordings as they lie: rows, files and seals are read, and judged by `verify`."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from recorder.departed import Departed, beside
from recorder.errors import CorruptRecording, RecorderError, RecordingMissing
from recorder.growing import stands
from recorder.index import Index
from recorder.manifest import Manifest, read_manifest
from recorder.plain import lying_path, plain_chunks, plain_path
from recorder.seal import MANIFEST, SIGNATURE
from recorder.seals import Kept, Seals
from recorder.session import Session
from recorder.tombstones import Laid
from recorder.verify import (
    Finding,
    Judge,
    Measure,
    Wrong,
    about_beginning,
    about_file,
    about_neighbours,
    about_row,
    about_seal,
)

_PAGE = 500

PATIENCE: Final = timedelta(minutes=1)
"""How long a session may be over without its seal."""


class Inspection:
    """Inspects the recordings of one archive. It blocks; nothing is changed."""

    def __init__(
        self,
        directory: Path,
        index: Index,
        seals: Seals,
        signed: Judge,
        *,
        now: Callable[[], datetime],
        departed: Departed,
    ) -> None:
        self._directory = directory
        self._index = index
        self._seals = seals
        self._signed = signed
        self._now = now
        self._departed = departed

    def session(self, number: int) -> list[Finding]:
        """What is wrong with one session's recording. Raises IndexUnavailable."""
        laid = self._departed.of(number)
        kept = self._seals.of(number)
        found = self._index.get(number)
        if found is None:
            said = f"S-{number}: its row is missing."
            return [Finding(Wrong.MISSING, f"S-{number}", said)]
        findings = list(self._judged(found, kept, laid))
        if findings and laid is None and self._departed.of(number) is not None:
            return self.session(number)  # it was let go meanwhile
        return findings

    def alone(self, session: Session, kept: Kept) -> list[Finding]:
        """What is wrong with one recording by itself, whatever befell those around it."""
        found = [*about_seal(kept, self._signed), *self._own(session, kept)]
        return [*found, *self._files(session, kept)]

    def everything(self) -> Iterator[Finding]:
        """What is wrong with any recording: all rows, then seals without rows, then extra files.

        One that can't be judged is a finding and hides no other. Raises IndexUnavailable.
        """
        before = None
        while page := self._index.find(limit=_PAGE, before=before):
            for session in page:
                yield from self.session(session.id)
            before = page[-1].id
        last = 0
        for kept in self._seals.all():
            name = f"S-{kept.session}"
            if kept.number != last + 1:
                yield Finding(Wrong.MISSING, name, f"{name}: manifests before its own are missing.")
            last = kept.number
            if self._index.get(kept.session) is None:
                yield Finding(Wrong.MISSING, name, f"{name}: its row is missing.")
        for laid in self._departed.all():
            name = f"S-{laid.session}"
            if self._index.get(laid.session) is None:
                yield Finding(Wrong.MISSING, name, f"{name}: it has a tombstone and no row.")
        yield from self._strangers()

    def _strangers(self) -> Iterator[Finding]:
        """Recordings that no row knows; those of the last minute may be about to begin."""
        for file in self._directory.rglob("S-*.cast*"):
            plain = plain_path(file)
            digits = plain.stem.split("-")[1]
            number = int(digits) if digits.isdecimal() and len(digits) < 19 else 0
            row = self._index.get(number)
            known = row is not None and plain_path(self._directory / row.recording.path) == plain
            young = self._now().timestamp() - file.stat().st_mtime < PATIENCE.total_seconds()
            if not known and not young:
                said = f"{file.name} is a recording that no session has."
                yield Finding(Wrong.ADDED, file.name, said)

    def _judged(self, session: Session, kept: Kept | None, laid: Laid | None) -> Iterator[Finding]:
        if kept is None:
            yield from self._without_seal(session)
        else:
            yield from self._sealed(session, kept)
            yield from self._files(session, kept) if laid is None else ()
        yield from self._departed.about(session, kept, laid)

    def _without_seal(self, session: Session) -> Iterator[Finding]:
        if session.live:
            yield from self._growing(session)
        elif session.recording.sealed:
            yield Finding(Wrong.MISSING, session.name, f"{session.name}: its seal is missing.")
        elif session.ended_at is not None and self._now() - session.ended_at > PATIENCE:
            said = f"{session.name}: it is over and was never sealed."
            yield Finding(Wrong.UNSEALED, session.name, said)

    def _growing(self, session: Session) -> Iterator[Finding]:
        prefix = self._seals.prefix(session.id)
        if prefix is None:
            return
        for file, held in stands(self._directory / session.recording.path, prefix):
            yield from about_beginning(session, prefix, file.name, held)

    def _sealed(self, session: Session, kept: Kept) -> Iterator[Finding]:
        yield from about_seal(kept, self._signed)
        before, after = self._seals.at(kept.number - 1), self._seals.at(kept.number + 1)
        yield from about_neighbours(kept, before, after, self._signed)
        yield from self._own(session, kept)

    def _own(self, session: Session, kept: Kept) -> Iterator[Finding]:
        stem = plain_path(self._directory / session.recording.path)
        lie = ((MANIFEST, kept.manifest), (SIGNATURE, kept.signature))
        yield from beside(session, stem, lie, "seal that was kept")
        try:
            manifest = read_manifest(kept.manifest)
        except CorruptRecording as error:
            yield Finding(Wrong.CHANGED, session.name, f"{session.name}: {error}.")
            return
        yield from about_row(session, manifest)

    def _files(self, session: Session, kept: Kept) -> Iterator[Finding]:
        directory = (self._directory / session.recording.path).parent
        try:
            manifest = read_manifest(kept.manifest)
        except CorruptRecording:
            return  # told already
        for part in manifest.files:
            yield from about_file(manifest, _measured(directory, manifest, part.name))


def _measured(directory: Path, manifest: Manifest, name: str) -> Measure:
    """No more is read than was sealed, and one piece: a bomb is found, not unpacked."""
    most = max((each.size for each in manifest.files if each.name == name), default=0)
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in plain_chunks(lying_path(directory / name)):
            digest.update(chunk)
            size += len(chunk)
            if size > most:
                break
    except RecordingMissing:
        return Measure(name, None, None)
    except RecorderError as error:
        return Measure(name, size, None, str(error))
    return Measure(name, size, digest.hexdigest())
