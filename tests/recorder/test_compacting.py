"""Compacting: what is over and sealed, the oldest first; none keeps another."""

import asyncio
import hashlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from recorder import Archive, Compaction, Index, NotCompacted, Session
from recorder.compacting import Compacting
from recorder.compaction import aside_of
from recorder.compactor import answer, job
from recorder.database import Database
from recorder.index_tables import sessions
from recorder.plain import lying_path, plain_measure
from recorder.space import Disk, Marks, Space
from tests.recorder.places import Clock, Sqlite, exec_of
from tests.recorder.sealed import Place

ROOMY = Disk(2**40, 2**39, None)


class Log:
    """Hears of corrupt recordings, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.heard: list[tuple[str, str]] = []

    def told(self, session: Session, why: str) -> None:
        if self.away:
            raise NotCompacted("the log does not answer")
        self.heard.append((session.name, why))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def archive(recordings: Path, index: Index, clock: Clock, place: Place) -> Archive:
    return Archive(
        recordings,
        index,
        recipients=[],
        limit=1 << 24,
        now=clock.now,
        clock=clock,
        sealing=place.sealing,
    )


@pytest.fixture
async def compacting(
    recordings: Path, index: Index, clock: Clock, log: Log
) -> AsyncIterator[Compacting]:
    space = Space(recordings, Marks(0, 0, 0), lambda _: ROOMY)
    made = Compacting(
        recordings, index, space, after=timedelta(minutes=1), told=log.told, now=clock.now
    )
    yield made
    assert made._process is None


async def recorded(archive: Archive, index: Index, lines: int = 500) -> Session:
    async with archive.record(exec_of()) as recording:
        for number in range(lines):
            recording.shown(f"line {number} of what a session shows\r\n".encode())
    return got(index, recording.session)


def got(index: Index, number: int) -> Session:
    found = index.get(number)
    assert found is not None
    return found


def state(index: Index, *numbers: int) -> list[Compaction | None]:
    return [got(index, number).recording.compaction for number in numbers]


async def test_what_is_over_for_long_enough_is_compacted(
    archive: Archive, index: Index, compacting: Compacting, clock: Clock, recordings: Path
) -> None:
    """A small one stays as it is; a live one, and one that has just ended, are left alone."""
    large = await recorded(archive, index)
    small = await recorded(archive, index, 2)
    clock.seconds += 61
    young = await recorded(archive, index)
    live = await archive.begin(exec_of())
    assert await compacting.run() == []
    assert state(index, large.id, small.id, young.id, live.session) == [
        Compaction.COMPACTED,
        Compaction.KEPT,
        None,
        None,
    ]
    lying = lying_path(recordings / large.recording.path)
    assert lying.name == "S-1.cast.zst"
    now = got(index, large.id).recording
    assert now.compacted_size == lying.stat().st_size < large.recording.size / 10
    assert plain_measure(lying) == (large.recording.size, large.recording.sha256)
    assert lying_path(recordings / small.recording.path).name == "S-2.cast"
    assert len(list(archive.open(got(index, large.id)).events())) == large.recording.events
    await archive.finish(live)


async def test_what_is_not_sealed_is_left_alone(
    index: Index, compacting: Compacting, clock: Clock, recordings: Path
) -> None:
    """Its seal has to be there first."""
    unsealed = Archive(recordings, index, recipients=[], limit=1 << 24, now=clock.now, clock=clock)
    session = await recorded(unsealed, index)
    clock.seconds += 3600
    assert await compacting.run() == []
    assert state(index, session.id) == [None]


async def test_a_corrupt_one_keeps_no_other_and_is_told_of_once(
    archive: Archive,
    index: Index,
    compacting: Compacting,
    clock: Clock,
    recordings: Path,
    *,
    log: Log,
) -> None:
    """It stays as it is, whatever was done to it."""
    sessions = [await recorded(archive, index) for _ in range(4)]
    clock.seconds += 61
    changed, missing = (recordings / each.recording.path for each in sessions[:2])
    changed.write_bytes(changed.read_bytes().replace(b"line 7 ", b"line 8 "))
    missing.unlink()
    log.away = True
    said = await compacting.run()
    assert said[0] == "S-1 is not compacted yet: the log does not answer"
    assert state(index, 1, 2, 3, 4) == [None, None, Compaction.COMPACTED, Compaction.COMPACTED]
    log.away = False
    assert await compacting.run() == []
    clock.seconds += 61
    assert await compacting.run() == [
        "S-1 is corrupt and stays as it is: its content has another SHA-256 than its row",
        "S-2 is corrupt and stays as it is: it is missing",
    ]
    clock.seconds += 3600
    assert await compacting.run() == []
    assert [name for name, _ in log.heard] == ["S-1", "S-2"]
    assert b"line 8 " in changed.read_bytes()


async def test_what_lies_on_another_machine_is_no_matter_here(
    archive: Archive,
    index: Index,
    compacting: Compacting,
    clock: Clock,
    recordings: Path,
    *,
    log: Log,
) -> None:
    """One database, several machines, each with its own recordings."""
    session = await recorded(archive, index)
    clock.seconds += 61
    path = recordings / session.recording.path
    for file in path.parent.iterdir():
        file.unlink()
    assert await compacting.run() == []
    assert state(index, session.id) == [None]
    assert log.heard == []


async def test_a_row_that_names_another_file_has_no_say(
    archive: Archive,
    index: Index,
    compacting: Compacting,
    clock: Clock,
    *,
    database: Database,
    tmp_path: Path,
) -> None:
    """It is not sealed: who can write rows shall not have the service's other files taken away."""
    session = await recorded(archive, index)
    clock.seconds += 61
    key = tmp_path / "key"
    key.write_bytes(b"x" * 10_000)
    size, sha256 = plain_measure(key)
    for path in (str(key), "../key", "2026/11/23/../../../../key", "2026/11/23/S-2.cast"):
        with database.write() as connection:
            values = {"path": path, "size": size, "sha256": sha256}
            connection.execute(update(sessions).values(**values))
        assert await compacting.run() == []
    assert key.read_bytes() == b"x" * 10_000
    assert state(index, session.id) == [None]


