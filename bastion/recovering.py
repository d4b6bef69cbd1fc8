"""Recovering: what processes that are gone have left open is ended, told and put away.

A process of this home that is gone has left recordings here: they are mended, and its sessions are
`interrupted`. One of another machine has them there: its sessions are `lost`, until that machine
comes back and finds their recordings.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from bastion.presence import Presence
from bastion.runners import Roll, RollCall
from bastion.store import Store
from recorder import Archive, Index
from recorder.unbegun import YOUNG

log = logging.getLogger(__name__)


class Recovering:
    """Ends what is left open, for one home. `now` gives the wall clock's time."""

    def __init__(
        self,
        store: Store,
        *,
        index: Index,
        archive: Archive,
        presence: Presence,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._index = index
        self._archive = archive
        self._presence = presence
        self._now = now
        self._call = RollCall(store.chain.node)
        self._look_again = 0.0

    async def everything(self) -> None:
        """At a start: also what was left open before processes had names."""
        await asyncio.to_thread(self._store.saw_time, self._now())
        await self._recover(await asyncio.to_thread(self._roll))

    async def what_is_new(self) -> None:
        """Where somebody is gone since the last time."""
        roll = await asyncio.to_thread(self._roll)
        if roll.gone or roll.lost:
            await self._recover(roll)
            for problem in await self._archive.seal_pending():
                log.error("%s", problem)
        if self._look_again and time.monotonic() > self._look_again:
            self._look_again = 0.0
            await self._remove_unbegun()

    async def _remove_unbegun(self) -> None:
        for name in await self._archive.remove_unbegun():
            log.warning("%s is removed: its process was gone before it began", name)

    def _roll(self) -> Roll:
        """Rows first, then locks: whoever has a row had a lock before."""
        runners = self._store.runners()
        return self._call.call(runners, self._presence.seen(), time.monotonic())

    async def _recover(self, roll: Roll) -> None:
        """Whoever enters while this goes on is neither gone nor ended, and is left alone."""
        ended = await asyncio.to_thread(self._ended)
        gone = roll.gone | ended
        for found in await self._archive.recover(lambda s: s.runner is None or s.runner in gone):
            log.warning("%s", found)
        for sentence in await self._archive.recover_lost(roll.gone):
            log.warning("%s", sentence)
        await asyncio.to_thread(self._close, roll)
        self._look_again = time.monotonic() + 2 * YOUNG

    def _ended(self) -> frozenset[str]:
        return self._store.ended_runners(self._index.runners())

    def _close(self, roll: Roll) -> None:
        now = self._now()
        lost = self._index.lose(roll.lost, now)
        for session in lost:
            log.error("%s is lost: the machine that carried it does not answer", session.name)
        self._store.close_left_open(now, roll.gone | roll.lost)
        self._store.end_runners(roll.gone | roll.lost, now)
        for boot in roll.gone:
            self._presence.forget(boot)
