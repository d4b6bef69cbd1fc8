"""The chronicle: few transactions, nothing forgotten, and what had to be is said."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import pytest

from bastion import chronicle as rooms
from bastion.chronicle import MOST, TOGETHER, Chronicle
from bastion.errors import Unavailable
from bastion.events import Happened, What
from bastion.store import Store
from bastion.store.journal import Journal
from tests.bastion.logs import Ticking
from tests.bastion.worlds import NOW


class Book:
    """What the store would keep, in transactions; away while `away` is set, slow while held."""

    def __init__(self) -> None:
        self.transactions: list[list[Happened]] = []
        self.tries = 0
        self.away = False
        self.bad: frozenset[str] = frozenset()
        self.turn = threading.Event()
        self.turn.set()
        self.writing = threading.Event()
        self._grown = threading.Condition()

    def tell_all(self, told: Sequence[tuple[Happened, datetime]]) -> None:
        """One transaction."""
        self.tries += 1
        self.writing.set()
        assert self.turn.wait(10)
        if self.away:
            raise Unavailable("The database is busy.")
        if any(happened.actor in self.bad for happened, _ in told):
            raise TypeError("nothing that can be kept")
        with self._grown:
            self.transactions.append([happened for happened, _ in told])
            self._grown.notify_all()

    def wait_for(self, count: int) -> None:
        """Until so many are kept."""
        with self._grown:
            self._grown.wait_for(lambda: len(self.kept) >= count, 10)

    @property
    def kept(self) -> list[str]:
        """Who did what is kept, in its order."""
        return [happened.actor for each in self.transactions for happened in each]


@pytest.fixture
def book() -> Book:
    """An empty one."""
    return Book()


@asynccontextmanager
async def keeping(book: Book) -> AsyncIterator[Chronicle]:
    """A chronicle that is kept."""
    chronicle = Chronicle(book.tell_all, Ticking())
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(chronicle.keep())
        try:
            yield chronicle
        finally:
            book.turn.set()
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            await chronicle.close()


def done_by(actor: object) -> Happened:
    """Something that somebody did."""
    return Happened(What.DOOR_REFUSED, str(actor))


async def until(book: Book, count: int) -> None:
    """Wait until so many are kept."""
    async with asyncio.timeout(10):
        await asyncio.to_thread(book.wait_for, count)


async def test_what_was_awaited_is_kept(book: Book) -> None:
    """When `tell` returns."""
    async with keeping(book) as chronicle:
        await chronicle.tell(done_by("alice"))
        assert book.kept == ["alice"]


async def test_those_who_come_together_share_a_transaction(book: Book) -> None:
    """What is told while one is written goes into the next; the order is theirs."""
    async with keeping(book) as chronicle:
        book.turn.clear()
        chronicle.tell_soon(done_by("first"))
        await asyncio.to_thread(book.writing.wait, 10)
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(chronicle.tell(done_by(number)))
            await asyncio.sleep(0)
            book.turn.set()
    assert [len(each) for each in book.transactions] == [1, 100]
    assert book.kept == ["first", *map(str, range(100))]


async def test_no_transaction_is_too_large(book: Book) -> None:
    """Others want to write as well."""
    async with keeping(book) as chronicle:
        for number in range(TOGETHER * 2 + 1):
            chronicle.tell_soon(done_by(number))
        await until(book, TOGETHER * 2 + 1)
    assert [len(each) for each in book.transactions] == [TOGETHER, TOGETHER, 1]


async def test_each_has_the_time_at_which_it_was_told(store: Store) -> None:
    """Not the one of the transaction."""
    journal = Journal(store)
    clock = Ticking()
    chronicle = Chronicle(journal.tell_all, clock)
    for number in range(3):
        chronicle.tell_soon(done_by(number))
    await chronicle.close()
    times = [(event.at - NOW).total_seconds() for event in journal.after(0)]
    assert times == [1, 2, 3]


async def test_nothing_is_lost_while_the_database_is_away(
    book: Book, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again, in the same order; whoever waits hears at once."""
    monkeypatch.setattr(rooms, "AGAIN", 0.01)
    async with keeping(book) as chronicle:
        book.away = True
        chronicle.tell_soon(done_by("one"))
        chronicle.tell_soon(done_by("two"))
        with pytest.raises(Unavailable, match="busy"):
            await chronicle.tell(done_by("waits"))
        chronicle.tell_soon(done_by("three"))
        book.away = False
        await until(book, 3)
    assert book.kept == ["one", "two", "three"]
    assert "events can't be written: The database is busy." in caplog.text


