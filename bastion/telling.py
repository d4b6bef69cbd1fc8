"""Telling: what happens, and what time brings, becomes messages; couriers deliver them.

The teller reads the events behind its cursor and keeps a message for each channel that wants one
(`store.outbox`), in one transaction with the cursor. State is in the database alone: a teller that
begins anew loses none and repeats none.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from bastion import reminders
from bastion.clock import Clock
from bastion.delivering import TROUBLE, Channel, Courier
from bastion.errors import BastionError
from bastion.events import Event
from bastion.grants import Grant
from bastion.notices import Draft, Group, Notice, drafts, moment, plain
from bastion.particulars import Awaited, everybody
from bastion.reminders import Timing
from bastion.requests import Request
from bastion.store.outbox import KEPT, Outbox
from bastion.tidings import TOLD, Facts, of_event

log = logging.getLogger(__name__)

T = TypeVar("T")

EVENTS: Final = "telling"
TIME: Final = "telling time"
"""Two cursors: the events that were read, and up to when time was looked at."""

TICK: Final = 1.0
"""Seconds between two looks at whether anything has happened."""

SWEEP: Final = timedelta(seconds=15)
"""Between two looks at what time has brought."""

HOUSEKEEPING: Final = timedelta(minutes=10)
"""Between two looks at what is unreviewed, too old, or done long ago."""

OVERLAP: Final = timedelta(minutes=1)
"""So far back is time looked at again: the clock of another process may be behind."""

GIVEN_UP: Final = timedelta(days=3)
"""A message that nobody takes is given up after so long."""

REMEMBERED: Final = 10_000
"""Keys of what time brought that are known to be kept already."""


class Teller:
    """Tells the channels what happens. `awaited` says whom a request waits for; it may block."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Sequence[Channel],
        clock: Clock,
        timing: Timing,
        awaited: Callable[[Request], Awaited],
        *,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._subscriptions = [channel.subscription for channel in channels]
        self._clock = clock
        self._timing = timing
        self._awaited = awaited
        self._version: Hashable | None = None
        self._swept: datetime | None = None
        self._tidied: datetime | None = None
        self._known: dict[str, None] = {}
        self.couriers = [Courier(outbox, channel, clock, spread) for channel in channels]

    async def keep_telling(self) -> None:
        """Until cancelled. Errors are logged, and end nothing."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_planning(), name="telling")
            for courier in self.couriers:
                group.create_task(courier.keep_delivering(), name="courier")

    async def plan(self) -> None:
        """One look at what has happened, and at what time has brought."""
        if await asyncio.to_thread(self._planned):
            for courier in self.couriers:
                courier.wake()

    async def _keep_planning(self) -> None:
        while True:
            try:
                await self.plan()
            except BastionError as error:
                log.error("messages can't be planned: %s", error)
                await asyncio.sleep(TROUBLE)
            except Exception:
                log.exception("messages can't be planned")
                await asyncio.sleep(TROUBLE)
            await asyncio.sleep(TICK)

    def _planned(self) -> bool:
        """Whether there may be more to deliver than before."""
        now, version = self._clock.now(), self._outbox.version()
        moved = version != self._version
        if moved:
            self._plan_events(now)
        if _due(self._swept, now, SWEEP):
            self._plan_time(now)
            self._swept = now
        if self._tidied is None:
            self._tidied = now  # what waited for us gets its chance before it is given up
        elif _due(self._tidied, now, HOUSEKEEPING):
            self._tidy(now)
            self._tidied = now
        self._version = version
        return moved

    # What has happened

    def _plan_events(self, now: datetime) -> None:
        """In batches, each with its messages in one transaction. Without a channel it only reads
        on: a channel that comes later is not told the past."""
        wanted = TOLD if self._subscriptions else frozenset()
        while True:
            news = self._outbox.news(EVENTS, wanted)
            if news.reached == news.cursor:
                return
            pending = (each for each in news.requests.values() if each.decision is None)
            awaited = {request.id: self._waits_for(request) for request in pending}
            facts = Facts(news.requests, news.grants, awaited)
            notices = [_worded(event, facts) for event in news.events]
            found = [notice for notice in notices if notice is not None]
            self._outbox.plan(EVENTS, news, self._drafts(found, now), now)

    def _drafts(self, notices: Sequence[Notice], now: datetime) -> list[Draft]:
        mailed = any(each.to is not None for each in self._subscriptions)
        users = self._outbox.users() if mailed and notices else []
        made = (drafts(notice, self._subscriptions, users, now) for notice in notices)
        return [draft for each in made for draft in each]

    def _waits_for(self, request: Request) -> Awaited:
        try:
            return self._awaited(request)
        except Exception:
            log.exception("whom %s waits for can't be told", request)
            return Awaited()

    # What time has brought

    def _plan_time(self, now: datetime) -> None:
        """The cursor of time moves when all pages are kept: what was kept twice is kept once."""
        seen = self._outbox.looked_at(TIME)
        since = now if seen is None else min(seen, now) - OVERLAP
        if self._subscriptions:
            soon = now + self._timing.before_end
            of_grants = partial(self._outbox.grants_about_to_end, since, soon)
            self._keep_of(_rising(of_grants), partial(self._of_grant, since, now), now)
            of_requests = self._undecided(since, now)
            self._keep_of(of_requests, partial(self._of_request, since, now), now)
        self._outbox.plan_until(TIME, (), now)

    def _keep_of(
        self, pages: Iterable[Sequence[T]], told: Callable[[T], Iterable[Notice]], now: datetime
    ) -> None:
        for page in pages:
            found = (notice for each in page for notice in told(each))
            new = [notice for notice in found if notice.key not in self._known]
            if new:
                self._outbox.keep(self._drafts(new, now), now)
                self._remember(notice.key for notice in new)

    def _of_grant(self, since: datetime, now: datetime, grant: Grant) -> Iterable[Notice]:
        return reminders.of_grant(grant, since, now, self._timing)

    def _of_request(self, since: datetime, now: datetime, request: Request) -> Iterable[Notice]:
        """Whom it waits for is only asked where there is something to say."""
        said = partial(reminders.of_request, request, since=since, now=now, timing=self._timing)
        if all(notice.key in self._known for notice in said(Awaited())):
            return ()
        return said(self._waits_for(request))

    def _undecided(self, since: datetime, now: datetime) -> Iterator[list[Request]]:
        before: int | None = None
        while page := self._outbox.requests_undecided(since, now, before):
            yield page
            before = page[-1].id

    def _remember(self, keys: Iterable[str]) -> None:
        self._known.update(dict.fromkeys(keys))
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def _tidy(self, now: datetime) -> None:
        if self._subscriptions:
            pages = _rising(self._outbox.grants_unreviewed)
            self._keep_of(pages, partial(self._of_grant, now, now), now)
        while given_up := self._outbox.give_up(now - GIVEN_UP, now):
            log.error("%d messages were given up: nobody took them for %s", given_up, GIVEN_UP)
        while self._outbox.prune(now - KEPT):
            pass


def _rising(page_after: Callable[[int], list[Grant]]) -> Iterator[list[Grant]]:
    """Page after page of grants, by their numbers."""
    last = 0
    while page := page_after(last):
        yield page
        last = page[-1].id


def _due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Whether `every` has passed since; also where the clock went back."""
    return last is None or not last <= now < last + every


def _worded(event: Event, facts: Facts) -> Notice | None:
    """The notice of an event. One that can't be worded is told with its bare name: a mistake of
    ours must hold up neither it nor those behind it."""
    try:
        return of_event(event, facts)
    except Exception:
        log.exception("the event %d can't be worded", event.id)
    title = f"E-{event.id}: {event.happened.what}, by {plain(event.happened.actor, 80)}"
    return Notice(
        key=f"E-{event.id}",
        type=event.happened.what.value,
        group=Group.FAILURES,
        at=event.at,
        title=title,
        fields=(),
        data={"title": title, "event": {"id": event.id, "at": moment(event.at)}},
        audience=everybody(),
    )
