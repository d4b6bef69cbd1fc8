"""Telling: from what happens, and from time, to what arrives; each once, also over restarts."""

import asyncio
import dataclasses
import gc
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastion import tidings
from bastion.delivering import Channel
from bastion.events import Happened, What
from bastion.inventory import Role
from bastion.notices import Answer, Draft, Group, Subscription
from bastion.particulars import Awaited
from bastion.reminders import Timing
from bastion.requests import Approval, Request
from bastion.store import Store
from bastion.store.inbox import Inbox, Outcome
from bastion.store.journal import Journal
from bastion.store.outbox import Outbox
from bastion.telling import Teller
from bastion.windows import parse_window
from tests.bastion.test_delivering import Hands, Letterbox
from tests.bastion.tidings import person, request
from tests.bastion.worlds import BOB, HOUR, NOW, ROOT, grant, host, user

MINUTE = timedelta(minutes=1)
LEADS = Awaited(("one of @leads",), ("bob",))


class Town:
    """A store with alice, bob and prod-host, time, and channels; all has been told so far."""

    def __init__(self, store: Store, *subscriptions: Subscription) -> None:
        self.store = store
        self.outbox = Outbox(store)
        self.hands = Hands()
        self.boxes = {each.channel: Letterbox() for each in subscriptions}
        self.subscriptions = subscriptions
        self.awaited: Callable[[Request], Awaited] = lambda _: LEADS
        self.begin()

    def begin(self) -> None:
        """A new teller on the same database, as after a restart."""
        channels = [Channel(each, self.boxes[each.channel]) for each in self.subscriptions]
        self.teller = Teller(
            self.outbox,
            channels,
            self.hands.clock,
            Timing(),
            self._awaited,
            spread=lambda: 0.0,
        )

    def _awaited(self, asked: Request) -> Awaited:
        return self.awaited(asked)

    async def work(self) -> None:
        """One look, and whatever is due is delivered."""
        await self.teller.plan()
        for courier in self.teller.couriers:
            await courier.deliver()

    async def later(self, minutes: float, *, steps: int = 1) -> None:
        """Time passes, with a look now and then."""
        for _ in range(steps):
            self.hands.on(minutes * 60 / steps)
            await self.work()

    def heard(self, channel: str = "ops") -> list[str]:
        """What a channel has taken since this was asked last."""
        taken, self.boxes[channel].taken = self.boxes[channel].taken, []
        return taken

    def ask(self, asked: Request | None = None) -> Request:
        """alice asks."""
        made = dataclasses.replace(asked or request(), asked_at=self.hands.at)
        return Inbox(self.store).add(made, ROOT, self.hands.at).request


OPS = Subscription("ops")
PAGER = Subscription("pager", escalate=True)


@pytest.fixture
async def town(peopled: Store) -> Town:
    """A town whose first three accounts and hosts have been told."""
    made = Town(peopled, OPS)
    await made.work()
    assert made.heard() == [
        "The account alice was added by os:root",
        "The account bob was added by os:root",
        "The host prod-host was added by os:root",
    ]
    return made


async def test_the_story_of_a_request(town: Town) -> None:
    """Asked, brought up again, approved, about to end, ended: each is told once."""
    asked = town.ask()
    await town.work()
    assert town.heard() == ["R-1: alice asks for prod-host as deploy for 2h"]
    await town.later(14)
    assert town.heard() == []
    await town.later(10, steps=20)
    assert town.heard() == ["R-1 of alice still waits, for 15m now"]
    given = dataclasses.replace(
        grant(starts_at=town.hands.at, ends_at=town.hands.at + 2 * HOUR), approved_by=("bob",)
    )
    yes = Approval("bob", town.hands.at)
    inbox = Inbox(town.store)
    inbox.approve(asked.id, BOB, town.hands.at, lambda _: (yes, Outcome(given)))
    await town.work()
    assert town.heard() == ["G-1: alice may reach prod-host as deploy until 2026-11-23 14:24 UTC"]
    await town.later(104)
    assert town.heard() == []
    await town.later(15, steps=30)
    assert town.heard() == ["G-1 of alice ends at 2026-11-23 14:24 UTC"]
    await town.later(20, steps=30)
    assert town.heard() == ["G-1 of alice is over since 2026-11-23 14:24 UTC"]
    await town.later(600, steps=30)
    assert town.heard() == []