async def test_on_a_disk_without_room_it_waits(
    archive: Archive, index: Index, clock: Clock, recordings: Path, log: Log
) -> None:
    """It uses nothing below the mark at which the disk stands; longer and longer it waits."""
    session = await recorded(archive, index)
    clock.seconds += 61
    disk = Disk(2**62, 2**61, None)
    space = Space(recordings, Marks(2**60, 0, 0), lambda _: disk)
    compacting = Compacting(
        recordings, index, space, after=timedelta(0), told=log.told, now=clock.now
    )
    tries = []
    for _ in range(3):
        tries.append(len(await compacting.run()))
        clock.seconds += 61
    assert tries == [1, 1, 0]
    disk = Disk(2**62, 2**58, None)
    clock.seconds += 3600
    assert await compacting.run() == []
    assert state(index, session.id) == [Compaction.COMPACTED]


async def test_ending_the_service_ends_it(
    archive: Archive, index: Index, compacting: Compacting, clock: Clock, recordings: Path
) -> None:
    """In the middle of a recording: that stays as it was, and nothing lies beside it."""
    session = await recorded(archive, index, 100_000)
    clock.seconds += 61
    path = recordings / session.recording.path
    async with asyncio.TaskGroup() as group:
        task = group.create_task(compacting.run())
        await appears(aside_of(path))
        task.cancel()
    assert plain_measure(path) == (session.recording.size, session.recording.sha256)
    assert not aside_of(path).exists()
    assert state(index, session.id) == [None]


