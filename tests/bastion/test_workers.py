"""Workers: few verbs work at once, those that wait or stay hold no place, and nobody takes all."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from bastion.errors import Unavailable
from bastion.workers import Place, Room, Stay, Stays, Workers
from tests.corpus.world import until


def nothing() -> None:
    """There is nothing to be stopped."""


class Crowd:
    """Verbs that go on until they are let go, and how many of them there are."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.working = 0
        self.most = 0
        self.waiting = 0
        self.free = threading.Event()
        self._lock = threading.Lock()

    def work(self, place: Place) -> int:
        """Works until all are let go."""
        with self._lock:
            self.working += 1
            self.most = max(self.most, self.working)
        self.free.wait(5)
        with self._lock:
            self.working -= 1
        return 0

    def wait(self, place: Place) -> int:
        """Waits until all are let go."""
        with place.waiting():
            with self._lock:
                self.waiting += 1
            self.free.wait(5)
        return 0

    def watch(self, place: Place) -> int:
        """Stays, and waits there until all are let go."""
        place.settle(Stay.WATCHING)
        return self.wait(place)

    def start(
        self, group: asyncio.TaskGroup, act: Callable[[Place], int], who: str = "alice"
    ) -> "asyncio.Task[int]":
        """One more, as a task."""
        return group.create_task(self.workers.run(who, act, self.free.set))


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    """Two may work, four wait (three of each person), ten be there (eight of each).

    Beside them three may watch, two of each person.
    """
    watching = Stays(at_once=2, in_all=3, each=2, rest=0)
    workers = Workers(
        Room(at_once=2, waiting=4, waiting_each=3, in_all=10, each=8, watching=watching)
    )
    yield Crowd(workers)
    workers.close()


async def test_so_many_work_at_once_and_the_others_have_their_turn(crowd: Crowd) -> None:
    """Eight come, two work, and in the end all have been served."""
    async with asyncio.TaskGroup() as group:
        tasks = [crowd.start(group, crowd.work) for _ in range(8)]
        await until(lambda: crowd.working == 2)
        crowd.free.set()
    assert crowd.most == 2
    assert [task.result() for task in tasks] == [0] * 8


async def test_who_waits_holds_no_place(crowd: Crowd) -> None:
    """Three wait, and two work beside them; then all end."""
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            crowd.start(group, crowd.wait)
        await until(lambda: crowd.waiting == 3)
        for _ in range(2):
            crowd.start(group, crowd.work)
        await until(lambda: crowd.working == 2)
        crowd.free.set()


async def test_too_many_waits_are_refused_for_one_person_and_for_all(crowd: Crowd) -> None:
    """A sentence each; whoever waits already goes on, and what ended makes room again."""
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            crowd.start(group, crowd.wait)
        await until(lambda: crowd.waiting == 3)
        with pytest.raises(Unavailable, match="3 commands of yours are waiting already"):
            await crowd.workers.run("alice", crowd.wait, nothing)
        crowd.start(group, crowd.wait, "bob")
        await until(lambda: crowd.waiting == 4)
        with pytest.raises(Unavailable, match="Too many commands are waiting"):
            await crowd.workers.run("carol", crowd.wait, nothing)
        crowd.free.set()
    assert await crowd.workers.run("alice", crowd.wait, nothing) == 0


async def test_too_many_at_all_are_refused(crowd: Crowd) -> None:
    """For one person, and for all."""
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            crowd.start(group, crowd.work)
        await until(lambda: crowd.working == 2)
        with pytest.raises(Unavailable, match="Too much is being asked"):
            await crowd.workers.run("alice", crowd.work, nothing)
        for _ in range(2):
            crowd.start(group, crowd.work, "bob")
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="Too much is being asked"):
            await crowd.workers.run("carol", crowd.work, nothing)
        crowd.free.set()


