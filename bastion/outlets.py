"""Outlets: events and checkpoints passed on to where the settings want them. Nothing gets lost.

The log is the outbox: each outlet has a cursor in the database, which is moved behind what was
taken. So what happens while a receiver is away waits in the log, and goes out when it is back. What
was sent shortly before a process died may go out twice; each line has its number.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from bastion.audit import ANCHOR
from bastion.checkpoints import Sealed
from bastion.errors import BastionError, Misconfigured
from bastion.events import Event, What
from bastion.notices import Group, Notice, Subscription, drafts
from bastion.objects import Bucket, CheckpointSink
from bastion.sinks import FileSink, Item, Sink, SyslogSink
from bastion.store.journal import Journal
from bastion.store.outbox import Outbox
from bastion.syslog import LONGEST, Address, Entry

log = logging.getLogger(__name__)

TICK: Final = 0.5
"""Seconds between two looks at whether anything has happened."""

FIRST: Final = 1.0
REST: Final = 60.0
"""Seconds to wait when a receiver is away: at first, and at most."""

_LOUD = frozenset(
    {
        What.REQUEST_REFUSED,
        What.SIGNIN_FAILED,
        What.LIMIT_REACHED,
        What.CONNECTION_REFUSED,
        What.DOOR_REFUSED,
        What.RECORDING_FAILED,
        What.RECORDING_CORRUPT,
        What.RECORDING_REFUSED,
        What.RECORDING_RETURNED,
        What.RULES_BROKEN,
        What.ACCESS_SHUT,
        What.HOME_RESTORED,
        What.CLOCK_RESET,
        What.DISK_CHANGED,
        What.STORE_CHANGED,
        What.SIGNER_CHANGED,
        What.NOTICE_GIVEN_UP,
        What.EVENTS_LOST,
        What.EVENT_UNREADABLE,
    }
)
"""What is a warning in syslog."""


class Outlet(Protocol):
    """Something that is passed on to one place."""

    @property
    def name(self) -> str:
        """What it is called in the service's log."""

    def step(self, now: datetime) -> bool:
        """Pass some on; whether there may be more at once. It blocks. Raises BastionError."""

    def close(self) -> None:
        """Let go of what is open."""

    def interrupt(self) -> None:
        """Make a `step` that waits end at once, from another thread."""


@dataclass(frozen=True, slots=True)
class EventOutlet:
    """All events, in their order, to a sink; from the first, when it is new."""

    journal: Journal
    sink: Sink

    @property
    def name(self) -> str:
        """The sink's."""
        return self.sink.name

    def step(self, now: datetime) -> bool:
        """As many as the sink takes at once."""
        cursor, most = cursor_name(self.sink.name), self.sink.batch
        events = self.journal.after(self.journal.cursor(cursor) or 0, limit=most)
        if not events:
            return False
        self.sink.send([item_of(event) for event in events])
        self.journal.move_cursor(cursor, events[-1].id, now)
        return len(events) == most

    def close(self) -> None:
        """Let go of the sink."""
        self.sink.close()

    def interrupt(self) -> None:
        """Interrupt the sink."""
        self.sink.interrupt()


@dataclass(frozen=True, slots=True)
class SinkAnchor:
    """The newest checkpoint to a sink, each time that there is one: it speaks for all before."""

    journal: Journal
    sink: Sink
    node: str

    @property
    def name(self) -> str:
        """The sink's."""
        return f"{ANCHOR}{self.sink.name}"

    def step(self, now: datetime) -> bool:
        """The newest, if it is new."""
        sealed = newest(self.journal, cursor_name(self.name))
        if sealed is not None:
            line = sealed.line()
            entry = Entry(now, self.node, str(sealed.number), "checkpoint", line)
            self.sink.send([Item(entry, line)])
            self.journal.move_cursor(cursor_name(self.name), sealed.number, now)
        return False

    def close(self) -> None:
        """Let go of the sink."""
        self.sink.close()

    def interrupt(self) -> None:
        """Interrupt the sink."""
        self.sink.interrupt()


