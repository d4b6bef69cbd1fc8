"""The archive: files only we can read, rows that fit them, ends that always come."""

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from recorder import (
    Archive,
    EndReason,
    Index,
    IndexUnavailable,
    Recording,
    RecordingFailed,
    RecordingMissing,
)
from recorder.database import Database
from tests.recorder.places import MORNING, Clock, Sqlite, exec_of, shell


@pytest.fixture
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(top: Path) -> dict[str, int]:
    paths = (top, *top.rglob("*"))
    return {str(path.relative_to(top)): stat.S_IMODE(path.stat().st_mode) for path in paths}


@pytest.mark.usefixtures("_open_umask")
async def test_nobody_else_can_read_a_recording(archive: Archive, recordings: Path) -> None:
    """Directories are 0700 and files 0600, whatever the umask."""
    async with archive.record(shell()):
        pass
    assert modes(recordings) == {
        ".": 0o700,
        "2026": 0o700,
        "2026/11": 0o700,
        "2026/11/23": 0o700,
        "2026/11/23/S-1.cast": 0o600,
        "2026/11/23/S-1.sent": 0o600,
    }


async def test_a_session_is_in_the_index_from_its_start(
    archive: Archive, index: Index, clock: Clock
) -> None:
    """Live while it runs, complete when it is over."""
    async with archive.record(exec_of("id")) as recording:
        live = index.get(recording.session)
        assert live is not None
        assert live.live
        assert (live.name, live.command, live.started_at) == ("S-1", "id", MORNING)
        assert live.recording.path == "2026/11/23/S-1.cast"
        assert archive.open(live).header().title == "S-1 alice deploy@web-1: id"
        clock.seconds += 90
        recording.sent(b"12345")
        recording.shown(b"123")
        recording.exited(0)
    over = index.get(recording.session)
    assert over is not None
    assert not over.live
    assert over.ended_at is not None
    assert (over.ended_at - over.started_at).total_seconds() == 90
    assert over.end_reason is EndReason.CLOSED
    assert (over.exit_status, over.bytes_in, over.bytes_out) == (0, 5, 3)
    assert not over.recording.sealed


async def test_the_first_reason_stays(archive: Archive, index: Index) -> None:
    """A session that was revoked and then closed was revoked."""
    async with archive.record(shell()) as recording:
        recording.end(EndReason.REVOKED)
        recording.end(EndReason.CLOSED)
    assert ended(index, recording) is EndReason.REVOKED


def ended(index: Index, recording: Recording) -> EndReason | None:
    session = index.get(recording.session)
    assert session is not None
    return session.end_reason


async def test_a_body_that_raises_lost_its_session(archive: Archive, index: Index) -> None:
    """An error in the relay is not a normal end."""
    recordings: list[Recording] = []

    async def fail() -> None:
        async with archive.record(shell()) as recording:
            recordings.append(recording)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await fail()
    assert ended(index, recordings[0]) is EndReason.LOST


async def test_a_cancelled_session_is_closed_all_the_same(archive: Archive, index: Index) -> None:
    """Cancelling, even again while it closes, leaves no row open and no file unsynced."""
    recordings: list[Recording] = []

    begun = asyncio.Event()

    async def session() -> None:
        async with archive.record(shell()) as recording:
            recordings.append(recording)
            recording.shown(b"$ ")
            begun.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(session())
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert ended(index, recordings[0]) is EndReason.LOST
    events = list(archive.open(index.find()[0]).events())
    assert events[-1].data.startswith("bastion:ended")


async def test_a_session_cancelled_while_it_begins_is_closed(
    archive: Archive, index: Index
) -> None:
    """Nothing that was begun stays open because nobody waited for it."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(archive.begin(shell()))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert [session.end_reason for session in index.find()] == [EndReason.LOST]


async def test_finishing_twice_is_finishing_once(archive: Archive, index: Index) -> None:
    """Expiry and the client's close may both come; the first end counts."""
    recording = await archive.begin(shell())
    recording.end(EndReason.EXPIRED)
    await asyncio.gather(archive.finish(recording), archive.finish(recording))
    recording.end(EndReason.KILLED)
    await archive.finish(recording)
    assert ended(index, recording) is EndReason.EXPIRED
    with pytest.raises(RecordingFailed, match="closed"):
        recording.shown(b"late")


