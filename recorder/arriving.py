"""Arriving: what another machine records now, as far as the object store has it, for readers here.

A copy below one directory, as it would lie in the archive's own. It grows by the parts that
`trailing` puts into the store on the machine that carries the session. No seal speaks for it yet:
it is what the store gives. Several processes may share the directory. It blocks.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Final

from recorder.asciicast import LONGEST_LINE, parse_header
from recorder.errors import CorruptRecording, NotYetStored, StoreAway
from recorder.files import make_directories
from recorder.objects import LIVE, PIECE, folder_of
from recorder.session import Session
from recorder.shelf import Shelf

_STEP: Final = 0.05


class Arriving:
    """Copies of live recordings below `directory`. `make_room` is asked before so many bytes come,
    and raises StoreAway where there is no room."""

    def __init__(self, directory: Path, shelf: Shelf, make_room: Callable[[int], None]) -> None:
        self._directory = directory
        self._shelf = shelf
        self._make_room = make_room

    def root(self, session: Session, between: Callable[[], object] = lambda: None) -> Path:
        """The directory below which as much of it lies as the store has now.

        `between` is called between two parts. Raises NotYetStored where there is nothing of it,
        CorruptRecording where it is another session's, StoreAway.
        """
        copy, folder = self._copy(session), _folder(session)
        pieces = self._shelf.files(folder).get(copy.name)
        if pieces is None:
            raise NotYetStored(
                f"{session.name} is on the machine that records it, and the store has nothing of "
                "it yet"
            )
        with self._opened(copy, between) as file:
            _cut(file, [0, *accumulate(piece.size for piece in pieces)])
            self._grow(file, folder, copy.name, between)
        _demand_own(session, copy)
        return self._directory

    def catch_up(self, session: Session, between: Callable[[], object] = lambda: None) -> int:
        """Take what has come since; how many bytes there are now. `root` was called before.

        Raises CorruptRecording, StoreAway.
        """
        copy = self._copy(session)
        if not copy.exists():
            raise StoreAway(f"the copy of {session.name} had to make room for others")
        with self._opened(copy, between) as file:
            self._grow(file, _folder(session), copy.name, between)
            return file.tell()

    def _copy(self, session: Session) -> Path:
        path = self._directory / folder_of(session)
        return path.with_name(f"{path.name}.cast")

    @contextmanager
    def _opened(self, copy: Path, between: Callable[[], object]) -> Iterator[BinaryIO]:
        """Opened to be added to, by one at a time."""
        try:
            make_directories(self._directory.parent, copy.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(copy, flags, 0o600), "ab", buffering=0) as file:
                while not _locked(file):
                    between()
                    time.sleep(_STEP)
                file.seek(0, os.SEEK_END)
                yield file
        except OSError as error:
            said = f"what arrives can't be kept in {self._directory}: {error.strerror}"
            raise StoreAway(said) from error

    def _grow(self, file: BinaryIO, folder: str, name: str, between: Callable[[], object]) -> None:
        while content := self._shelf.text(folder, name, PIECE, file.tell()):
            if len(content) > PIECE:
                raise CorruptRecording(f"a part of {folder}/{name} has over {PIECE} bytes")
            self._make_room(len(content))
            written = file.write(content)
            if written != len(content):  # no room: the next who looks cuts it
                raise StoreAway(f"there is no room on the disk of {self._directory}")
            between()


def _folder(session: Session) -> str:
    return f"{folder_of(session)}/{LIVE}"


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _cut(file: BinaryIO, ends: list[int]) -> None:
    """Where somebody was killed in the middle of a part: what is torn comes again."""
    file.truncate(max(end for end in ends if end <= file.tell()))
    file.seek(0, os.SEEK_END)


def _demand_own(session: Session, copy: Path) -> None:
    """Its first line names its session. Raises CorruptRecording."""
    with copy.open("rb") as file:
        line = file.readline(LONGEST_LINE)
    if parse_header(line).session.get("session") != session.id:
        raise CorruptRecording(f"what the store has as {copy.name} is another session's")
