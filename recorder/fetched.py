"""Fetched: copies of recordings that lie in an object store only, for those who read them here.

They lie below one directory as they would in the archive's own. Each was held against its seal
before it got its name; those that nobody has read for longest go when there is no room for another.
It blocks. Several processes may share the directory.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from recorder.errors import CorruptRecording, RecordingMissing, StoreAway
from recorder.files import make_directories, make_directory
from recorder.manifest import Manifest, Part, read_manifest
from recorder.mend import measured
from recorder.objects import Lying, folder_of, size_of
from recorder.plain import ZST, plain_measure
from recorder.seals import Seals
from recorder.session import Session
from recorder.shelf import Shelf
from recorder.stored import lying_parts

ASIDE: Final = ".fetching-"

STALE: Final = 3600.0
"""Seconds after which what was being fetched is what somebody who died has left."""


class Fetched:
    """Copies below `directory`, at most `limit` bytes of them; `floor` bytes of disk stay free."""

    def __init__(
        self, directory: Path, shelf: Shelf, seals: Seals, *, limit: int, floor: int
    ) -> None:
        self._directory = directory
        self._shelf = shelf
        self._seals = seals
        self._limit = limit
        self._floor = floor

    def root(self, session: Session, between: Callable[[], object] = lambda: None) -> Path:
        """The directory below which a recording lies as its row has it, fetched where it has to be.

        `between` is called between two pieces. Raises RecordingMissing where the store has not all
        of it, CorruptRecording where it is not what was sealed, StoreAway.
        """
        folder = folder_of(session)
        place = self._directory / Path(folder).parent
        manifest = self._manifest(session)
        parts = {part: _here(place, part) for part in lying_parts(manifest)}
        if None in parts.values():
            files = self._shelf.files(folder)
            forms = {part: _form(files, part) for part, here in parts.items() if here is None}
            try:
                self.make_room(sum(size_of(files[form]) for form in forms.values()))
                for part, form in forms.items():
                    self._fetch(place, part, form, files[form], between)
            except OSError as error:
                said = f"what was fetched can't be kept in {self._directory}: {error.strerror}"
                raise StoreAway(said) from error
        for here in parts.values():
            if here is not None:
                here.touch()
        return self._directory

    def forget(self, session: Session) -> None:
        """It was let go: nothing of it stays here."""
        folder = Path(folder_of(session))
        for file in (self._directory / folder.parent).glob(f"{folder.name}.*"):
            file.unlink(missing_ok=True)

    def _manifest(self, session: Session) -> Manifest:
        kept = self._seals.of(session.id)
        if kept is None:
            raise RecordingMissing(f"the seal of {session.name} is missing")
        return read_manifest(kept.manifest)

    def _fetch(
        self,
        place: Path,
        part: Part,
        form: str,
        pieces: list[Lying],
        between: Callable[[], object],
    ) -> None:
        make_directories(self._directory, place)
        aside = _aside(place, form)
        try:
            with aside.open("wb") as file:
                for chunk in self._shelf.chunks(pieces):
                    file.write(chunk)
                    between()
            if _measured(aside, part) != (part.size, part.sha256):
                raise CorruptRecording(f"{form} in the object store is not what was sealed")
            aside.rename(place / form)
        finally:
            aside.unlink(missing_ok=True)

    def make_room(self, size: int) -> None:
        """Room for so many bytes, if the oldest have to go for it. Raises StoreAway."""
        if size > self._limit:
            raise StoreAway(
                f"it has {size} bytes, and only {self._limit} may be fetched: let "
                "recording.store_cache be more"
            )
        make_directory(self._directory)
        self._let_oldest_go(self._limit - size)
        if shutil.disk_usage(self._directory).free - size < self._floor:
            self._let_oldest_go(0)
        if shutil.disk_usage(self._directory).free - size < self._floor:
            raise StoreAway(f"there is no room on the disk of {self._directory} to fetch it")

    def _let_oldest_go(self, most: int) -> None:
        """Whoever has one of them open reads on."""
        lying = sorted(self._lying(), key=lambda each: each[0], reverse=True)
        total = 0
        for at, size, file in lying:
            total += size
            stale = file.name.startswith(ASIDE) and time.time() - at > STALE
            if stale or (total > most and not file.name.startswith(ASIDE)):
                file.unlink(missing_ok=True)

    def _lying(self) -> Iterator[tuple[float, int, Path]]:
        for place, _, names in os.walk(self._directory):
            for name in names:
                file = Path(place) / name
                try:
                    found = file.lstat()
                except FileNotFoundError:
                    continue
                yield found.st_mtime, found.st_size, file


def _here(place: Path, part: Part) -> Path | None:
    forms = (place / part.name, place / f"{part.name}{ZST}")
    return next((file for file in forms if file.is_file()), None)


def _form(files: dict[str, list[Lying]], part: Part) -> str:
    form = next((name for name in (part.name, part.name + ZST) if name in files), None)
    if form is None:
        raise RecordingMissing(f"{part.name} is missing in the object store")
    return form


def _measured(file: Path, part: Part) -> tuple[int, str]:
    """Of the plain content, as seals have it; of what is encrypted, of that."""
    if file.name.endswith(part.name):
        return measured(file)
    return plain_measure(file, part.size)


def _aside(place: Path, form: str) -> Path:
    """A new file of mode 0600, whose name ends as that of the file does."""
    descriptor, name = tempfile.mkstemp(prefix=ASIDE, suffix=f"-{form}", dir=place)
    os.close(descriptor)
    return Path(name)