async def test_one_that_can_not_be_written_does_not_hold_up_the_others(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named in the log, and counted in the log of events."""
    book.bad = frozenset({"two", "five"})
    async with keeping(book) as chronicle:
        book.turn.clear()
        for name in ("one", "two", "three"):
            chronicle.tell_soon(done_by(name))
        waits = asyncio.gather(
            chronicle.tell(done_by("four")), chronicle.tell(done_by("five")), return_exceptions=True
        )
        await asyncio.sleep(0)
        book.turn.set()
        four, five = await waits
        await chronicle.tell(done_by("six"))
    assert four is None
    assert isinstance(five, TypeError)
    assert [name for name in book.kept if name != "bastion"] == ["one", "three", "four", "six"]
    (gap,) = (each for kept in book.transactions for each in kept if each.actor == "bastion")
    assert (gap.what, gap.details["count"]) == (What.EVENTS_LOST, 1)
    assert "actor='two'" in caplog.text


async def test_what_waits_is_bounded(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    """The oldest are let go, and it is said which and how many."""
    caplog.set_level(logging.CRITICAL, logger="bastion.chronicle")
    chronicle = Chronicle(book.tell_all, Ticking())
    for number in range(MOST + 7):
        chronicle.tell_soon(done_by(number))
    await chronicle.close()
    assert book.transactions[0][0].details["count"] == 7
    assert book.kept[:2] == ["bastion", "7"]
    assert len(book.kept) == MOST + 1


async def test_the_end_writes_what_is_left(book: Book) -> None:
    """Also what was being written when it was called off."""
    chronicle = Chronicle(book.tell_all, Ticking())
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(chronicle.keep())
        book.turn.clear()
        chronicle.tell_soon(done_by("under way"))
        await asyncio.to_thread(book.writing.wait, 10)
        chronicle.tell_soon(done_by("left"))
        keeper.cancel()
        await asyncio.sleep(0)
        book.turn.set()
    await chronicle.close()
    assert book.kept == ["under way", "left"]


async def test_what_was_under_way_at_the_end_is_tried_again(book: Book) -> None:
    """Where it failed: it was not forgotten with the task that wrote it."""
    chronicle = Chronicle(book.tell_all, Ticking())
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(chronicle.keep())
        book.turn.clear()
        book.away = True
        chronicle.tell_soon(done_by("under way"))
        await asyncio.to_thread(book.writing.wait, 10)
        keeper.cancel()
        await asyncio.sleep(0)
        book.turn.set()
    book.away = False
    await chronicle.close()
    assert book.kept == ["under way"]


async def test_the_end_waits_for_what_is_under_way(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    """Though nothing else is left: if that fails, it is tried again, and said."""
    chronicle = Chronicle(book.tell_all, Ticking())
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(chronicle.keep())
        book.turn.clear()
        book.away = True
        chronicle.tell_soon(done_by("under way"))
        await asyncio.to_thread(book.writing.wait, 10)
        keeper.cancel()
        closing = group.create_task(chronicle.close())
        await asyncio.sleep(0)
        book.turn.set()
        await closing
    assert "an event was lost" in caplog.text
    assert "actor='under way'" in caplog.text


async def test_what_can_not_be_written_at_the_end_is_said(
    book: Book, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends all the same; who waits hears, and nothing can be told any more."""
    book.away = True
    chronicle = Chronicle(book.tell_all, Ticking())
    chronicle.tell_soon(done_by("alice"))
    await chronicle.close()
    assert "actor='alice'" in caplog.text
    with pytest.raises(Unavailable, match="going down"):
        await chronicle.tell(done_by("bob"))
    chronicle.tell_soon(done_by("carol"))
    assert "came too late and was lost" in caplog.text
    assert "actor='carol'" in caplog.text


async def test_whoever_gives_up_waiting_takes_nothing_back(book: Book) -> None:
    """The event is kept; the others are not disturbed."""
    async with keeping(book) as chronicle:
        book.turn.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await chronicle.tell(done_by("impatient"))
        book.turn.set()
        await chronicle.tell(done_by("patient"))
    assert book.kept == ["impatient", "patient"]


async def test_nothing_is_told_twice_where_the_answer_was_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has it, and says so to nobody: it is asked before anything is told again."""
    monkeypatch.setattr(rooms, "AGAIN", 0.01)
    journal = Journal(store)
    lost: list[int] = []

    def tell_all(told: Sequence[tuple[Happened, datetime]]) -> None:
        journal.tell_all(told)
        if not lost:
            lost.append(len(told))
            raise Unavailable("The database does not answer.")

    chronicle = Chronicle(tell_all, Ticking(), journal.tell_missing)
    async with asyncio.TaskGroup() as group:
        for name in ("one", "two\0"):
            chronicle.tell_soon(done_by(name))
        keeper = group.create_task(chronicle.keep())
        async with asyncio.timeout(10):
            while not lost:  # noqa: ASYNC110 - it is another thread
                await asyncio.sleep(0.001)
        await chronicle.tell(done_by("three"))
        keeper.cancel()
    await chronicle.close()
    assert lost == [2]
    told = [event.happened.actor for event in journal.after(0)]
    assert told == ["one", "two\\x00", "three"]


async def test_what_nobody_waits_for_goes_with_what_is_waited_for(book: Book) -> None:
    """It may wait a moment for others; whoever waits does not wait for that moment."""
    chronicle = Chronicle(book.tell_all, Ticking(), soon=3600)
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(chronicle.keep())
        chronicle.tell_soon(done_by("a"))
        await asyncio.sleep(0)
        assert book.transactions == []
        async with asyncio.timeout(10):
            await chronicle.tell(done_by("b"))
        assert book.kept == ["a", "b"]
        assert len(book.transactions) == 1
        chronicle.tell_soon(done_by("c"))
        keeper.cancel()
    await chronicle.close()
    assert book.kept == ["a", "b", "c"]