async def test_a_killed_compactor_loses_nothing(
    archive: Archive, index: Index, compacting: Compacting, clock: Clock, recordings: Path
) -> None:
    """By signal 9 at any moment; the next one goes on, also when the row was not told."""
    session = await recorded(archive, index, 20_000)
    clock.seconds += 61
    recording, path = session.recording, recordings / session.recording.path
    assert recording.sha256 is not None
    packed = path.with_name("S-1.cast.zst")
    for there in (aside_of(path), packed):
        with compactor(recordings) as process:
            assert process.stdin is not None
            process.stdin.write(job(recording.path, recording.sha256, recording.size, 0))
            process.stdin.flush()
            await appears(there)
            process.kill()
        assert plain_measure(lying_path(path)) == (recording.size, recording.sha256)
    shutil.copy(packed, aside_of(path))
    assert await compacting.run() == []
    assert sorted(file.name for file in path.parent.glob("S-1.*zst")) == [packed.name]
    found = got(index, session.id).recording
    assert (found.compaction, found.compacted_size) == ("compacted", packed.stat().st_size)
    assert found.points is not None


async def appears(file: Path) -> None:
    """Until it is there."""
    async with asyncio.timeout(30):
        while not file.exists():  # noqa: ASYNC110, ASYNC240 another process makes it
            await asyncio.sleep(0.0005)


def compactor(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "recorder.compactor", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


async def test_the_compactor_answers_for_each_and_goes_on(
    archive: Archive, index: Index, recordings: Path
) -> None:
    """It stands behind all others, and ends with its input."""
    sessions = [await recorded(archive, index) for _ in range(2)]
    jobs = [
        job(each.recording.path, each.recording.sha256 or "", each.recording.size, floor)
        for each, floor in zip(sessions, (2**62, 0), strict=True)
    ]
    with compactor(recordings) as process:
        out, _ = process.communicate(b"".join(jobs), timeout=30)
    assert process.returncode == 0
    first, second = map(answer, out.splitlines())
    assert first == "the disk has no room for it now"
    assert not isinstance(second, str)
    assert second.compaction is Compaction.COMPACTED


async def test_a_compacted_one_is_verified(
    archive: Archive, index: Index, compacting: Compacting, clock: Clock, place: Place
) -> None:
    """Its content by its seal; the screens that are kept with it by what was made of it."""
    session = await recorded(archive, index, 20_000)
    clock.seconds += 61
    await compacting.run()
    assert place.found_anywhere() == []
    lying = lying_path(place.file(session))
    content = bytearray(lying.read_bytes())
    at = content.rindex((0x184D2A5B).to_bytes(4, "little"), 0, len(content) - 3000)
    content[at + 20] ^= 1
    lying.write_bytes(content)
    forged = "S-1: the screens in S-1.cast.zst are not those that were made of it."
    assert place.found_anywhere() == [forged]
    lying.write_bytes(bytes(content)[: len(content) // 2])
    cut, other = place.found_anywhere()
    assert cut.startswith("S-1: S-1.cast was cut")
    assert other == forged


async def test_a_recording_is_found_compacted_by_an_older_database(
    archive: Archive, index: Index, recordings: Path, clock: Clock
) -> None:
    """Recovery reads it as it lies; a new session of the same number does not take its name."""
    live = await archive.begin(exec_of())
    for _ in range(1000):
        live.shown(b"hello\r\n")
    row = got(index, live.session)
    path = recordings / row.recording.path
    live.close()
    content = path.read_bytes()
    asked = job(row.recording.path, hashlib.sha256(content).hexdigest(), len(content), 0)
    with compactor(recordings) as process:
        process.communicate(asked, timeout=30)
    assert not path.exists()
    [recovered] = await archive.recover()
    assert recovered.cut == 0
    found = got(index, row.id)
    assert (found.end_reason, found.recording.size) == ("closed", len(content))
    assert found.recording.sha256 == hashlib.sha256(content).hexdigest()
    other = Archive(recordings, Index(Sqlite(recordings / "new.db")), recipients=[], limit=1 << 20,
                    now=clock.now, clock=clock)  # fmt: skip
    path.with_suffix(".sent").unlink()
    again = await other.begin(exec_of())
    assert again.path.name == "S-1-2.cast"
    await other.finish(again)
