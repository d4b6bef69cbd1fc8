"""Outlets: whatever is away, nothing of the log is lost on its way out, and little comes twice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest

from bastion import outlets as rooms
from bastion.audit import Sealer, judged_by, seal_with, verified
from bastion.errors import Misconfigured, Unavailable
from bastion.notices import Group, Subscription
from bastion.outlets import (
    ChannelAnchor,
    EventOutlet,
    Outlet,
    Outlets,
    Places,
    SinkAnchor,
    cursor_name,
)
from bastion.sinks import FileSink, Item, SyslogSink
from bastion.store import Store
from bastion.store.journal import Journal
from bastion.store.outbox import Outbox
from bastion.syslog import Address, Way, parse_address
from tests.bastion import receivers
from tests.bastion.logs import SEAL, Ticking, happened
from tests.bastion.receivers import datagrams, parsed, port_of, streams
from tests.bastion.worlds import NOW


@pytest.fixture
def journal(store: Store) -> Journal:
    """The journal of an empty store."""
    return Journal(store)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody rests for long."""
    monkeypatch.setattr(rooms, "TICK", 0.01)
    monkeypatch.setattr(rooms, "FIRST", 0.01)
    monkeypatch.setattr(rooms, "REST", 0.05)


@asynccontextmanager
async def passing(journal: Journal, *outlets: Outlet) -> AsyncIterator[Outlets]:
    """A service's life, as far as its outlets are concerned."""
    kept = Outlets(journal, outlets, Ticking())
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(kept.keep())
        try:
            yield kept
        finally:
            keeper.cancel()
    await kept.finish(5)


async def until(true: Callable[[], bool]) -> None:
    """Wait until it is."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 (other threads and files do not notify)
            await asyncio.sleep(0.01)


def ids(*files: Path) -> list[int]:
    """The numbers of the lines in these files; one that is being written does not count yet."""
    found = (file.read_bytes().rpartition(b"\n")[0] for file in files if file.exists())
    return [orjson.loads(line)["id"] for lines in found for line in lines.splitlines()]


def tell(journal: Journal, count: int) -> None:
    """So many events."""
    journal.tell_all([(happened(number), NOW) for number in range(count)])


class Gone:
    """A sink that is away for some tries, and then takes half of a batch before it fails again."""

    batch = 10

    def __init__(self, outcomes: Iterable[str]) -> None:
        self.outcomes = list(outcomes)
        self.taken: list[int] = []
        self.closed = 0

    @property
    def name(self) -> str:
        """What its cursor is called."""
        return "gone"

    def send(self, items: Sequence[Item]) -> None:
        """As it was told."""
        numbers = [orjson.loads(item.entry.text)["id"] for item in items]
        match self.outcomes.pop(0) if self.outcomes else "all":
            case "none":
                raise Unavailable("It is gone.")
            case "half":
                self.taken += numbers[: len(numbers) // 2]
                raise Unavailable("It went.")
            case "bug":
                raise TypeError("nobody expected this")
            case _:
                self.taken += numbers

    def close(self) -> None:
        """Counted."""
        self.closed += 1

    def interrupt(self) -> None:
        """Nothing waits."""


async def test_a_file_gets_what_was_and_what_comes(journal: Journal, tmp_path: Path) -> None:
    """From the first event on, in order, each once."""
    file = tmp_path / "events.jsonl"
    tell(journal, 1203)
    async with passing(journal, EventOutlet(journal, FileSink(file))):
        await until(lambda: len(ids(file)) == 1203)
        tell(journal, 2)
        await until(lambda: len(ids(file)) == 1205)
    assert ids(file) == list(range(1, 1206))


async def test_another_life_goes_on_where_the_one_before_was(
    journal: Journal, tmp_path: Path
) -> None:
    """What happened in between waits in the log; what came to the very end goes out too."""
    file = tmp_path / "events.jsonl"
    for _ in range(3):
        tell(journal, 2)
        async with passing(journal, EventOutlet(journal, FileSink(file))):
            tell(journal, 3)
    assert ids(file) == list(range(1, 16))


async def test_nothing_is_lost_while_the_file_is_away(
    journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A directory stands in its place for a while; it is said once, and when it is over."""
    caplog.set_level("INFO")
    file = tmp_path / "events.jsonl"
    async with passing(journal, EventOutlet(journal, FileSink(file))):
        tell(journal, 2)
        await until(lambda: len(ids(file)) == 2)
        file.rename(tmp_path / "old")
        file.mkdir()
        tell(journal, 2)
        await until(lambda: "can't be written" in caplog.text)
        tell(journal, 2)
        await asyncio.sleep(0.1)
        file.rmdir()
        await until(lambda: file.is_file() and len(ids(file)) == 4)
        await until(lambda: "passed on again" in caplog.text)
    assert ids(tmp_path / "old", file) == [1, 2, 3, 4, 5, 6]
    assert caplog.text.count("can't be written") == 1
    assert caplog.text.count("passed on again") == 1