@dataclass(frozen=True, slots=True)
class ChannelAnchor:
    """The newest checkpoint to a channel of messages, no more often than `every`.

    Its courier delivers it: what is kept here is that it is on its way.
    """

    journal: Journal
    outbox: Outbox
    subscription: Subscription
    every: timedelta

    @property
    def name(self) -> str:
        """The channel's."""
        return f"{ANCHOR}{self.subscription.channel}"

    def step(self, now: datetime) -> bool:
        """The newest, if it is new and the last one long enough ago."""
        sealed = newest(self.journal, cursor_name(self.name))
        last = self.journal.moved_at(cursor_name(self.name))
        if sealed is None or (last is not None and now < last + self.every):
            return False
        everything = replace(self.subscription, groups=frozenset(Group), escalate=False)
        said = drafts(notice_of(sealed, now), [everything], self.outbox.users(), now)
        self.outbox.keep(said, now)
        self.journal.move_cursor(cursor_name(self.name), sealed.number, now)
        return False

    def close(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing waits."""


def newest(journal: Journal, cursor: str) -> Sealed | None:
    """The newest checkpoint, unless the cursor is there already."""
    found = journal.checkpoints(limit=1)
    if not found or found[0].number <= (journal.cursor(cursor) or 0):
        return None
    return found[0]


def cursor_name(name: str) -> str:
    """A name that fits the column of cursors."""
    return name if len(name) <= 128 else f"{name[:60]}…{name[-60:]}"


def item_of(event: Event) -> Item:
    """An event as sinks take it; where its details are too long, a line without them."""
    line = short = event.line()
    if len(line) > LONGEST // 2:
        bare = replace(event, happened=replace(event.happened, details={"too_long": len(line)}))
        short = bare.line()
    what = event.happened.what
    node, boot = event.chain.node, event.chain.boot
    return Item(Entry(event.at, node, boot, what.value, line, what in _LOUD), short)


def notice_of(sealed: Sealed, now: datetime) -> Notice:
    """A checkpoint as a message: to be kept where nobody of ours can change it."""
    fields = (("SHA-256", sealed.sha256), ("signature", " ".join(sealed.signature.split())))
    return Notice(
        key=f"checkpoint {sealed.number} {sealed.sha256[:16]}",
        type="audit.checkpoint",
        group=Group.ADMINISTRATION,
        at=now,
        title=f"checkpoint {sealed.number} of the log: keep this message",
        fields=fields,
        lines=(f"ssh bastion audit verify --checkpoint {sealed.number}:{sealed.sha256}",),
        data={
            "checkpoint": sealed.number,
            "sha256": sealed.sha256,
            "signature": sealed.signature,
        },
    )


@dataclass(frozen=True, slots=True)
class _Lane:
    """An outlet and the thread that it has for itself: one that hangs is alone in it."""

    outlet: Outlet
    thread: ThreadPoolExecutor


@dataclass(frozen=True, slots=True)
class Places:
    """Where the settings want the log and its checkpoints: `anchors` are addresses of syslog,
    object stores, and names of `channels`. `node` is what this machine is called in syslog."""

    file: Path | None
    syslog: Address | None
    anchors: Sequence[Address | Bucket | str]
    anchor_every: timedelta
    channels: Sequence[Subscription]
    node: str

    def outlets(self, journal: Journal, outbox: Outbox) -> list[Outlet]:
        """One for each. Raises Misconfigured where an anchor is a channel that there is not."""
        found: list[Outlet] = []
        if self.file is not None:
            found.append(EventOutlet(journal, FileSink(self.file)))
        if self.syslog is not None:
            found.append(EventOutlet(journal, SyslogSink(self.syslog)))
        for anchor in dict.fromkeys(self.anchors):
            if isinstance(anchor, str):
                channel = self._channel(anchor)
                found.append(ChannelAnchor(journal, outbox, channel, self.anchor_every))
                continue
            sink = CheckpointSink(anchor) if isinstance(anchor, Bucket) else SyslogSink(anchor)
            found.append(SinkAnchor(journal, sink, self.node))
        return found

    def _channel(self, name: str) -> Subscription:
        for each in self.channels:
            if each.channel == name:
                return each
        known = ", ".join(each.channel for each in self.channels) or "none"
        raise Misconfigured(
            f"audit.anchors names the channel {name}, and no [[notify]] is called so: "
            f"there are {known}."
        )


class Outlets:
    """Passes everything on until it is cancelled."""

    def __init__(
        self, journal: Journal, outlets: Iterable[Outlet], now: Callable[[], datetime]
    ) -> None:
        self._journal = journal
        self._lanes = [_Lane(outlet, ThreadPoolExecutor(1, "outlet")) for outlet in outlets]
        self._now = now

    async def keep(self) -> None:
        """Until cancelled. Errors are logged, and end nothing."""
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(self._keep_one(lane), name=lane.outlet.name)
        finally:
            for lane in self._lanes:
                lane.outlet.interrupt()

    async def finish(self, seconds: float) -> None:
        """Pass on what has come to the end, in at most so many seconds. `keep` has ended before."""
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(self._finish_one(lane), name=lane.outlet.name)
        except TimeoutError:
            log.warning("not all of the log was passed on; the rest goes out next time")
            for lane in self._lanes:
                lane.outlet.interrupt()
        for lane in self._lanes:
            lane.thread.submit(lane.outlet.close)
            lane.thread.shutdown(wait=False)

    async def _keep_one(self, lane: _Lane) -> None:
        name, trouble, rest = lane.outlet.name, "", FIRST
        while True:
            try:
                version = self._journal.version()
                await self._drain(lane)
            except BastionError as error:
                trouble, rest = await _rested(trouble, str(error), rest)
            except Exception:
                log.exception("%s: passing on failed", name)
                trouble, rest = await _rested(name, name, rest)
            else:
                if trouble:
                    log.info("%s: passed on again", name)
                trouble, rest = "", FIRST
                await self._changed(version)

    async def _finish_one(self, lane: _Lane) -> None:
        try:
            await self._drain(lane)
        except BastionError as error:
            log.warning("%s", error)
        except Exception:  # the others go on, and so does the end of the service
            log.exception("%s: passing on failed", lane.outlet.name)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(lane.thread, lane.outlet.close)

    async def _drain(self, lane: _Lane) -> None:
        """Pass on until there is nothing more."""
        loop, more = asyncio.get_running_loop(), True
        while more:
            more = await loop.run_in_executor(lane.thread, lane.outlet.step, self._now())

    async def _changed(self, version: Hashable) -> None:
        """Wait until somebody has written something, but not for ever: some look at the time."""
        for _ in range(int(REST / TICK)):
            await asyncio.sleep(TICK)
            if self._journal.version() != version:
                return


async def _rested(before: str, sentence: str, seconds: float) -> tuple[str, float]:
    """Say a sentence, once, and rest; the sentence, and how long to rest the next time."""
    if sentence != before:
        log.error("%s", sentence)
    await asyncio.sleep(seconds)
    return sentence, min(seconds * 2, REST)