async def test_nobody_answers(peopled: Store) -> None:
    """Brought up again, then told to others too, then stale; each once, whatever is restarted."""
    town = Town(peopled, OPS, PAGER)
    await town.work()
    town.heard()
    town.ask()
    for _ in range(100):
        town.begin()
        await town.later(15)
    assert town.heard() == [
        "R-1: alice asks for prod-host as deploy for 2h",
        "R-1 of alice still waits, for 15m now",
        "R-1 of alice is UNANSWERED for 1h",
        "R-1 of alice has gone stale: nobody decided in time",
    ]
    assert town.heard("pager") == ["R-1 of alice is UNANSWERED for 1h"]


async def test_while_nobody_was_there_time_went_on(town: Town) -> None:
    """What ended meanwhile is told late, what was about to end is not told any more."""
    town.store.add_grant(grant(ends_at=NOW + HOUR), BOB, NOW)
    town.ask()
    town.hands.on(3 * 3600)
    town.begin()
    await town.work()
    assert town.heard() == [
        "G-1: alice may reach prod-host as deploy until 2026-11-23 13:00 UTC",
        "R-1: alice asks for prod-host as deploy for 2h",
        "G-1 of alice is over since 2026-11-23 13:00 UTC",
        "R-1 of alice is UNANSWERED for 3h",
    ]


async def test_a_grant_that_is_extended_is_told_of_again(town: Town) -> None:
    """It has a new end; and one that is revoked has none."""
    first = town.store.add_grant(grant(ends_at=NOW + HOUR), BOB, NOW)
    await town.later(50)
    assert town.heard()[1:] == ["G-1 of alice ends at 2026-11-23 13:00 UTC"]
    asked = dataclasses.replace(request(), extends=first.id, asked_at=town.hands.at)
    outcome = Outcome(until=NOW + 2 * HOUR)
    Inbox(town.store).add(asked, BOB, town.hands.at, lambda _: (None, outcome))
    await town.later(20, steps=10)
    assert town.heard() == ["G-1 of alice now lasts until 2026-11-23 14:00 UTC"]
    await town.later(45, steps=10)
    assert town.heard() == ["G-1 of alice ends at 2026-11-23 14:00 UTC"]
    town.store.revoke_grant(first.id, BOB, "laptop lost", town.hands.at)
    await town.later(60, steps=10)
    assert town.heard() == ["G-1 of alice was revoked"]


async def test_a_window_closes_for_the_last_time(town: Town) -> None:
    """The day's end is no end; the last one is."""
    windowed = dataclasses.replace(
        grant(ends_at=NOW + 40 * HOUR), window=parse_window("mon-tue", "09:00-18:00", None)
    )
    town.store.add_grant(windowed, BOB, NOW)
    await town.later(60 * 12, steps=100)
    assert town.heard()[1:] == []
    await town.later(60 * 28, steps=200)
    assert town.heard() == [
        "G-1 of alice ends at 2026-11-24 18:00 UTC",
        "G-1 of alice is over since 2026-11-24 18:00 UTC",
    ]


async def test_break_glass_is_told_everywhere_until_somebody_has_looked(peopled: Store) -> None:
    """Also where only failures are wanted, and where only what is unanswered is."""
    deaf = Subscription("deaf", frozenset({Group.FAILURES}))
    town = Town(peopled, deaf, PAGER)
    await town.work()
    taken = town.store.add_grant(dataclasses.replace(grant(), emergency=True), BOB, NOW)
    await town.work()
    loud = "BREAK-GLASS: alice took access to prod-host as deploy (G-1)"
    assert town.heard("deaf") == [loud]
    assert town.heard("pager") == [loud]
    await town.later(3 * 1440, steps=3 * 24)
    again = "G-1, the break-glass of alice, has not been reviewed yet"
    assert town.heard("pager") == [again] * 3
    town.store.review_grant(taken.id, ROOT, "fine", town.hands.at)
    await town.later(2 * 1440, steps=10)
    assert town.heard("pager") == []