@pytest.fixture
def _file_in_the_way(recordings: Path) -> None:
    recordings.write_text("a file")


@pytest.mark.usefixtures("_file_in_the_way")
async def test_without_a_place_to_write_no_session_begins(archive: Archive, index: Index) -> None:
    """One sentence, and no row."""
    with pytest.raises(RecordingFailed, match="no recording can be begun in"):
        await archive.begin(shell())
    assert index.find() == []


class BrokenAtCommit(Sqlite):
    """A database that takes everything and then does not commit."""

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            yield connection
            connection.exec_driver_sql("SELECT * FROM nothing_of_that_name")


async def test_what_comes_while_it_closes_is_refused(archive: Archive, index: Index) -> None:
    """The last line stays the last: a late byte is neither recorded nor forwarded."""
    recording = await archive.begin(shell())
    async with asyncio.TaskGroup() as group:
        group.create_task(archive.finish(recording))
        await asyncio.sleep(0)
        with pytest.raises(RecordingFailed, match="the recording of S-1 is closed"):
            recording.shown(b"late")
    assert list(archive.open(index.find()[0]).events())[-1].data.startswith("bastion:ended")


async def test_an_error_while_it_is_cancelled_is_not_lost(
    archive: Archive, database: Database
) -> None:
    """Whoever sees the cancellation sees why the row was not completed."""
    recording = await archive.begin(shell())
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE sessions RENAME TO elsewhere")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(archive.finish(recording))
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await task
    assert isinstance(cancelled.value.__cause__, IndexUnavailable)


async def test_without_an_index_no_session_begins(tmp_path: Path) -> None:
    """One sentence, and no file."""
    database = BrokenAtCommit(tmp_path / "index.db")
    archive = Archive(tmp_path / "r", Index(database), recipients=[], limit=1_000_000)
    with pytest.raises(IndexUnavailable, match="no such table"):
        await archive.begin(shell())
    assert [path for path in (tmp_path / "r").rglob("*") if path.is_file()] == []
    database.close()


async def test_a_file_that_is_there_is_never_written_over(
    archive: Archive, index: Index, recordings: Path
) -> None:
    """With a database from last week's copy, numbers come again; recordings stay."""
    old = recordings / "2026/11/23/S-1.cast"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    (recordings / "2026/11/23/S-1-2.sent").write_text("old too")
    async with archive.record(shell()) as recording:
        recording.shown(b"new")
    assert old.read_text() == "old"
    [session] = index.find()
    assert session.recording.path == "2026/11/23/S-1-3.cast"
    assert archive.open(session).sent_path.name == "S-1-3.sent"
    assert not (recordings / "2026/11/23/S-1-2.cast").exists()


async def test_a_missing_recording_is_said_to_be_missing(
    archive: Archive, index: Index, recordings: Path
) -> None:
    """A row without a file is a finding, not a traceback."""
    async with archive.record(shell()) as recording:
        pass
    recording.path.unlink()
    with pytest.raises(RecordingMissing, match="S-1 is missing"):
        archive.open(index.find()[0])


async def test_two_archives_share_an_index(
    index: Index, database: Database, recordings: Path
) -> None:
    """Two processes, many sessions at once: each has its own number and its own files."""
    archives = [
        Archive(recordings, Index(database), recipients=[], limit=1_000_000) for _ in range(2)
    ]

    async def session(number: int) -> None:
        async with archives[number % 2].record(exec_of(f"echo {number}")) as recording:
            recording.shown(f"{number}".encode())

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(session(number))
    found = index.find()
    assert sorted(session.id for session in found) == list(range(1, 21))
    for one in found:
        [shown] = [e.data for e in archives[0].open(one).events() if e.code.value == "o"]
        assert one.command == f"echo {shown}"


async def test_a_database_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    """The index renames what its library raises."""

    class Gone:
        @contextmanager
        def write(self) -> Iterator[Connection]:
            with create_engine(f"sqlite:///{tmp_path}/no/such/dir.db").connect() as connection:
                yield connection

        read = write

    with pytest.raises(IndexUnavailable, match="unable to open database file"):
        Index(Gone()).find()
