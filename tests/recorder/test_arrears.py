"""Arrears: what waits for the database is done in its order, once, and nothing is forgotten."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from recorder import Archive, Arrears, EndReason, Index, IndexUnavailable, arrears
from recorder.database import Database
from recorder.errors import NotTaken
from tests.recorder.places import Clock, Sqlite, exec_of, shell


class Desk:
    """What a database would do, noted; it is away while `away` is set."""

    def __init__(self) -> None:
        self.away = False
        self.tries = 0
        self.done: list[object] = []

    def do(self, what: object) -> object:
        """Blocks, in a thread."""
        self.tries += 1
        if self.away:
            raise IndexUnavailable("the index is not available")
        self.done.append(what)
        return what


@pytest.fixture
def desk() -> Desk:
    """One that answers."""
    return Desk()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrears, "AGAIN", 0.001)


@asynccontextmanager
async def keeping(*also: type[Exception]) -> AsyncIterator[Arrears]:
    """Arrears that are kept."""
    kept = Arrears(*also)
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(kept.keep())
        yield kept
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper
        kept.close()


async def until_tried(desk: Desk, times: int) -> None:
    """Until it was asked so often."""
    async with asyncio.timeout(10):
        while desk.tries < times:  # noqa: ASYNC110 - it is another thread
            await asyncio.sleep(0.001)


async def test_what_can_be_done_is_done_at_once(desk: Desk) -> None:
    """Nothing waits where the database answers."""
    async with keeping() as owed:
        assert await owed.do(lambda: desk.do("now")) == "now"
        assert (owed.waiting, desk.done) == (0, ["now"])


async def test_nothing_overtakes_what_waits(desk: Desk) -> None:
    """Neither what can wait nor what is waited for, however often the database was tried."""
    desk.away = True
    async with keeping() as owed, asyncio.TaskGroup() as group:
        first = group.create_task(owed.do(lambda: desk.do(0)))
        await until_tried(desk, 2)
        for number in range(1, 5):
            owed.later(lambda number=number: desk.do(number))  # type: ignore[misc]
        last = group.create_task(owed.do(lambda: desk.do(5)))
        await until_tried(desk, 5)
        assert owed.waiting == 6
        desk.away = False
        assert (await first, await last) == (0, 5)
        assert desk.done == [0, 1, 2, 3, 4, 5]


async def test_what_waits_is_done_for_whoever_is_gone(desk: Desk) -> None:
    """Cancelling somebody who waits takes nothing back."""
    desk.away = True
    async with keeping() as owed:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(owed.do(lambda: desk.do("kept")))
            await until_tried(desk, 3)
            task.cancel()
        desk.away = False
        await owed.later(lambda: desk.do("after"))
    assert desk.done == ["kept", "after"]


async def test_what_is_never_taken_keeps_nobody_waiting(desk: Desk) -> None:
    """The database answers and refuses: that is for whoever asked, and the next one's turn."""
    desk.away = True
    async with keeping() as owed:
        first = owed.later(lambda: desk.do("first"))

        def refused() -> None:
            raise NotTaken("a text can't have a NUL")

        second, third = owed.later(refused), owed.later(lambda: 1 // 0)
        desk.away = False
        last = owed.later(lambda: desk.do("last"))
        assert await last == "last"
        assert await first == "first"
        with pytest.raises(NotTaken):
            await second
        with pytest.raises(ZeroDivisionError):
            await third
        with pytest.raises(NotTaken):
            await owed.do(refused)


async def test_what_waits_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much is for the next start, and whoever wants it is told so at once."""
    monkeypatch.setattr(arrears, "MOST", 3)
    desk.away = True
    async with keeping() as owed:
        kept = [owed.later(lambda n=n: desk.do(n)) for n in range(3)]  # type: ignore[misc]
        with pytest.raises(IndexUnavailable, match="not waited for"):
            await owed.do(lambda: desk.do("too much"))
        desk.away = False
        assert await asyncio.gather(*kept) == [0, 1, 2]


@pytest.mark.parametrize("away", [True, False])
async def test_going_down_while_the_database_answers_ends_well(away: bool) -> None:
    """What is being done then is the last; whoever keeps it waits, and goes on doing so."""
    owed, asked, answers = Arrears(), threading.Event(), threading.Event()

    def work() -> None:
        asked.set()
        assert answers.wait(10)
        if away:
            raise IndexUnavailable("the index is not available")

    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(owed.keep())
        waiting = [owed.later(work), owed.later(work)]
        assert await asyncio.to_thread(asked.wait, 10)
        owed.close()
        answers.set()
        for each in waiting:
            with pytest.raises(IndexUnavailable, match="the database is away"):
                await each
        await asyncio.wait([keeper], timeout=0.1)
        keeper.cancel()


async def test_going_down_leaves_the_rest_to_the_next_start(desk: Desk) -> None:
    """Nobody is kept waiting by a database that does not come back."""
    desk.away = True
    async with keeping(OSError) as owed:
        left = owed.later(lambda: desk.do("left"))
        owed.close()
        with pytest.raises(IndexUnavailable):
            await left
        with pytest.raises(IndexUnavailable):
            await owed.later(lambda: desk.do("late"))


class Coming(Sqlite):
    """A database that goes and comes: before it takes anything, or with the answer to a commit."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.away = self.lost = False
        self.tried = threading.Event()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self._answer()
        with super().write() as connection:
            yield connection
        if self.lost:
            self.away = True
            self._answer()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        self._answer()
        with super().read() as connection:
            yield connection

    def _answer(self) -> None:
        if self.away:
            self.tried.set()
            raise OperationalError("a statement", {}, Exception("server closed the connection"))


@pytest.fixture
def coming(tmp_path: Path) -> Iterator[Coming]:
    """A database that is there."""
    database = Coming(tmp_path / "coming.db")
    yield database
    database.close()


def files(recordings: Path) -> set[str]:
    """Of sessions, by name."""
    return {path.name for path in recordings.rglob("S-*")}


def archive_of(database: Database, recordings: Path, owed: Arrears | None = None) -> Archive:
    """An archive on it."""
    clock = Clock()
    index = Index(database, "boot")
    return Archive(
        recordings, index, recipients=[], limit=1 << 20, now=clock.now, clock=clock, arrears=owed
    )


async def test_a_session_that_ends_without_the_database_is_complete_when_it_is_back(
    coming: Coming, recordings: Path
) -> None:
    """It ends for its client at once; its row says how and when it ended, not when that was told.

    Its files are whole in the meantime, and nobody holds them.
    """
    async with keeping() as owed:
        archive = archive_of(coming, recordings, owed)
        async with archive.record(shell()) as recording:
            recording.shown(b"$ ")
            recording.exited(3)
            recording.end(EndReason.EXPIRED)
            coming.away = True
        assert recording.path.read_bytes().count(b"bastion:ended") == 1
        assert owed.waiting == 1
        coming.away = False
        await owed.do(lambda: None)
    [row] = Index(coming).find()
    assert (row.end_reason, row.exit_status, row.bytes_out) == (EndReason.EXPIRED, 3, 2)
    assert row.recording.size == recording.path.stat().st_size


async def test_others_took_it_for_lost_meanwhile(coming: Coming, recordings: Path) -> None:
    """They could not know better; whoever carried it does."""
    async with keeping() as owed:
        archive = archive_of(coming, recordings, owed)
        async with archive.record(shell()) as recording:
            recording.end(EndReason.CLOSED)
            coming.away = True
        coming.away = False
        lost = Index(coming, "another").lose(["boot"], Clock().now())
        assert [each.id for each in lost] == [recording.session]
        await owed.do(lambda: None)
    assert [each.end_reason for each in Index(coming).find()] == [EndReason.CLOSED]


async def test_the_process_ends_before_the_database_is_back(
    coming: Coming, recordings: Path
) -> None:
    """Then the next start reads from the recording how it ended."""
    async with keeping() as owed:
        archive = archive_of(coming, recordings, owed)
        async with archive.record(shell()) as recording:
            recording.end(EndReason.KILLED)
            coming.away = True
    coming.away = False
    assert [each.live for each in Index(coming).find()] == [True]
    [found] = await archive_of(coming, recordings).recover()
    assert (found.session, found.cut) == (recording.session, 0)
    assert [each.end_reason for each in Index(coming).find()] == [EndReason.KILLED]


async def test_a_begin_of_which_nobody_knows_is_settled(coming: Coming, recordings: Path) -> None:
    """The answer to the commit was lost: the row is there, so its recording stays and is ended."""
    async with keeping() as owed:
        archive = archive_of(coming, recordings, owed)
        coming.lost = True
        with pytest.raises(IndexUnavailable):
            await archive.begin(exec_of())
        coming.lost = coming.away = False
        await owed.do(lambda: None)
    [row] = Index(coming).find()
    assert row.end_reason is EndReason.LOST
    assert row.recording.size == (recordings / row.recording.path).stat().st_size


async def test_a_begin_that_was_not_kept_leaves_nothing(coming: Coming, recordings: Path) -> None:
    """The commit itself failed: no row, and when that is known no file."""

    class Broken(Coming):
        @contextmanager
        def write(self) -> Iterator[Connection]:
            with super().write() as connection:
                yield connection
                self.away = True
                self._answer()

    broken = Broken(recordings.with_suffix(".db"))
    async with keeping() as owed:
        archive = archive_of(broken, recordings, owed)
        with pytest.raises(IndexUnavailable):
            await archive.begin(exec_of())
        assert files(recordings) == {"S-1.cast", "S-1.sent"}
        broken.away = False
        await owed.do(lambda: None)
    assert Index(broken).find() == []
    assert files(recordings) == set()
    broken.close()