async def test_what_was_taken_before_it_failed_comes_twice_at_most(journal: Journal) -> None:
    """A batch is sent again as a whole, and no more than that."""
    sink = Gone(["half", "none", "half", "bug"])
    tell(journal, 25)
    async with passing(journal, EventOutlet(journal, sink)):
        await until(lambda: 25 in sink.taken)
    assert sorted(set(sink.taken)) == list(range(1, 26))
    assert sink.taken == [*range(1, 6), *range(1, 6), *range(1, 26)]
    assert sink.closed


async def test_one_that_hangs_holds_up_no_other(journal: Journal, tmp_path: Path) -> None:
    """A receiver that does not read; the file gets its lines, and the end comes soon."""
    deaf = receivers.tcp()
    hanging = SyslogSink(Address(Way.TCP, "127.0.0.1", port_of(deaf)))
    file = tmp_path / "events.jsonl"
    async with passing(
        journal, EventOutlet(journal, hanging), EventOutlet(journal, FileSink(file))
    ):
        tell(journal, 1000)
        await until(lambda: len(ids(file)) == 1000)
    deaf.close()


async def test_a_stream_gets_every_event_though_its_receiver_goes(journal: Journal) -> None:
    """In order; those of the batch that was on its way may come again."""
    listening = receivers.tcp()
    port = port_of(listening)
    sink = SyslogSink(Address(Way.TCP, "127.0.0.1", port))
    async with passing(journal, EventOutlet(journal, sink)):
        with streams(listening) as received:
            tell(journal, 700)
            await asyncio.to_thread(received.wait_for, 700)
        tell(journal, 5)
        await asyncio.sleep(0.1)
        with streams(receivers.tcp(port), received):
            await asyncio.to_thread(received.wait_for, 705)
            tell(journal, 5)
            await until(lambda: 710 in received.ids)
    assert list(dict.fromkeys(received.ids)) == list(range(1, 711))


# Anchors


def seal(journal: Journal) -> None:
    """A checkpoint over what has happened."""
    tell(journal, 1)
    Sealer(journal, seal_with(SEAL), Ticking()).seal()


async def test_syslog_is_told_each_checkpoint(journal: Journal, tmp_path: Path) -> None:
    """Its number, its SHA-256, its signature; an auditor can name it to `verify` afterwards."""
    path = tmp_path / "log"
    anchor = SinkAnchor(journal, SyslogSink(parse_address(str(path))), "web-1")
    seal(journal)
    seal(journal)
    with datagrams(receivers.unix(path)) as received:
        async with passing(journal, anchor):
            await asyncio.to_thread(received.wait_for, 1)
            seal(journal)
            await asyncio.to_thread(received.wait_for, 2)
    first, second = (parsed(each) for each in received.messages)
    assert first["kind"] == b"checkpoint"
    told = [orjson.loads(each["text"]) for each in (first, second)]
    assert [each["checkpoint"] for each in told] == [2, 3]
    kept = {sealed.number: sealed for sealed in journal.checkpoints()}
    assert told[1]["sha256"] == kept[3].sha256
    assert told[1]["signature"] == kept[3].signature
    known = {each["checkpoint"]: each["sha256"] for each in told}
    verdict = verified(journal, judged_by([SEAL.public]), known)
    assert verdict.sound
    assert verdict.anchored == 3


