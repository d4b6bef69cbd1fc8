"""Long recordings: how much room they take, how long it takes to compact one, and how soon a replay
of one begins in its middle.

Each lasts four hours, and holds as much of its kind as was asked for:

    log       what a server writes: lines with times, names and numbers
    screens   a full-screen program: the cursor jumps, words in colours
    flood     `yes`: two letters, and again
    letters   one byte a time, as a program prints that flushes each

A replay is the whole command, on a terminal, until the screen of 3:20:00 is drawn; beside it the
same of a recording of a few lines, which is what any replay costs.
"""

import asyncio
import os
import pty
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bastion.addresses import Endpoint
from bastion.app import Services, opened
from bastion.home import create
from recorder import Archive, Kind, Reader, SessionInfo, Size
from recorder.compacting import Compacting
from recorder.plain import lying_path, plain_measure
from recorder.scene import scene_at
from recorder.space import Marks, Space
from tests.bench.figures import Row, below, known

HOURS = 4.0
POINT, SECONDS = "3:20:00", 12_000.0
ROUNDS = 3
SOON, LITTLE = 200.0, 100.0
"""Milliseconds, and megabytes."""

_MARK = b"\x1b[H\x1b[2J"
_WORDS = ("the", "quick", "brown", "fox", "error", "failed", "started", "service", "connection")


def measure(megabytes: int) -> list[Row]:
    """Each kind, one after another."""
    with _house() as house:
        short = house.recorded(iter([b"a few lines\r\n"] * 3))
        return [row for kind in _KINDS for row in _measured(house, kind, megabytes, short)]


def _measured(house: "_House", kind: str, megabytes: int, short: str) -> Iterator[Row]:
    size = megabytes * 10**6
    session = house.recorded(_KINDS[kind](size))
    plain = house.size(session)
    named = (
        f"{size // 400 / 1e6:g} MB of {kind}" if kind == "letters" else f"{megabytes} MB of {kind}"
    )
    yield known(f"{named}: as it was written", "MB", plain / 1e6)
    if kind != "letters":
        yield from _begun(house, f"{named}, plain", session, short)
    taken = house.compacted()
    yield known(f"{named}: compacted to", "MB", house.size(session) / 1e6)
    yield known(f"{named}: compacting it, processor time", "s", taken)
    yield known(f"{named}: hashing its content again", "s", _seconds(house.hash, session))
    if kind != "letters":
        yield from _begun(house, f"{named}, compacted", session, short)


def _begun(house: "_House", named: str, session: str, short: str) -> Iterator[Row]:
    """How soon a replay begins; in pairs with one of a recording of three lines."""
    pairs = [(house.replay(short, "0:01"), house.replay(session, POINT)) for _ in range(ROUNDS)]
    more = median(1000 * (long.seconds - few.seconds) for few, long in pairs)
    yield known(f"{named}: replay at {POINT}, the command", "ms", 1000 * median(
        long.seconds for _, long in pairs
    ))  # fmt: skip
    yield below(f"{named}: more than of three lines", "ms", None, max(more, 0.0), SOON)
    scene = median(_seconds(house.scene, session) for _ in range(ROUNDS))
    yield below(f"{named}: of that the scene", "ms", None, 1000 * scene, SOON)
    memory = max(long.memory for _, long in pairs)
    yield below(f"{named}: memory of the replay", "MB", None, memory / 1e6, LITTLE)


def _seconds(work: Callable[[str], object], session: str) -> float:
    begun = time.perf_counter()
    work(session)
    return time.perf_counter() - begun


@dataclass(frozen=True, slots=True)
class _Replay:
    """Until its first screen was there, and how much memory it had taken by then, in bytes."""

    seconds: float
    memory: int


