"""Stewarding: what has to be done once, however many processes and machines there are.

For a home: what processes that are gone left open, seals, compaction and text index of the
recordings that lie here, what is let go. For all homes on one database: the log is sealed and
passed on, and people are told; where the database is a server, by the one machine that leads,
until it is gone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta

from bastion import happenings, metrics, outside
from bastion.app import SERVICE, Services
from bastion.audit import keep_sealing
from bastion.compacting import compacting
from bastion.duties import (
    forget_watchers,
    keep_calling,
    keep_compacting,
    keep_counting,
    keep_sealing_recordings,
)
from bastion.errors import BastionError
from bastion.events import What
from bastion.indexing import Indexing, Rests, in_plain
from bastion.outlets import Outlets
from bastion.presence import Presence
from bastion.pruner import Pruner, keep_time
from bastion.pulse import Pulse
from bastion.recovering import Recovering
from bastion.revocation import Revocation, RevocationKeeper
from bastion.shipper import Shipper
from bastion.shipping import Parts, shipper
from bastion.store.outbox import Outbox
from bastion.store.places import is_server
from bastion.telling import Teller
from recorder import Session
from recorder.compacting import Compacting
from recorder.indexing import Indexer
from recorder.space import Space

log = logging.getLogger(__name__)

LAST_WORDS = 3.0
"""Seconds for telling the last events when the service ends, and as many for passing them on."""

LEAD = 2.0
"""Seconds between two looks whether this machine leads."""

Chores = list[Coroutine[object, object, None]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many recordings wait to be sealed, and messages to be delivered."""

    recordings: int = 0
    messages: int = 0


class Steward:
    """Does it for one home."""

    def __init__(self, services: Services, pulse: Pulse) -> None:
        self._services = services
        self._meters = pulse.meters
        self._waiting = Waiting()
        pulse.measured_by(self._measure)
        self._recovering = _recovering(services, Presence(services.home.run))
        self._shipper = _shipper(services)
        self._office: _Office | None = None
        _office(services)  # settings that name somebody who can't be talked to are said at once

    async def recover(self) -> None:
        """End what was left open before this start."""
        await self._recovering.everything()

    async def begin(self) -> None:
        """It is told that the service has started."""
        await _told(self._services, What.SERVICE_STARTED)

    def chores(self) -> Chores:
        """What goes on until the end."""
        common = _of_home(self._services, self._recovering)
        shipper = self._shipper
        shipping = [] if shipper is None else [shipper.keep(), shipper.keep_trailing()]
        return [*common, *shipping, self._lead(), keep_counting(self._count)]

    async def put_away(self) -> None:
        """The last events are sealed, and passed on."""
        await _told(self._services, What.SERVICE_STOPPED)
        try:
            await asyncio.to_thread(self._services.sealer.seal)
        except BastionError as error:
            log.error("the last events are not sealed: %s", error)
        if self._office is not None:
            await self._office.outlets.finish(LAST_WORDS)

    def _count(self) -> None:
        """How much waits in the database. It blocks, in a thread."""
        outbox = Outbox(self._services.store)
        self._waiting = Waiting(self._services.seals.count_unsealed(), outbox.count_waiting())
        if self._shipper is not None:
            self._shipper.count()

    def _measure(self) -> None:
        self._meters.put(metrics.UNSEALED, self._waiting.recordings)
        self._meters.put(metrics.MESSAGES, self._waiting.messages)
        if self._shipper is not None:
            self._shipper.measure(self._meters)

    async def _lead(self) -> None:
        """While this machine leads, do what only one may; begun anew each time."""
        while True:
            await self._until(True)
            self._office = office = _office(self._services)
            async with asyncio.TaskGroup() as group:
                chores = [group.create_task(each) for each in _of_fleet(self._services, office)]
                await self._until(False)
                log.warning("this machine does not lead any more")
                for chore in chores:
                    chore.cancel()
            await office.outlets.finish(LAST_WORDS)
            self._office = None

    async def _until(self, leads: bool) -> None:
        while await asyncio.to_thread(self._leads) is not leads:  # noqa: ASYNC110 (who tells?)
            await asyncio.sleep(LEAD)

    def _leads(self) -> bool:
        """Nobody leads whom the database does not answer."""
        try:
            return self._services.store.leads()
        except BastionError:
            return False