async def test_an_anchor_that_was_away_is_told_the_newest(journal: Journal, tmp_path: Path) -> None:
    """It speaks for all before."""
    path = tmp_path / "log"
    anchor = SinkAnchor(journal, SyslogSink(parse_address(str(path))), "web-1")
    async with passing(journal, anchor):
        for _ in range(3):
            seal(journal)
            await asyncio.sleep(0.02)
        assert verified(journal, judged_by([SEAL.public]), {}).anchored == 0
        with datagrams(receivers.unix(path)) as received:
            await asyncio.to_thread(received.wait_for, 1)
    numbers = [orjson.loads(parsed(each)["text"])["checkpoint"] for each in received.messages]
    assert numbers == [3]


def test_a_channel_is_told_the_newest_now_and_then(journal: Journal, store: Store) -> None:
    """To each who is to have it, whatever else the channel wants; once an hour, say."""
    outbox, clock = Outbox(store), Ticking()
    mail = Subscription("ops", frozenset({Group.ENDS}), escalate=True, to=("a@example.org",))
    anchor = ChannelAnchor(journal, outbox, mail, timedelta(hours=1))
    seal(journal)
    assert anchor.step(clock()) is False
    seal(journal)
    anchor.step(clock())
    (first,) = outbox.waiting()
    assert first.body["title"] == "checkpoint 1 of the log: keep this message"
    assert first.body["to"] == "a@example.org"
    clock.at += timedelta(hours=1)
    anchor.step(clock())
    anchor.step(clock())
    assert sorted(str(each.body["title"]) for each in outbox.waiting()) == [
        "checkpoint 1 of the log: keep this message",
        "checkpoint 2 of the log: keep this message",
    ]
    kept = {sealed.number: sealed.sha256 for sealed in journal.checkpoints()}
    assert first.body["lines"] == [f"ssh bastion audit verify --checkpoint 1:{kept[1]}"]
    assert journal.cursors("anchor ") == {"ops": 2}


def places(**given: object) -> Places:
    """What the settings may say."""
    nothing = Places(None, None, (), timedelta(hours=1), (), "web-1")
    return replace(nothing, **given)  # type: ignore[arg-type]


def test_the_settings_say_where_to(journal: Journal, store: Store, tmp_path: Path) -> None:
    """A file, syslog, and each anchor once."""
    address = Address(Way.UDP, "192.0.2.1", 514)
    wanted = places(
        file=tmp_path / "events",
        syslog=address,
        anchors=(address, "ops", address),
        channels=(Subscription("ops"),),
    )
    names = [outlet.name for outlet in wanted.outlets(journal, Outbox(store))]
    assert names == [
        f"file {tmp_path}/events",
        "syslog udp://192.0.2.1:514",
        "anchor syslog udp://192.0.2.1:514",
        "anchor ops",
    ]
    assert places().outlets(journal, Outbox(store)) == []


def test_an_anchor_that_is_no_channel_is_a_sentence(journal: Journal, store: Store) -> None:
    """With the channels that there are."""
    wanted = places(anchors=("opps",), channels=(Subscription("ops"), Subscription("chat")))
    with pytest.raises(Misconfigured, match=r"no .* is called so: there are ops, chat"):
        wanted.outlets(journal, Outbox(store))


def test_a_name_that_is_too_long_is_still_its_own() -> None:
    """The column of cursors has a width."""
    long = [cursor_name(f"file {'a' * 100}/{number}/{'b' * 50}") for number in range(3)]
    assert len(set(long)) == 3
    assert max(map(len, long)) <= 128


class _Broken:
    """An outlet with a mistake of ours in it."""

    name = "broken"

    def step(self, now: datetime) -> bool:
        raise ValueError("a mistake")

    def close(self) -> None:
        pass

    def interrupt(self) -> None:
        pass


async def test_a_mistake_in_one_outlet_keeps_no_other_from_its_last_words(
    journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest goes out when the service ends, and the mistake is in the log."""
    tell(journal, 3)
    file = tmp_path / "audit.jsonl"
    kept = Outlets(journal, [_Broken(), EventOutlet(journal, FileSink(file))], Ticking())
    await kept.finish(5)
    assert ids(file) == [1, 2, 3]
    assert "broken: passing on failed" in caplog.text
