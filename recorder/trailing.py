"""Trailing: recordings that grow are followed by what is in the object store, part by part.

Each part is an object of its own, made once: the bytes of a file from where the part before ends,
as far as this machine's disk has them for good. So whoever loses the machine loses no more than
what came since the last round. How far a recording was followed is told by what lies in the store:
after a kill that is read, held against the file here, and gone on from. It blocks.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from recorder.errors import CorruptRecording, OtherBytes, RecordingMissing
from recorder.index import Index, Wanted
from recorder.objects import LIVE, PIECE, folder_of, size_of
from recorder.places import Places
from recorder.session import Session
from recorder.shelf import Shelf

AT_ONCE: Final = 8
"""Recordings that are followed at the same time; each has a part in memory."""

TURN: Final = 4
"""Parts of a file in one round at most: a large one keeps no other waiting."""

_PAGE = 1000
_SUFFIXES = (".cast", ".sent")

Told = Callable[[Session, str], None]
"""Is told of a recording whose parts the store has otherwise, and why. Raises RecorderError."""


@dataclass(frozen=True, slots=True)
class Behind:
    """How far the store is behind: bytes of live recordings, and seconds since the oldest of them
    came."""

    size: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Trail:
    """One recording that is followed. `at` is how far each file is in the store; None until what
    lies there was read. `since` is when it fell behind."""

    session: Session
    folder: str
    at: dict[str, int] = field(default_factory=dict)
    known: bool = False
    refused: bool = False
    missing: int = 0
    since: float | None = None


class Trailing:
    """Follows the live recordings that lie below `directory`. One at a time has to do it.

    `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        shelf: Shelf,
        places: Places,
        *,
        told: Told,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._index = index
        self._shelf = shelf
        self._places = places
        self._told = told
        self._clock = clock
        self._trails: dict[int, _Trail] = {}

    def run(self, pause: Callable[[], object] = lambda: None) -> list[str]:
        """One round; sentences on what can't be followed. Raises StoreAway, IndexUnavailable: then
        what is left is for the next."""
        self._take_up()
        self._note(self._trails.values())
        problems: list[str] = []
        due = [each for each in self._trails.values() if self._grown(each)]
        try:
            _together(due, lambda trail: problems.extend(self._follow(trail, pause)))
        finally:
            self._note(self._trails.values())
        return problems

    def behind(self) -> Behind:
        """As of the last round."""
        behind = [each for each in list(self._trails.values()) if each.since is not None]
        now = self._clock()
        seconds = max((now - (each.since or now) for each in behind), default=0.0)
        return Behind(sum(each.missing for each in behind), seconds)

    # Which

    def _take_up(self) -> None:
        """Those that are live; what is over is followed to its end, or until it has gone whole."""
        live = {session.id: session for session in self._live()}
        for number in [each for each in self._trails if each not in live]:
            now = self._index.get(number)
            over = now is None or now.recording.shipment is not None or self._is_whole(number)
            if over or (now is not None and now.recording.let_go_at is not None):
                del self._trails[number]
        for number, session in live.items():
            if number not in self._trails and self._places.is_here(session):
                self._trails[number] = _Trail(session, f"{folder_of(session)}/{LIVE}")

    def _live(self) -> Iterator[Session]:
        before = None
        while page := self._index.find(Wanted(live=True), limit=_PAGE, before=before):
            yield from page
            before = page[-1].id

    def _is_whole(self, number: int) -> bool:
        return self._trails[number].refused or not self._grown(self._trails[number])

    # How far

    def _grown(self, trail: _Trail) -> bool:
        """Whether there is more of it than the store has."""
        sizes = ((suffix, self._size(trail, suffix)) for suffix in _SUFFIXES)
        return any(size > trail.at.get(suffix, -1) for suffix, size in sizes if size is not None)

    def _size(self, trail: _Trail, suffix: str) -> int | None:
        """None where it is not there: compacted, and about to go whole."""
        try:
            return self._file(trail, suffix).stat().st_size
        except OSError:
            return None

    def _note(self, trails: Iterable[_Trail]) -> None:
        now = self._clock()
        for trail in trails:
            sizes = [(self._size(trail, each) or 0) - trail.at.get(each, 0) for each in _SUFFIXES]
            trail.missing = 0 if trail.refused else sum(max(0, size) for size in sizes)
            trail.since = None if not trail.missing else trail.since or now

    def _file(self, trail: _Trail, suffix: str) -> Path:
        return (self._directory / trail.session.recording.path).with_suffix(suffix)

    # Following

    def _follow(self, trail: _Trail, pause: Callable[[], object]) -> list[str]:
        if trail.refused:
            return []
        name = trail.session.name
        try:
            if not trail.known:
                self._learn(trail)
            for suffix in _SUFFIXES:
                self._put(trail, suffix, pause)
        except (OtherBytes, CorruptRecording) as error:
            trail.refused = True
            self._told(trail.session, str(error))
            return [f"{name} does not go into the store while it grows: {error}"]
        except (RecordingMissing, FileNotFoundError):
            return []  # compacted, or let go
        except OSError as error:
            return [f"{name} can't be followed into the store: {error.strerror}"]
        return []

    def _learn(self, trail: _Trail) -> None:
        """What was put before this process began, by whom it may be. Raises OtherBytes,
        CorruptRecording."""
        files = self._shelf.files(trail.folder)
        for suffix in _SUFFIXES:
            file = self._file(trail, suffix)
            pieces = files.get(file.name, [])
            with file.open("rb") as lying:
                for chunk in self._shelf.chunks(pieces):
                    if lying.read(len(chunk)) != chunk:
                        raise OtherBytes(f"the store has other bytes in {trail.folder}/{file.name}")
            trail.at[suffix] = size_of(pieces)
        trail.known = True

    def _put(self, trail: _Trail, suffix: str, pause: Callable[[], object]) -> None:
        file = self._file(trail, suffix)
        with file.open("rb", buffering=0) as lying:
            size = os.fstat(lying.fileno()).st_size
            if size <= trail.at[suffix]:
                return
            os.fdatasync(lying.fileno())  # what this disk may lose is not to be in the store
            lying.seek(trail.at[suffix])
            for _ in range(TURN):
                content = _part(lying.read(min(PIECE, size - trail.at[suffix])), suffix)
                if not content:
                    return
                self._shelf.put_piece(trail.folder, file.name, trail.at[suffix], content)
                trail.at[suffix] += len(content)
                lying.seek(trail.at[suffix])
                pause()


def _part(content: bytes, suffix: str) -> bytes:
    """Whole lines of what was shown: what is torn is cut when a recording is mended."""
    whole = content[: content.rfind(b"\n") + 1] if suffix == ".cast" else content
    return whole or (content if len(content) == PIECE else b"")


def _together(trails: list[_Trail], follow: Callable[[_Trail], object]) -> None:
    """Some at once, in threads that nobody waits for at the end of the process."""
    waiting: SimpleQueue[_Trail] = SimpleQueue()
    failed: list[Exception] = []
    for trail in trails:
        waiting.put(trail)

    def work() -> None:
        while not failed:
            try:
                follow(waiting.get_nowait())
            except Empty:
                return
            except Exception as error:  # noqa: BLE001 (it is raised for whoever waits)
                failed.append(error)

    threads = [
        threading.Thread(target=work, name="trailing", daemon=True)
        for _ in range(min(AT_ONCE, len(trails)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error
