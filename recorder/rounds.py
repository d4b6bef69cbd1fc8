"""Rounds: all recordings are inspected, every seal, every row, every file; several at a time.

Hashing and unpacking leave Python's lock alone, so threads are enough. What was found comes in a
stable order, and no more is in memory than a few recordings' worth, however many there are.
"""

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, ParamSpec, Self, TypeVar

from recorder.index import Index
from recorder.inspection import PATIENCE, Case, Inspection
from recorder.plain import plain_path
from recorder.seals import Kept, Seals
from recorder.session import session_name
from recorder.stored import Count
from recorder.verify import (
    Finding,
    Judge,
    Seal,
    Wrong,
    about_generation,
    about_link,
    about_seal,
)

AHEAD: Final = 4
"""Recordings that wait for each thread."""

LOOK: Final = 0.2
"""Seconds between two words on how far it has come, while one recording takes long."""

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 200
_TRIES = 3
_FILE = re.compile(
    r"(?P<stem>S-(?P<number>[0-9]{1,18})(-[0-9]{1,2})?)\.(cast|sent|manifest|tombstone)(\.(sig|zst|zst\.age))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rounds have come: so many of all `what` ("seals", "recordings") are judged, and
    so many bytes were hashed."""

    what: str
    done: int
    of: int
    hashed: int = 0


Begun = Callable[[int], list[tuple[int, int]]]
"""Of the events after one with this number, the next that tell of a session's begin: their numbers,
and the sessions."""

Heard = Callable[[Progress], object]
Findings = list[Finding]
_Judged = Callable[[Case, Count], Findings]


class _Stopped(BaseException):
    """Nobody waits for this any more."""


class Rounds:
    """All recordings of one archive, `threads` of them at a time. It blocks; nothing is changed.

    With no threads it is done one after the other by whoever calls, and `between` is called between
    small pieces of that. `begun` says what the log of events tells of. Raises IndexUnavailable.
    """

    def __init__(
        self,
        inspection: Inspection,
        index: Index,
        seals: Seals,
        signed: Judge,
        now: Callable[[], datetime],
        *,
        begun: Begun,
        threads: int = 1,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        self._between = between
        self._inspection = inspection
        self._index = index
        self._seals = seals
        self._signed = signed
        self._now = now
        self._begun = begun
        self._threads = threads

    def findings(self, heard: Heard = lambda _: None) -> Iterator[Finding]:
        """What is wrong with any recording: the chain of seals, then each recording in the order
        of their numbers, then files that no session has. `heard` is told how far it has come."""
        yield from self._chain(heard)
        yield from self._untraced()
        yield from self._tombstones()
        yield from self._recordings(heard)
        yield from self._strangers()

    # The chain of seals

    def _chain(self, heard: Heard) -> Iterator[Finding]:
        before: Kept | None = None
        of = self._seals.newest_number()
        newest, last, after = -1, 0, None
        while page := self._seals.numbers(after):
            read = self._seals.read(page)
            present = self._index.present([kept.session for kept in read.values() if kept])
            for number in page:
                self._between()
                kept = read.get(number)
                if kept is None:
                    said = f"Manifest {number} was changed: it can't be read."
                    yield Finding(Wrong.CHANGED, f"manifest {number}", said)
                    before, last = None, number
                    continue
                seal = Seal.judged(kept, self._signed)
                yield from about_seal(seal)
                if before is not None or last != number - 1:
                    yield from about_link(before, kept)
                yield from about_generation(newest, seal)
                if kept.session not in present:
                    name = session_name(kept.session)
                    yield Finding(Wrong.MISSING, name, f"{name}: its row is missing.")
                before, last, newest = kept, number, max(newest, seal.generation)
            heard(Progress("seals", last, of))
            after = page[-1]

    def _untraced(self) -> Iterator[Finding]:
        """Sessions that the log knows of, and of which neither row nor seal is left."""
        after = 0
        while page := self._begun(after):
            numbers = sorted({session for _, session in page})
            present, sealed = self._index.present(numbers), self._seals.of_all(numbers)
            self._between()
            for number in numbers:
                if number not in present and number not in sealed:
                    name = session_name(number)
                    said = f"{name}: its row is missing, and its seal: the log tells that it began."
                    yield Finding(Wrong.MISSING, name, said)
            after = page[-1][0]

    def _tombstones(self) -> Iterator[Finding]:
        after = None
        while page := self._inspection.departed.numbers(after, _PAGE):
            present = self._index.present(page)
            for number in page:
                if number not in present:
                    name = session_name(number)
                    said = f"{name}: it has a tombstone and no row."
                    yield Finding(Wrong.MISSING, name, said)
            after = page[-1]

    # Recordings

    def _recordings(self, heard: Heard) -> Iterator[Finding]:
        progress = Progress("recordings", 0, self._index.count())
        with _Work(self._threads, progress, heard, self._between) as work:
            for case, findings in work.in_order(self._cases(), self._inspection.files):
                yield from self._settled(case, findings)

    def _cases(self) -> Iterator[Case]:
        after = None
        while page := self._index.numbers(after, _PAGE):
            yield from self._inspection.cases(page)
            after = page[-1]

    def _settled(self, case: Case, findings: list[Finding]) -> list[Finding]:
        """What stands also where the session went on while it was judged."""
        for _ in range(_TRIES):
            if not findings or self._inspection.same(case):
                break
            [case] = self._inspection.cases([case.number])
            findings = self._inspection.files(case, lambda _: None)
        return findings

    # Files that no session has

    def _strangers(self) -> Iterator[Finding]:
        root = self._inspection.directory
        closed: list[OSError] = []
        for place, below, names in os.walk(root, onerror=closed.append):
            below.sort()
            ours = sorted(filter(_FILE.fullmatch, names))
            for start in range(0, len(ours), _PAGE):
                yield from self._unknown(Path(place), ours[start : start + _PAGE])
        for error in closed:
            said = f"{error.filename} can't be looked through: {error.strerror}."
            yield Finding(Wrong.MISSING, str(error.filename), said)

    def _unknown(self, place: Path, names: list[str]) -> Iterator[Finding]:
        found = {name: match for name in names if (match := _FILE.fullmatch(name))}
        known = self._index.present([int(match["number"]) for match in found.values()])
        for name, match in found.items():
            cast = (place / match["stem"]).with_suffix(".cast")
            number = int(match["number"])
            path = known.get(number)
            if path is None and number in known:
                continue  # its row can't be read, which is told already
            own = path is not None and plain_path(self._inspection.directory / path) == cast
            if not own and not self._young(place / name):
                said = f"{name} belongs to no session."
                yield Finding(Wrong.ADDED, name, said)

    def _young(self, file: Path) -> bool:
        """One of the last minute may be of a session that is about to begin."""
        try:
            return self._now().timestamp() - file.stat().st_ctime < PATIENCE.total_seconds()
        except OSError:
            return True


class _Work:
    """Judges cases in threads and gives back what came of them in their order."""

    def __init__(
        self, threads: int, progress: Progress, heard: Heard, between: Callable[[], object]
    ) -> None:
        self._ahead = AHEAD * threads
        self._pool = ThreadPoolExecutor(threads, "rounds") if threads else _Here()
        self._between = None if threads else between
        self._progress = progress
        self._heard = heard
        self._lock = threading.Lock()
        self._hashed = 0
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._pool.shutdown(cancel_futures=True)

    def in_order(self, cases: Iterable[Case], judge: _Judged) -> Iterator[tuple[Case, Findings]]:
        """Each case with what `judge` found; a few of them are judged ahead."""
        waiting: deque[tuple[Case, Future[Findings]]] = deque()
        for case in cases:
            waiting.append((case, self._pool.submit(judge, case, self._count)))
            if len(waiting) > self._ahead:
                yield self._next(waiting)
        while waiting:
            yield self._next(waiting)

    def _next(self, waiting: deque[tuple[Case, Future[Findings]]]) -> tuple[Case, Findings]:
        case, judged = waiting.popleft()
        while not wait([judged], LOOK).done:
            self._tell(0)
        self._tell(1)
        return case, judged.result()

    def _tell(self, more: int) -> None:
        done = self._progress.done + more
        self._progress = replace(self._progress, done=done, hashed=self._hashed)
        self._heard(self._progress)

    def _count(self, more: int) -> None:
        """In a thread, for each piece that was read."""
        with self._lock:
            self._hashed += more
        if self._stopped:
            raise _Stopped
        if self._between is not None:
            self._between()


class _Here(Executor):
    """Does at once what it is given, in the thread of whoever gives it."""

    def submit(self, act: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """What `act` gives; what it raises is raised."""
        done: Future[T] = Future()
        done.set_result(act(*args, **kwargs))
        return done