async def test_mail_goes_to_those_who_may_decide(store: Store) -> None:
    """Each of them has a letter of their own; the requester hears what came of it."""
    for each in (person("alice"), person("bob", Role.APPROVER), person("eve", Role.APPROVER)):
        store.add_user(each, ROOT, NOW)
    mail = Subscription("mail", frozenset({Group.REQUESTS, Group.DECISIONS}), to=("approvers",))
    both = dataclasses.replace(mail, channel="both", to=("approvers", "requester"))
    town = Town(store, mail, both)
    town.awaited = lambda _: Awaited(("two of @leads",), ("bob", "eve"))
    asked = town.ask()
    await town.teller.plan()
    assert _to(town, "mail") == ["bob@example.org", "eve@example.org"]
    assert _to(town, "both") == ["bob@example.org", "eve@example.org"]
    await town.work()
    Inbox(store).deny(asked.id, BOB, "not today", NOW)
    town.awaited = lambda _: Awaited()
    await town.teller.plan()
    assert _to(town, "mail") == ["bob@example.org"]
    assert _to(town, "both") == ["bob@example.org", "alice@example.org"]


def _to(town: Town, channel: str) -> list[object]:
    return [each.body["to"] for each in town.outbox.next_of(channel)]


async def test_a_channel_that_comes_later_is_not_told_the_past(peopled: Store) -> None:
    """Without a channel the log is read on; but what waits for an answer now is told."""
    nobody = Town(peopled)
    await nobody.work()
    nobody.ask()
    nobody.store.add_grant(grant(ends_at=NOW + MINUTE), BOB, NOW)
    await nobody.later(20)
    town = Town(peopled, OPS)
    town.hands.on(20 * 60)
    await town.work()
    assert town.heard() == ["R-1 of alice still waits, for 20m now"]


async def test_a_mistake_of_ours_holds_up_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An event that can't be worded is told by its bare name, and those behind it as ever."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(tidings._WORDS, What.HOST_ADDED, broken)
    town.awaited = broken  # type: ignore[assignment]
    town.store.add_host(host("web"), ROOT, NOW)
    town.ask()
    await town.work()
    assert town.heard() == [
        "E-4: host.added, by os:root",
        "R-1: alice asks for prod-host as deploy for 2h",
    ]
    assert "can't be worded" in caplog.text
    assert "whom R-1 waits for can't be told" in caplog.text


async def test_what_nobody_takes_is_given_up_and_told_to_others(peopled: Store) -> None:
    """After three days; the channel that was away hears of it too, and that is all."""
    town = Town(peopled, OPS, Subscription("other", frozenset({Group.FAILURES})))
    away = Answer(False, "answered 500")
    town.boxes["ops"].say = lambda _: away
    await town.later(4 * 1440, steps=150)
    lost = "Messages were given up: nobody took them for days"
    assert town.heard("other") == [lost]
    town.boxes["ops"].say = lambda _: Answer(True, "ok")
    await town.later(120, steps=100)
    assert town.heard() == [lost]
    assert len(town.outbox.troubled()) == 3
    await town.later(40 * 1440, steps=50)
    assert town.outbox.troubled() == []


async def test_what_waited_while_the_bastion_was_down_gets_its_chance(town: Town) -> None:
    """A week later it is old, and is sent before anybody gives it up."""
    town.ask()
    await town.teller.plan()
    town.hands.on(7 * 86_400)
    town.begin()
    await town.work()
    assert town.heard()[0] == "R-1: alice asks for prod-host as deploy for 2h"
    assert town.outbox.troubled() == []


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("EEEPDRX"), max_size=40), st.integers(0, 2**32))
def test_however_it_is_interrupted_each_event_arrives_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, acts: Sequence[str], seed: int
) -> None:
    """Events, looks, deliveries, restarts, outages in any order: none lost, none twice."""
    directory = tmp_path_factory.mktemp("town")
    asyncio.run(_interrupted(directory, acts, random.Random(seed)))  # noqa: S311


