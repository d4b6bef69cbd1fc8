"""Taking away what was let go: the files of a recording, and what was made of it elsewhere.

    tombstone laid       in the database: from here on it counts as gone
    S-31.tombstone       the same text beside the recording
    S-31.tombstone.sig
    the files            S-31.cast, S-31.sent, and whatever else is called S-31.…
    forgotten            whoever made something of it (a text index) has dropped that
    finished             its tombstone says so

Whatever ends this between two of them, `finish_pending` goes on from there: each step does nothing
where it was done. The manifest and its signature stay where they are.
"""

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recorder.clearing import Clearing
from recorder.departed import TOMBSTONE, TOMBSTONE_SIGNATURE, lying
from recorder.errors import NotLetGo, RecorderError
from recorder.files import sync_directory, write_beside
from recorder.index import Index
from recorder.manifest import Manifest, Part
from recorder.mend import measured
from recorder.plain import plain_path
from recorder.session import Session, session_name
from recorder.tombstone import MOST_FILES, is_companion, read_tombstone
from recorder.tombstones import Laid, Tombstones

Forget = Callable[[int], None]
"""Drops what was made of a session's recording; once more does nothing. Raises RecorderError."""


class Removal:
    """Takes recordings away from one archive, that of the machine `node`. It blocks.

    `store` is the object store that has them too; `serves` says of a machine whether it is there.
    What only the store has, and was recorded by one that is gone, any other takes away.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        tombstones: Tombstones,
        forget: Sequence[Forget] = (),
        *,
        node: str,
        store: Clearing | None = None,
        serves: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._store = store
        self._serves = serves
        self._directory = directory
        self._index = index
        self._tombstones = tombstones
        self._forget = forget
        self._node = node

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One at a time takes recordings away. Raises NotLetGo where another is at it."""
        try:
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotLetGo(f"{self._directory} can't be read: {error.strerror}") from error
        with _locked(descriptor, "recordings are being let go by another process already"):
            yield

    @contextmanager
    def alone_with(self, session: Session) -> Iterator[None]:
        """Nobody writes or compacts its recording meanwhile. Raises NotLetGo if somebody does."""
        path = self._place(session)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            yield  # nobody writes what is compacted
            return
        except OSError as error:
            raise NotLetGo(f"{path.name} can't be read: {error.strerror}") from error
        with _locked(descriptor, f"somebody is at {path.name}"):
            if os.fstat(descriptor).st_nlink == 0:
                raise NotLetGo(f"somebody was at {path.name}")
            yield

    def size(self, session: Session) -> int:
        """How many bytes its files have now; of what only the store has, as its row says."""
        if self._is_stored(session):
            return session.recording.compacted_size or session.recording.size
        total = 0
        for file in self._lying(session):
            try:
                total += file.lstat().st_size
            except FileNotFoundError:
                continue
        return total

    def falls_to_us(self, session: Session, node: str) -> bool:
        """Whether a recording that another machine, `node`, has sealed is for this one to take
        away: it lies here, or that machine is gone and the store has it."""
        if self._lying(session):
            return True
        return self._is_stored(session) and not self._serves(node)

    def parts(self, session: Session, manifest: Manifest) -> tuple[Part, ...]:
        """What would be taken away of a session whose recording is what was sealed.

        Raises NotLetGo where it does not lie where it should, or where something beside it does
        not look like a part of it. Raises StoreAway.
        """
        if self._store is not None and self._is_stored(session):
            return self._store.parts(session, manifest)
        files = self._lying(session)
        if len(files) > MOST_FILES:
            raise NotLetGo(f"there are {len(files)} files of it: too many to be right")
        try:
            return tuple(_part(file, manifest) for file in files)
        except OSError as error:
            raise NotLetGo(f"its files can't be read: {error.strerror}") from error

    def finish(self, session: Session, laid: Laid) -> None:
        """Take away what was let go. Raises NotLetGo, IndexUnavailable: then some of it is left."""
        if session.recording.let_go_at is None:
            raise NotLetGo("its row does not say that it was let go")
        if self._lying(session) or not self._is_stored(session):
            self._take_away(session, laid)
        if self._store is not None:
            self._store.clear(session, laid)
        for forget in self._forget:
            forget(session.id)
        self._tombstones.finish(session.id)

    def _is_stored(self, session: Session) -> bool:
        return self._store is not None and self._store.has(session)

    def _take_away(self, session: Session, laid: Laid) -> None:
        stem = self._place(session)
        try:
            write_beside(
                (stem.with_suffix(TOMBSTONE), laid.text.encode()),
                (stem.with_suffix(TOMBSTONE_SIGNATURE), laid.signature.encode()),
            )
            for file in self._lying(session):
                file.unlink(missing_ok=True)
            sync_directory(stem.parent)
        except OSError as error:
            raise NotLetGo(f"its files can't be taken away: {error.strerror}") from error

    def finish_pending(self) -> list[str]:
        """Finish what was begun: sentences for what can't be. Raises IndexUnavailable."""
        problems: list[str] = []
        last = 0
        while page := self._tombstones.unfinished(last):
            problems += [said for number in page if (said := self._problem(number)) is not None]
            last = page[-1]
        return problems

    def _problem(self, number: int) -> str | None:
        laid = self._tombstones.of_all([number]).get(number)
        session = self._index.read([number]).get(number)
        if laid is None or session is None:
            return f"{session_name(number)} was let go, and what the database has can't be read"
        try:
            if self._elsewhere(session, laid):
                return None
            with self.alone_with(session):
                self.finish(session, laid)
        except RecorderError as error:
            return f"{session.name} was let go, and is not away yet: {error}"
        return None

    def _elsewhere(self, session: Session, laid: Laid) -> bool:
        """Whether another machine lets it go; several may share a database."""
        node = read_tombstone(laid.text).node
        return node != self._node and not self.falls_to_us(session, node)

    def _lying(self, session: Session) -> list[Path]:
        cast = self._place(session)
        return lying(cast.parent, cast.stem)

    def _place(self, session: Session) -> Path:
        """Where its plain recording lies, or lay. A row is not sealed: its path has to be right."""
        path = plain_path(Path(session.recording.path))
        day = f"{session.started_at:%Y/%m/%d}"
        if str(path.parent) != day or not _own(path.name, session):
            raise NotLetGo("its row names a file that is not its own")
        return self._directory / path


def _own(name: str, session: Session) -> bool:
    return re.fullmatch(rf"{session.name}(-[0-9]{{1,2}})?\.cast", name, re.ASCII) is not None


def _part(file: Path, manifest: Manifest) -> Part:
    """A file as it lies. One that was sealed as it is has been hashed already."""
    if not is_companion(file.name) or not stat.S_ISREG(file.lstat().st_mode):
        raise NotLetGo(f"{ascii(file.name)[1:-1]} beside it is no part of a recording")
    sealed = next((part for part in manifest.files if part.name == file.name), None)
    if sealed is not None:
        return sealed
    size, sha256 = measured(file)
    return Part(file.name, sha256, size)


@contextmanager
def _locked(descriptor: int, otherwise: str) -> Iterator[None]:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotLetGo(otherwise) from None
        yield
    finally:
        os.close(descriptor)
