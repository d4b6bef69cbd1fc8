"""Delivering: in order, again and again, without hammering, and never twice what was taken."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.clock import Clock
from bastion.delivering import Channel, Courier, backoff, unhurried
from bastion.errors import Unavailable
from bastion.notices import Answer, Draft, Group, Message, Notice, Subscription
from bastion.store import Store
from bastion.store.outbox import Outbox
from tests.bastion.worlds import NOW, SECOND

OK = Answer(True, "answered 200")
DOWN = Answer(False, "answered 500")
REFUSED = Answer(False, "answered 400", refused=True)


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = NOW
        self.clock = Clock(lambda: self.at, self._since_boot)

    def _since_boot(self) -> float:
        return (self.at - NOW).total_seconds()

    def on(self, seconds: float) -> None:
        """Time passes."""
        self.at += timedelta(seconds=seconds)


class Letterbox:
    """A way that keeps the titles of what it takes, and when; `say` decides what it answers."""

    def __init__(self, say: Callable[[str], Answer] = lambda _: OK) -> None:
        self.say = say
        self.taken: list[str] = []
        self.tried: list[tuple[datetime, str]] = []

    async def send(self, message: Message, now: datetime) -> Answer:
        """Take it, or not."""
        self.tried.append((now, message.title))
        answer = self.say(message.title)
        if answer.ok:
            self.taken.append(message.title)
        return answer


@pytest.fixture
def outbox(store: Store) -> Outbox:
    """An empty outbox."""
    return Outbox(store)


@pytest.fixture
def hands() -> Hands:
    """The time."""
    return Hands()


def write(outbox: Outbox, *titles: str, channel: str = "ops") -> None:
    """Messages with these titles, in this order."""
    made = [Notice(title, "x", Group.REQUESTS, NOW, title, ()) for title in titles]
    outbox.keep([Draft(channel, each.key, each.body(channel)) for each in made], NOW)


def courier(outbox: Outbox, box: Letterbox, hands: Hands, channel: str = "ops") -> Courier:
    """A new courier, as after a restart."""
    way = Channel(Subscription(channel), box)
    return Courier(outbox, way, hands.clock, lambda: 0.0)


async def run(one: Courier, hands: Hands, seconds: float) -> None:
    """Let a courier work for a while, as the loop would: it is asked again when it said so."""
    end = hands.at + timedelta(seconds=seconds)
    while hands.at < end:
        left = await one.deliver()
        hands.on(min(left, (end - hands.at).total_seconds()))
    await one.deliver()


async def test_messages_go_in_the_order_in_which_they_were_made(
    outbox: Outbox, hands: Hands
) -> None:
    """Also more than are read at once; and nothing else is done."""
    box = Letterbox()
    titles = [f"m{number:03}" for number in range(120)]
    write(outbox, *titles)
    write(outbox, "other", channel="pager")
    assert await courier(outbox, box, hands).deliver() == 60
    assert box.taken == titles
    assert [each.channel for each in outbox.waiting()] == ["pager"]


@given(st.integers(0, 100), st.floats(0, 1))
def test_waits_grow_to_an_hour_and_are_spread(times: int, spread: float) -> None:
    """5 s, 10 s, 20 s …, each up to a quarter longer."""
    wait = backoff(times, spread)
    assert backoff(times, 0) <= wait <= backoff(times, 0) * 1.25
    assert timedelta(seconds=5) <= wait <= timedelta(hours=1.25)
    assert backoff(times, 0) <= backoff(times + 1, 0)


def test_the_first_waits() -> None:
    """As they are documented."""
    seconds = [backoff(times, 0) / SECOND for times in range(1, 12)]
    assert seconds == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]


async def test_a_place_that_is_down_for_an_hour_loses_nothing_and_is_left_alone(
    outbox: Outbox, hands: Hands
) -> None:
    """Twenty messages wait: about twenty tries in the hour and not hundreds; then all, in order."""
    box = Letterbox(lambda _: DOWN)
    titles = [f"m{number:02}" for number in range(20)]
    write(outbox, *titles)
    one = courier(outbox, box, hands)
    await run(one, hands, 3600)
    assert box.taken == []
    assert len(box.tried) < 25
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(box.tried)]
    assert min(gaps) >= timedelta(seconds=5)
    box.say = lambda _: OK
    untried = [title for title in titles if title not in {each for _, each in box.tried}]
    await run(one, hands, 330)
    assert sorted(box.taken) == titles
    assert [title for title in box.taken if title in untried] == untried
    assert outbox.waiting() == []


async def test_a_short_outage_keeps_the_order(outbox: Outbox, hands: Hands) -> None:
    """The first is tried again before those behind it are begun."""
    box = Letterbox(lambda _: DOWN)
    write(outbox, "a", "b", "c")
    one = courier(outbox, box, hands)
    await run(one, hands, 30)
    assert {title for _, title in box.tried} == {"a"}
    box.say = lambda _: OK
    await run(one, hands, 60)
    assert box.taken == ["a", "b", "c"]


async def test_a_new_courier_goes_on_where_the_one_before_was(outbox: Outbox, hands: Hands) -> None:
    """After a restart nothing is sent again, and what was put off stays put off."""
    box = Letterbox(lambda title: DOWN if title == "b" else OK)
    write(outbox, "a", "b", "c")
    await courier(outbox, box, hands).deliver()
    for _ in range(5):
        await courier(outbox, box, hands).deliver()
    assert [title for _, title in box.tried] == ["a", "b"]
    box.say = lambda _: OK
    hands.on(5)
    await courier(outbox, box, hands).deliver()
    assert box.taken == ["a", "b", "c"]


async def test_a_message_that_can_not_be_taken_holds_up_no_other(
    outbox: Outbox, hands: Hands
) -> None:
    """Whether the place says so, or falls over it each time."""
    for answer, soon in ((REFUSED, 1), (DOWN, 100)):
        box = Letterbox(lambda title, said=answer: said if title.startswith("bad") else OK)  # type: ignore[misc]
        name = f"good {answer.said}"
        write(outbox, f"bad {answer.said}", name)
        await run(courier(outbox, box, hands), hands, soon)
        assert box.taken == [name]


async def test_a_message_that_can_not_be_taken_is_tried_less_and_less(
    outbox: Outbox, hands: Hands
) -> None:
    """Others come and go meanwhile: each success is no reason to try the bad one again."""
    box = Letterbox(lambda title: REFUSED if title == "bad" else OK)
    write(outbox, "bad")
    one = courier(outbox, box, hands)
    for number in range(60):
        write(outbox, f"good {number}")
        await run(one, hands, 60)
    assert len(box.taken) == 60
    assert sum(title == "bad" for _, title in box.tried) < 9


async def test_a_place_that_refuses_everything_is_left_alone_too(
    outbox: Outbox, hands: Hands
) -> None:
    """A form that it never takes must not bring it a thousand posts at once."""
    box = Letterbox(lambda _: REFUSED)
    write(outbox, *(f"m{number}" for number in range(200)))
    await run(courier(outbox, box, hands), hands, 600)
    assert len(box.tried) < 15


async def test_after_an_outage_what_was_put_off_is_due_at_once(
    outbox: Outbox, hands: Hands
) -> None:
    """It would have waited for most of an hour; a new one gets through, and so does it."""
    box = Letterbox(lambda _: DOWN)
    write(outbox, "old")
    one = courier(outbox, box, hands)
    await run(one, hands, 3 * 3600)
    tries = len(box.tried)
    assert tries < 16
    box.say = lambda _: OK
    write(outbox, "new")
    await run(one, hands, 301)
    assert box.taken == ["new", "old"]


async def test_a_place_that_asks_for_patience_gets_it(outbox: Outbox, hands: Hands) -> None:
    """Retry-After holds for the whole channel."""
    later = Answer(False, "answered 429", wait=timedelta(minutes=10))
    box = Letterbox(lambda _: later)
    write(outbox, "a", "b")
    one = courier(outbox, box, hands)
    await run(one, hands, 599)
    assert len(box.tried) == 1
    box.say = lambda _: OK
    await run(one, hands, 2)
    assert box.taken == ["a", "b"]


async def test_a_clock_that_was_set_back_puts_nothing_off(outbox: Outbox, hands: Hands) -> None:
    """The process begins anew, a day earlier: what waits for tomorrow is due."""
    box = Letterbox(lambda _: DOWN)
    write(outbox, "a")
    hands.on(86_400)
    await courier(outbox, box, hands).deliver()
    box.say = lambda _: OK
    await courier(outbox, box, Hands()).deliver()
    assert box.taken == ["a"]


async def test_what_was_taken_is_not_sent_again_though_it_could_not_be_noted(
    outbox: Outbox, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away in that very moment; when it is back it is told first."""
    box = Letterbox()
    write(outbox, "a", "b")
    one = courier(outbox, box, hands)

    def away(*_: object) -> None:
        raise Unavailable("The database is busy.")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "done", away)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await one.deliver()
    assert box.taken == ["a"]
    await one.deliver()
    assert box.taken == ["a", "b"]
    assert outbox.waiting() == []