@dataclass(frozen=True, slots=True)
class _Office:
    """What passes on to the world outside what all processes have told."""

    teller: Teller
    outlets: Outlets


def _office(services: Services) -> _Office:
    """Raises Misconfigured where the settings name somebody who can't be talked to."""
    store, settings, clock = services.store, services.settings, services.clock
    ways = outside.told_channels(services.home, settings)
    awaited = outside.awaiting(services.approving, clock)
    return _Office(
        teller=outside.teller(store, ways, settings, clock, awaited),
        outlets=outside.outlets(services.home, store, ways, settings, clock),
    )


def _of_home(services: Services, recovering: Recovering) -> Chores:
    """What has to go on once for a home, however many processes serve it."""
    chores: Chores = [
        keep_calling(recovering),
        keep_sealing_recordings(services.archive),
        keep_time(services.store, services.clock),
        Pruner(services.pruning, SERVICE, services.clock).keep(),
        _indexing(services).keep(),
    ]
    krl = services.settings.krl(services.home)
    if krl is not None:
        revocation = Revocation(services.store, services.authority)
        chores.append(RevocationKeeper(revocation, krl, services.clock, SERVICE).keep())
    after = services.settings.recording.compact
    if after is not None:
        chores.append(keep_compacting(_compacting(services, after)))
    return chores


def _compacting(services: Services, after: timedelta) -> Compacting:
    return compacting(
        services.settings.recordings(services.home),
        services.index,
        space_of(services),
        after=after,
        journal=services.journal,
        service=SERVICE,
        now=services.clock.now,
    )


def _shipper(services: Services) -> Shipper | None:
    """None where there is no store. What is to be encrypted is not there before it is."""
    recording = services.settings.recording
    parts = shipping_parts(services)
    return shipper(parts, recording.keep_local, trails=not recording.encrypt)


def shipping_parts(services: Services) -> Parts:
    """What ships the recordings of a home."""
    return Parts(
        directory=services.settings.recordings(services.home),
        fetched=services.home.fetched,
        index=services.index,
        seals=services.seals,
        tombstones=services.tombstones,
        texts=services.texts,
        storing=services.storing,
        sealing=services.sealing,
        inspection=services.inspection,
        journal=services.journal,
        service=SERVICE,
        store=services.store,
        after=services.settings.recording.recover_after,
        floor=services.settings.recording.low_water,
        now=services.clock.now,
    )


def _recorded_here(services: Services) -> Callable[[Session], bool]:
    """Whose transcripts are made here: several machines have one text index, and each its part."""
    store, nodes = services.store, dict[str, str | None]()

    def mine(session: Session) -> bool:
        runner = session.runner
        if runner is None or not is_server(services.settings.database.url):
            return True
        if runner not in nodes:
            nodes[runner] = store.node_of_runner(runner)
        return nodes[runner] in (None, store.chain.node) or services.texts.is_made_here(session.id)

    return mine


def _indexing(services: Services) -> Indexing:
    rests = Rests()
    indexer = Indexer(
        services.index,
        services.archive,
        services.texts,
        services.transcripts,
        clock=time.monotonic,
        rest=rests.rest,
        shows=in_plain(services.settings.recording.encrypt),
        mine=_recorded_here(services),
    )
    return Indexing(
        indexer, rests, Space(services.home.directory, services.settings.recording.marks)
    )


def space_of(services: Services) -> Space:
    """The disk of the recordings, with the marks of the settings."""
    return Space(services.settings.recordings(services.home), services.settings.recording.marks)


def _of_fleet(services: Services, office: _Office) -> Chores:
    """What has to go on once for a database."""
    return [
        keep_sealing(services.sealer, services.settings.audit.checkpoint),
        forget_watchers(services.watching, services.clock),
        office.teller.keep_telling(),
        office.outlets.keep(),
    ]


async def _told(services: Services, what: What) -> None:
    """Tell of the service itself; it goes on where that can't be kept."""
    try:
        told = happenings.by(SERVICE, what)
        await asyncio.to_thread(services.store.tell, told, services.clock.now())
    except BastionError as error:
        log.error("%s", error)


def _recovering(services: Services, presence: Presence) -> Recovering:
    return Recovering(
        services.store,
        index=services.index,
        archive=services.archive,
        presence=presence,
        now=services.clock.now,
    )