async def _interrupted(directory: Path, acts: Sequence[str], dice: random.Random) -> None:
    store = Store.open(f"sqlite:///{directory}/bastion.db", migrate=True)
    try:
        town, told = Town(store, OPS, Subscription("other")), 0
        down = Answer(False, "answered 500")
        for act in acts:
            if act == "E":
                told += 1
                store.tell(Happened(What.HOST_REMOVED, "bob", host=f"web-{told}"), town.hands.at)
            elif act == "P":
                await town.teller.plan()
            elif act == "D":
                await town.teller.couriers[dice.randrange(2)].deliver()
            elif act == "R":
                town.begin()
            else:
                town.boxes["ops"].say = lambda _: down
                await town.work()
                town.boxes["ops"].say = lambda _: Answer(True, "ok")
            town.hands.on(dice.random() * 30)
        await town.later(30, steps=30)
        expected = [f"The host web-{number} was removed by bob" for number in range(1, told + 1)]
        for box in town.boxes.values():
            assert Counter(box.taken) == Counter(expected)
        assert town.boxes["other"].taken == expected
    finally:
        store.close()


async def test_ten_thousand_events_behind_are_worked_off_in_batches(town: Town) -> None:
    """Every tenth is told; what is in memory at once does not grow with them."""
    loud, quiet = What.HOST_REMOVED, What.CONNECTION_OPENED
    journal = Journal(town.store)
    for part in range(10):
        happened = [
            (Happened(quiet if number % 10 else loud, "bob", host=f"h{part}-{number}"), NOW)
            for number in range(1000)
        ]
        journal.tell_all(happened)
    gc.collect()
    tracemalloc.start()
    await town.teller.plan()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16_000_000
    assert len(town.outbox.next_of("ops", 5000)) == 1000
    await town.work()
    assert len(set(town.boxes["ops"].taken)) == 1000
    assert town.boxes["ops"].taken[0] == "The host h0-0 was removed by bob"
    assert town.boxes["ops"].taken[-1] == "The host h9-990 was removed by bob"


async def test_two_tellers_on_one_database_tell_it_once(town: Town) -> None:
    """A second server by mistake: whoever is second finds it done."""
    first = town.teller
    town.begin()
    town.store.add_user(user("carol"), ROOT, NOW)
    results = await asyncio.gather(first.plan(), town.teller.plan(), return_exceptions=True)
    assert len(results) == 2
    await first.plan()
    await town.work()
    assert town.heard() == ["The account carol was added by os:root"]


async def test_it_tells_until_it_is_cancelled(town: Town) -> None:
    """As a task of the server: what happens is told within a second or two."""
    arrived = asyncio.Event()
    box = town.boxes["ops"]

    def say(_: str) -> Answer:
        arrived.set()
        return Answer(True, "ok")

    box.say = say
    async with asyncio.TaskGroup() as group:
        task = group.create_task(town.teller.keep_telling())
        town.store.add_user(user("carol"), ROOT, NOW)
        await asyncio.wait_for(arrived.wait(), 10)
        task.cancel()
    assert town.heard() == ["The account carol was added by os:root"]
    assert [each.key for each in town.outbox.waiting()] == []


async def test_a_message_for_a_channel_that_is_gone_waits_and_is_given_up(town: Town) -> None:
    """Somebody took it out of the settings: it says so in the list."""
    town.outbox.keep([Draft("gone", "E-1", {"type": "host.added"})], NOW)
    await town.later(4 * 1440, steps=96)
    (lost,) = [each for each in town.outbox.troubled() if each.channel == "gone"]
    assert "the channel is not in bastion.toml" in (lost.error or "")
