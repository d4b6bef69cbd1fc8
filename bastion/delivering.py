"""Delivering: the messages of one channel, one after another, until each is taken or given up.

What waits, and how often it was tried, is in the outbox: whoever begins anew goes on where the one
before was. What is remembered here only keeps the hands off a channel that does not answer, and off
a message that was taken but could not be noted as such.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar

from bastion.clock import Clock
from bastion.errors import BastionError
from bastion.notices import Answer, Message, Subscription
from bastion.store.outbox import STUBBORN, Outbox, Waiting
from recorder.threads import to_the_end

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST, LONGEST, REST = timedelta(seconds=5), timedelta(hours=1), timedelta(minutes=5)
"""The first wait before a message is tried again, the longest, and a channel's longest."""

FAR: Final = 3 * 3600.0
"""Seconds that no wait has: a message that is due later was put off before a clock was set back."""

IDLE: Final = 60.0
"""Seconds after which the outbox is looked at, whether anybody woke us or not."""

TROUBLE: Final = 5.0
"""Seconds to wait when the database does not answer."""

GRACE: Final = 3.0
"""Seconds for what is on its way when the process ends: else it would be sent twice."""


class Way(Protocol):
    """How a channel is reached (`posting.Post`, `mailing.Mail`)."""

    async def send(self, message: Message, now: datetime) -> Answer:
        """Send one message, and say what came of it."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where messages go: what is wanted there, and the way."""

    subscription: Subscription
    way: Way

    @property
    def name(self) -> str:
        """What it is called in the settings."""
        return self.subscription.channel


def backoff(times: int, spread: float) -> timedelta:
    """How long to wait after something failed `times` times: 5 s, 10 s … up to an hour.

    `spread`, from 0 to 1, makes it up to a quarter longer, so that not all come back at once.
    """
    doubled: timedelta = FIRST * 2 ** min(max(times - 1, 0), 12)
    return min(doubled, LONGEST) * (1 + spread / 4)


class Courier:
    """Delivers what waits for one channel. `spread` gives numbers from 0 to 1."""

    def __init__(
        self, outbox: Outbox, channel: Channel, clock: Clock, spread: Callable[[], float]
    ) -> None:
        self._outbox = outbox
        self._channel = channel
        self._clock = clock
        self._spread = spread
        self._failures = 0
        self._rests_until: datetime | None = None
        self._taken: dict[int, datetime] = {}
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may have come."""
        self._woken.set()

    async def keep_delivering(self) -> None:
        """Until cancelled. Errors are logged, and end nothing."""
        while True:
            self._woken.clear()
            try:
                seconds = await self.deliver()
            except BastionError as error:
                log.error("the channel %s can't go on: %s", self._channel.name, error)
                await asyncio.sleep(TROUBLE)
                continue
            except Exception:
                log.exception("the channel %s can't go on", self._channel.name)
                await asyncio.sleep(TROUBLE)
                continue
            await self._wait(seconds)

    async def deliver(self) -> float:
        """Send whatever is due, in order; seconds until something may be due again."""
        while True:
            await self._note_taken()
            left = self._rest()
            if left is None:
                left = await self._send_batch()
            if left is not None:
                return left

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    def _rest(self) -> float | None:
        """Seconds that the channel still rests."""
        now = self._clock.now()
        if self._rests_until is None or self._rests_until <= now:
            return None
        return min((self._rests_until - now).total_seconds(), IDLE)

    async def _send_batch(self) -> float | None:
        """Seconds to wait; None where one failed, or there may be more."""
        waiting = await asyncio.to_thread(self._outbox.next_of, self._channel.name)
        sent, soonest = False, IDLE
        for each in waiting:
            left = (each.next_at - self._clock.now()).total_seconds()
            if left <= 0 or left > FAR:
                sent = True
                if not await self._delivered(each):
                    return None
            elif each.tries < STUBBORN:
                return min(soonest, left)  # those behind it wait for their turn
            else:
                soonest = min(soonest, left)
        return None if sent else soonest

    async def _delivered(self, each: Waiting) -> bool:
        """Whether one message was taken; either is noted. Raises BastionError."""
        try:
            answer = await unhurried(self._sent(each), GRACE)
        except asyncio.CancelledError:
            await self._note_taken()
            raise
        now = self._clock.now()
        if answer.ok:
            await self._note_taken()
            await self._recovered(now)
        else:
            await self._failed(each, answer, now)
        return answer.ok

    async def _sent(self, each: Waiting) -> Answer:
        """Raises nothing but CancelledError."""
        try:
            message = Message.read(each.body)
            answer = await self._channel.way.send(message, self._clock.now())
        except Exception:
            log.exception("the message %s for %s can't be sent", each.key, self._channel.name)
            return Answer(False, "it can't be sent as it is: see the server's log", refused=True)
        if answer.ok:
            self._taken[each.id] = self._clock.now()
        return answer

    async def _note_taken(self) -> None:
        """A message that was taken is not sent again, also where the database is away just now."""
        for number, at in list(self._taken.items()):
            await to_the_end(partial(self._outbox.done, number, at))
            del self._taken[number]

    async def _recovered(self, now: datetime) -> None:
        """After an outage, what was put off for long is due."""
        if self._failures >= STUBBORN:
            log.info("the channel %s is back", self._channel.name)
            await to_the_end(partial(self._outbox.try_again, self._channel.name, now))
        self._failures, self._rests_until = 0, None

    async def _failed(self, each: Waiting, answer: Answer, now: datetime) -> None:
        """The channel rests, unless only the message is to blame; others then go first."""
        self._failures += 1
        asked, spread = answer.wait or timedelta(), self._spread()
        tries = max(each.tries + 1, STUBBORN) if answer.refused else each.tries + 1
        again = now + max(backoff(tries, spread), asked)
        if not answer.refused or self._failures > STUBBORN:
            rest = min(backoff(self._failures, spread), REST)
            self._rests_until = now + max(rest, asked)
        log.warning("%s was not taken: %s", each.key, answer.said)
        await to_the_end(partial(self._outbox.failed, each.id, answer.said, tries, again))


async def unhurried(work: Coroutine[object, object, T], seconds: float) -> T:
    """What `work` gives, which raises nothing. Cancelling lets it go on for `seconds` first."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            await asyncio.wait([task], timeout=seconds)
            raise
    return task.result()