class _House:
    """A home with recordings that were made faster than they lasted."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._directory = services.settings.recordings(services.home)
        self._seconds = 0.0

    def recorded(self, chunks: Iterator[bytes]) -> str:
        """A session of four hours that shows these chunks, spread over them."""
        return asyncio.run(self._recorded(list(chunks)))

    async def _recorded(self, chunks: list[bytes]) -> str:
        archive = Archive(
            self._directory,
            self._services.index,
            recipients=[],
            limit=2**34,
            clock=lambda: self._seconds,
            sealing=self._services.archive._sealing,
        )
        info = SessionInfo(1, "alice", 1, "web-1", "deploy", Kind.SHELL, "192.0.2.7", terminal=SIZE)
        async with archive.record(info) as recording:
            for chunk in chunks:
                self._seconds += HOURS * 3600 / len(chunks)
                recording.shown(chunk)
        return recording.name

    def _path(self, session: str) -> Path:
        found = self._services.index.get(int(session.removeprefix("S-")))
        assert found is not None
        return self._directory / found.recording.path

    def size(self, session: str) -> int:
        """Bytes that it takes now."""
        return lying_path(self._path(session)).stat().st_size

    def compacted(self) -> float:
        """Seconds of processor time until all are compacted."""
        space = Space(self._directory, Marks(0, 0, 0))
        later = datetime.now(UTC) + timedelta(days=1)
        compacting = Compacting(
            self._directory,
            self._services.index,
            space,
            after=timedelta(0),
            told=lambda *_: None,
            now=lambda: later,
        )
        begun = _of_children()
        problems = asyncio.run(compacting.run())
        assert problems == []
        return _of_children() - begun

    def hash(self, session: str) -> object:
        """What `verify` does with it."""
        return plain_measure(lying_path(self._path(session)))

    def scene(self, session: str) -> object:
        """What a replay draws first."""
        found = self._services.index.get(int(session.removeprefix("S-")))
        assert found is not None
        reader = Reader(self._path(session), points=found.recording.points)
        return next(scene_at(reader, SECONDS).drawn())

    def replay(self, session: str, point: str) -> _Replay:
        """The whole command, on a terminal."""
        ours, theirs = pty.openpty()
        home = str(self._services.home.directory)
        words = ("--home", home, "replay", session, "--from", point)
        begun = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "cli.admin", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            seen = b""
            with suppress(OSError):
                while _MARK not in seen:
                    seen += os.read(ours, 65536)
            seconds = time.perf_counter() - begun
            memory = _peak(process.pid)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        os.close(ours)
        assert _MARK in seen, seen
        return _Replay(seconds, memory)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak(pid: int) -> int:
    told = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in told.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


SIZE = Size(132, 43)


def _log(size: int) -> Iterator[bytes]:
    dice = random.Random(1)  # noqa: S311 (no secret)
    pages = [b"".join(_line(dice) for _ in range(160)) for _ in range(400)]
    return _repeated(pages, size)


def _line(dice: random.Random) -> bytes:
    words = " ".join(dice.choices(_WORDS, k=8))
    at = f"Nov 23 10:{dice.randrange(60):02}:{dice.randrange(60):02}"
    return f"{at} web-{dice.randrange(9)} {words} [{dice.randrange(99999)}]\r\n".encode()


def _screens(size: int) -> Iterator[bytes]:
    dice = random.Random(2)  # noqa: S311 (no secret)
    pages = [b"".join(_jump(dice) for _ in range(500)) for _ in range(400)]
    return _repeated(pages, size)


def _jump(dice: random.Random) -> bytes:
    place = f"\x1b[{dice.randrange(43) + 1};{dice.randrange(120) + 1}H"
    return f"{place}\x1b[38;5;{dice.randrange(256)}m{dice.choice(_WORDS)}\x1b[K".encode()


def _flood(size: int) -> Iterator[bytes]:
    return _repeated([b"y\r\n" * 5000], size)


def _letters(size: int) -> Iterator[bytes]:
    """A four-hundredth of it: each letter takes a line of the recording."""
    text = next(_log(1))
    return (text[n % len(text)].to_bytes() for n in range(size // 400))


def _repeated(pages: list[bytes], size: int) -> Iterator[bytes]:
    written, number = 0, 0
    while written < size:
        page = pages[number % len(pages)]
        written += len(page)
        number += 1
        yield page


_KINDS: dict[str, Callable[[int], Iterator[bytes]]] = {
    "log": _log,
    "screens": _screens,
    "flood": _flood,
    "letters": _letters,
}


@contextmanager
def _house() -> Iterator[_House]:
    with TemporaryDirectory(prefix="bench-") as place:
        listen = Endpoint("127.0.0.1", 61_023)  # where nobody listens
        made = create(Path(place) / "home", listen, ("bastion",), "machine", datetime.now(UTC))
        with opened(made.home) as services:
            yield _House(services)
