"""Indexing beside serving: it rests, it ends, it leaves a full disk alone."""

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bastion.indexing import LONGER, Indexing, Rests, in_plain, wanted
from recorder import Session, Stored
from recorder.session import Compaction
from recorder.space import Disk, Marks, Space
from tests.recorder.test_fts import session

GIB = 2**30


class Worker:
    """Works until it is told to stop, or `turns` times."""

    def __init__(self, rests: Rests, turns: int = 2**30) -> None:
        self.turns = 0
        self.began = threading.Event()
        self._rests = rests
        self._most = turns

    def turn(self) -> bool:
        self.turns += 1
        self.began.set()
        while self.turns > self._most:
            sum(range(10_000))
            self._rests.rest()
        return self.turns <= self._most


def space(tmp_path: Path, free: int = 10 * GIB) -> Space:
    marks = Marks(GIB, GIB // 2, GIB // 4)
    return Space(tmp_path, marks, ask=lambda _: Disk(100 * GIB, free, None))


async def test_its_end_does_not_wait_for_the_work(tmp_path: Path) -> None:
    """However much there is to do."""
    rests = Rests()
    worker = Worker(rests, turns=3)
    indexing = Indexing(worker, rests, space(tmp_path))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(indexing.keep())
        assert await asyncio.to_thread(worker.began.wait, 10)
        task.cancel()
    assert worker.turns <= 4


async def test_a_disk_that_is_short_of_room_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Recordings come first; that it waits is said once."""
    rests = Rests()
    worker = Worker(rests)
    indexing = Indexing(worker, rests, space(tmp_path, GIB // 2))
    for _ in range(3):
        await indexing._work()
    assert worker.turns == 0
    assert caplog.text.count("short of room") == 1


class Waits(threading.Event):
    """Notes for how long one would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        return self.is_set()


class Works:
    """Works for `WORK` seconds a turn, and rests."""

    def __init__(self, rests: Rests) -> None:
        self._rests = rests

    def turn(self) -> bool:
        end = time.thread_time() + WORK
        while time.thread_time() < end:
            sum(range(1000))
        self._rests.rest()
        return True


WORK = 0.003


def test_it_rests_longer_while_the_loop_has_much_to_do(tmp_path: Path) -> None:
    """What was seen in one rest counts for the next, and no longer."""
    wanted, waits = iter([0.0, 0.0, 0.0, 1e6, 1e6, 1e6]), Waits()
    rests = Rests(lambda: next(wanted), waits)
    indexing = Indexing(Works(rests), rests, space(tmp_path))
    assert [indexing._turn() for _ in range(3)] == [True] * 3
    first, second, third = waits.seconds
    assert WORK <= first < LONGER * WORK
    assert WORK <= second < LONGER * WORK
    assert third >= LONGER * WORK


def test_it_rests_in_whatever_thread_it_works(tmp_path: Path) -> None:
    """One that has hardly done anything yet, after one that has done a lot."""
    waits = Waits()
    rests = Rests(lambda: 0.0, waits)
    indexing = Indexing(Works(rests), rests, space(tmp_path))
    for _ in range(3):
        indexing._turn()
    fresh = threading.Thread(target=indexing._turn)
    fresh.start()
    fresh.join(10)
    assert len(waits.seconds) == 4


def test_what_the_loop_wants_is_what_its_thread_does() -> None:
    """It grows while this process's first thread works, and by no more than time passes."""
    before, begun = wanted(), time.monotonic()
    while wanted() - before < WORK:
        sum(range(1000))
    assert wanted() - before < time.monotonic() - begun + 0.1


def sealed(of: Session, compaction: Compaction | None) -> Session:
    return replace(of, recording=replace(Stored("x"), sealed=True, compaction=compaction))


def test_what_is_encrypted_is_not_indexed_in_plain() -> None:
    """Nor what will be: but what was sealed in plain before stays so."""
    fresh = session(1)
    plain, covered = sealed(fresh, Compaction.COMPACTED), sealed(fresh, Compaction.ENCRYPTED)
    assert [in_plain(False)(each) for each in (fresh, plain)] == [True, True]
    assert [in_plain(True)(each) for each in (fresh, plain, covered)] == [False, True, False]