async def test_a_message_that_can_not_even_be_read_is_put_aside(
    outbox: Outbox, hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    """A row of another version, or a mistake of ours: logged, and the next one goes."""
    outbox.keep([Draft("ops", "broken", {"id": "x"})], NOW)
    write(outbox, "a")
    box = Letterbox()
    await courier(outbox, box, hands).deliver()
    assert box.taken == ["a"]
    assert "broken" in caplog.text
    (left,) = outbox.troubled()
    assert left.error == "it can't be sent as it is: see the server's log"


async def test_what_is_on_its_way_when_the_process_ends_is_waited_for(
    outbox: Outbox, hands: Hands
) -> None:
    """It arrives, and is noted: a restart does not send it again."""
    begun, answer = asyncio.Event(), asyncio.Event()
    box = Letterbox()

    class Slow:
        """A way that takes its time."""

        async def send(self, message: Message, now: datetime) -> Answer:
            begun.set()
            await answer.wait()
            return await box.send(message, now)

    write(outbox, "a", "b")
    one = Courier(outbox, Channel(Subscription("ops"), Slow()), hands.clock, lambda: 0.0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(one.keep_delivering())
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        answer.set()
    assert box.taken == ["a"]
    await courier(outbox, box, hands).deliver()
    assert box.taken == ["a", "b"]


async def test_nobody_waits_for_ever_when_the_process_ends() -> None:
    """After the grace it is cut off, and will be sent again."""
    cut = asyncio.Event()

    async def endless() -> bool:
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()
        return True

    async with asyncio.TaskGroup() as group:
        task = group.create_task(unhurried(endless(), 0.05))
        await asyncio.sleep(0)
        task.cancel()
    assert cut.is_set()
    assert task.cancelled()


async def test_a_hanging_channel_blocks_nobody(outbox: Outbox, hands: Hands) -> None:
    """Each has its own courier; the loop wakes them."""
    hung, box, arrived = asyncio.Event(), Letterbox(), asyncio.Event()

    class Hangs:
        """A way that never answers."""

        async def send(self, message: Message, now: datetime) -> Answer:
            hung.set()
            await asyncio.Event().wait()
            return OK

    class Arrives:
        """A way that says when."""

        async def send(self, message: Message, now: datetime) -> Answer:
            arrived.set()
            return await box.send(message, now)

    stuck = Courier(outbox, Channel(Subscription("stuck"), Hangs()), hands.clock, lambda: 0.0)
    other = Courier(outbox, Channel(Subscription("ops"), Arrives()), hands.clock, lambda: 0.0)
    write(outbox, "a", channel="stuck")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.keep_delivering()) for each in (stuck, other)]
        await asyncio.wait_for(hung.wait(), 10)
        assert not arrived.is_set()
        write(outbox, "b")
        other.wake()
        await asyncio.wait_for(arrived.wait(), 10)
        for task in tasks:
            task.cancel()
    assert box.taken == ["b"]