async def test_a_wait_that_raises_takes_no_turn_again(crowd: Crowd) -> None:
    """The person has left: what is left to do is little, and nobody has to wait for it."""

    def leave(place: Place) -> int:
        try:
            with place.waiting():
                raise BrokenPipeError
        except BrokenPipeError:
            return int(place._held)

    assert await crowd.workers.run("alice", leave, nothing) == 0
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            crowd.start(group, crowd.work)
        await until(lambda: crowd.working == 2)
        crowd.free.set()


async def test_what_a_verb_raises_comes_out_and_frees_its_place(crowd: Crowd) -> None:
    """Five mistakes, and two places: the sixth verb works."""

    def mistaken(_: Place) -> int:
        raise RuntimeError("a mistake")

    for _ in range(5):
        with pytest.raises(RuntimeError, match="a mistake"):
            await crowd.workers.run("alice", mistaken, nothing)
    crowd.free.set()
    assert await crowd.workers.run("alice", crowd.work, nothing) == 0


async def test_the_end_stops_what_waits_and_refuses_what_comes(crowd: Crowd) -> None:
    """Each is told once to stop."""
    async with asyncio.TaskGroup() as group:
        crowd.start(group, crowd.wait)
        await until(lambda: crowd.waiting == 1)
        crowd.workers.close()
    with pytest.raises(Unavailable, match="going down"):
        await crowd.workers.run("alice", crowd.work, nothing)


async def test_who_stays_takes_no_place_of_those_who_wait_or_work(crowd: Crowd) -> None:
    """Three watch, four wait, two work, all at once."""
    async with asyncio.TaskGroup() as group:
        for who in ("alice", "alice", "bob"):
            crowd.start(group, crowd.watch, who)
        await until(lambda: crowd.waiting == 3)
        for who in ("alice", "alice", "alice", "bob"):
            crowd.start(group, crowd.wait, who)
        await until(lambda: crowd.waiting == 7)
        for _ in range(2):
            crowd.start(group, crowd.work, "bob")
        await until(lambda: crowd.working == 2)
        crowd.free.set()


async def test_too_many_that_stay_are_refused_for_one_person_and_for_all(crowd: Crowd) -> None:
    """A sentence each; what ended makes room again."""
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            crowd.start(group, crowd.watch)
        await until(lambda: crowd.waiting == 2)
        with pytest.raises(Unavailable, match="2 commands of yours follow recordings already"):
            await crowd.workers.run("alice", crowd.watch, nothing)
        crowd.start(group, crowd.watch, "bob")
        await until(lambda: crowd.waiting == 3)
        with pytest.raises(Unavailable, match="Too many recordings are being followed already"):
            await crowd.workers.run("carol", crowd.watch, nothing)
        crowd.free.set()
    assert await crowd.workers.run("alice", crowd.watch, nothing) == 0


async def test_who_has_waited_and_then_stays_waits_no_more(crowd: Crowd) -> None:
    """Its place among those who wait is another's."""

    def watch_at_last(place: Place) -> int:
        with place.waiting():
            pass
        return crowd.watch(place)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            crowd.start(group, watch_at_last)
        await until(lambda: crowd.waiting == 2)
        for _ in range(3):
            crowd.start(group, crowd.wait)
        await until(lambda: crowd.waiting == 5)
        crowd.free.set()


async def test_those_who_read_take_turns(crowd: Crowd) -> None:
    """One at a time, and a piece of each, however long both go on."""
    begun = threading.Barrier(2)
    busy = threading.Lock()
    told: list[str] = []

    def read(name: str, place: Place) -> int:
        begun.wait(5)
        place.settle(Stay.READING)
        while len(told) < 5000 and min(map(told.count, "ab")) <= 10:
            with_another = not busy.acquire(blocking=False)
            told.append("both" if with_another else name)
            busy.release()
            place.breathe()
        return 0

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b"):
            crowd.start(group, partial(read, name))
    assert set(told) == {"a", "b"}
    assert min(map(told.count, "ab")) > 10
