"""Serving: the doors, and what has to go on beside them, until SIGTERM.

serve(...)     one process that takes connections; alone, it does everything for its home
steward(...)   what has to be done once for a home, where several processes serve it
"""

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from bastion import happenings, outside
from bastion.admission import Admission, Places
from bastion.app import SERVICE, Services, connector
from bastion.arrival import Parts
from bastion.audit import keep_sealing
from bastion.chronicle import Chronicle
from bastion.compacting import compacting
from bastion.control import Control
from bastion.crew import Crew
from bastion.duties import (
    MINUTE,
    forget_watchers,
    keep_beating,
    keep_calling,
    keep_compacting,
    keep_marking,
    keep_sealing_recordings,
    keep_syncing,
    reread_rules,
    tell_failures,
    tell_failures_before,
    watch_disk,
    watch_rules,
)
from bastion.errors import BastionError, Unavailable
from bastion.events import What
from bastion.live import Live
from bastion.lookout import Lookout
from bastion.orders import Orders
from bastion.outlets import Outlets
from bastion.presence import Presence
from bastion.pruner import Pruner, keep_time
from bastion.recovering import Recovering
from bastion.revocation import Revocation, RevocationKeeper
from bastion.rulebook import Rulebook
from bastion.server import Front
from bastion.store.places import is_server
from bastion.store.watchers import Watchers
from bastion.telling import Teller
from bastion.wire.packets import Turn
from bastion.workers import Workers
from recorder import EndReason
from recorder.compacting import Compacting
from recorder.space import Marks, Space

log = logging.getLogger(__name__)

BACKLOG = 1024

LAST_WORDS = 3.0
"""Seconds for telling the last events when the service ends, and as many for passing them on."""

THREADS = 32
"""Threads for the doors' questions to the database, and for opening and closing recordings."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one `of` several processes does for a home: it serves on `listening`, and no more."""

    listening: Sequence[socket.socket]
    of: int

    def part(self, limit: int) -> int:
        """This process's part of a limit that is for all of them."""
        return max(1, limit // self.of)


async def serve(
    services: Services,
    control: Control,
    ready: Callable[[str], None],
    share: Share | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends live sessions at once.

    Without a `share` this process does everything for its home: `steward`'s work too. `ready` is
    called with the address once connections are taken. Raises Unavailable where the address
    can't be used.
    """
    _prepare_loop()
    presence = Presence(services.home.run)
    if share is None:
        await _recovering(services, presence).everything()
    with presence.held(services.store.chain.boot):
        await asyncio.to_thread(services.store.enter_runner, services.clock.now())
        await _serve(services, control, ready, share)


async def _serve(
    services: Services, control: Control, ready: Callable[[str], None], share: Share | None
) -> None:
    async with asyncio.TaskGroup() as group:
        hands = _hands(services, group)
        steward = None if share is not None else _stewarding(services)
        chores = [group.create_task(chore) for chore in _chores(services, hands, steward)]
        servers = await _listen(services, control, hands, share)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, _heed_rules, services.rulebook, hands.crew)
        try:
            ready(addresses(sock for server in servers for sock in server.sockets))
            if steward is not None:
                await _told(services, What.SERVICE_STARTED)
            await _drained(servers, hands.live, services.settings.limits.drain, group)
        finally:
            _close(servers)
            await _disconnected(hands.live)
            for chore in chores:
                chore.cancel()
            await _put_away(services, hands)
            if steward is not None:
                await _put_common_away(services, steward)


async def steward(services: Services, ready: Callable[[], None]) -> None:
    """What one process does for all that serve a home, until SIGTERM: see `_common_chores`.

    `ready` is called when what was left open before has been ended.
    """
    _prepare_loop()
    await _recovering(services, Presence(services.home.run)).everything()
    async with asyncio.TaskGroup() as group:
        common = _stewarding(services)
        chores = [group.create_task(chore) for chore in _common_chores(services, common)]
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        await _told(services, What.SERVICE_STARTED)
        ready()
        await over.wait()
        for chore in chores:
            chore.cancel()
        await _put_common_away(services, common)


def _prepare_loop() -> None:
    _raise_descriptors()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "doors"))


@dataclass(frozen=True, slots=True)
class _Hands:
    """What serving works with, for as long as it lasts."""

    crew: Crew
    live: Live
    chronicle: Chronicle
    workers: Workers


def _hands(services: Services, group: asyncio.TaskGroup) -> _Hands:
    store, settings, clock = services.store, services.settings, services.clock
    lookout = Lookout(Watchers(store), services.people)
    return _Hands(
        crew=Crew(group),
        live=Live(store, clock, lookout, settings.limits.without_database),
        chronicle=Chronicle(services.journal.tell_all, clock.now),
        workers=Workers(),
    )


@dataclass(frozen=True, slots=True)
class _Steward:
    """What passes on to the world outside what all processes have told."""

    teller: Teller
    outlets: Outlets


def _stewarding(services: Services) -> _Steward:
    """Raises Misconfigured where the settings name somebody who can't be talked to."""
    store, settings, clock = services.store, services.settings, services.clock
    ways = outside.told_channels(services.home, settings)
    awaited = outside.awaiting(services.approving, clock)
    return _Steward(
        teller=outside.teller(store, ways, settings, clock, awaited),
        outlets=outside.outlets(services.home, store, ways, settings, clock),
    )


Chores = list[Coroutine[object, object, None]]


def _chores(services: Services, hands: _Hands, steward: _Steward | None) -> Chores:
    """What goes on beside serving, until the end; all of it where this process is alone."""
    recording = services.settings.recording
    chores: Chores = [
        hands.live.watch(),
        hands.chronicle.keep(),
        watch_rules(services.rulebook),
        tell_failures(services.failures, hands.chronicle, services.clock),
        keep_syncing(services.archive, recording.sync),
        keep_marking(services.archive, recording.checkpoint),
        watch_disk(
            _space(services), services.archive, recording.stall, hands.live, hands.chronicle
        ),
    ]
    if is_server(services.settings.database.url):
        chores.append(keep_beating(services.store, services.index, hands.live, services.clock))
    return chores if steward is None else [*chores, *_common_chores(services, steward)]


def _common_chores(services: Services, steward: _Steward) -> Chores:
    """What has to go on once for a home, however many processes serve it."""
    chores: Chores = [
        keep_calling(_recovering(services, Presence(services.home.run))),
        forget_watchers(services.watching, services.clock),
        keep_sealing(services.sealer, services.settings.audit.checkpoint),
        keep_sealing_recordings(services.archive),
        keep_time(services.store, services.clock),
        Pruner(services.pruning, SERVICE, services.clock).keep(),
        steward.teller.keep_telling(),
        steward.outlets.keep(),
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
        _space(services),
        after=after,
        journal=services.journal,
        service=SERVICE,
        now=services.clock.now,
    )


def _space(services: Services) -> Space:
    recording = services.settings.recording
    marks = Marks(recording.low_water, recording.reserve, recording.emergency_reserve)
    return Space(services.settings.recordings(services.home), marks)


async def _put_away(services: Services, hands: _Hands) -> None:
    """Keep what has not been kept yet."""
    await hands.crew.settle(LAST_WORDS)  # how sessions ended is told by it
    now = services.clock.now()
    tell_failures_before(services.failures, hands.chronicle, now + MINUTE)
    await hands.chronicle.close()
    hands.workers.close()
    boot = services.store.chain.boot
    await asyncio.to_thread(services.store.close_left_open, now, [boot])
    await asyncio.to_thread(services.store.end_runners, [boot], now)


async def _put_common_away(services: Services, steward: _Steward) -> None:
    """The last events are sealed, and passed on."""
    await _told(services, What.SERVICE_STOPPED)
    try:
        await asyncio.to_thread(services.sealer.seal)
    except BastionError as error:
        log.error("the last events are not sealed: %s", error)
    await steward.outlets.finish(LAST_WORDS)


async def _told(services: Services, what: What) -> None:
    """Tell of the service itself; it goes on where that can't be kept."""
    try:
        told = happenings.by(SERVICE, what)
        await asyncio.to_thread(services.store.tell, told, services.clock.now())
    except BastionError as error:
        log.error("%s", error)


def _raise_descriptors() -> None:
    """As many open files as the system lets us have: a session takes four or five."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _recovering(services: Services, presence: Presence) -> Recovering:
    return Recovering(
        services.store,
        services.journal,
        index=services.index,
        archive=services.archive,
        presence=presence,
        now=services.clock.now,
    )


async def _listen(
    services: Services, control: Control, hands: _Hands, share: Share | None
) -> list[asyncio.Server]:
    turn = Turn()
    limits = services.settings.limits
    parts = Parts(
        store=services.store,
        archive=services.archive,
        live=hands.live,
        clock=services.clock,
        connector=connector(services, turn),
        crew=hands.crew,
        turn=turn,
        notice=services.settings.notice,
        index=services.index,
        chronicle=hands.chronicle,
        orders=Orders(shared=None if share is None else services.home.turns),
        watch_wait=limits.watch_wait,
    )
    places = (limits.connections, limits.unauthenticated, limits.unauthenticated_per_source)
    if share is not None:
        places = share.part(places[0]), share.part(places[1]), share.part(places[2])
    front = Front(
        parts,
        services.authority,
        control,
        workers=hands.workers,
        admission=Admission(Places(*places)),
        failures=services.failures,
        login_grace=limits.login_grace,
    )
    loop = asyncio.get_running_loop()
    if share is not None:
        return [
            await loop.create_server(front.connection, sock=each, backlog=BACKLOG)
            for each in share.listening
        ]
    listen = services.settings.listen
    try:
        host, port = listen.host, listen.port
        server = await loop.create_server(
            front.connection, host, port, backlog=BACKLOG, reuse_address=True
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unavailable(f"{listen.address} can't be listened on: {reason}.") from error
    return [server]


def _close(servers: Sequence[asyncio.Server]) -> None:
    for server in servers:
        server.close()


async def _drained(
    servers: Sequence[asyncio.Server], live: Live, seconds: float, group: asyncio.TaskGroup
) -> None:
    """Until a signal; then no new sessions, and the live ones go on for at most `seconds`."""
    first, second = asyncio.Event(), asyncio.Event()

    def hear() -> None:
        (second if first.is_set() else first).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, hear)
    await first.wait()
    _close(servers)
    live.closing = True
    log.info("draining: %d live sessions", len(live))
    ways = [group.create_task(live.empty()), group.create_task(_heard(second))]
    await asyncio.wait(ways, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()


def _heed_rules(rulebook: Rulebook, crew: Crew) -> None:
    """SIGHUP: without this it would end the process."""
    crew.start(reread_rules(rulebook), "reading the rules")


async def _heard(event: asyncio.Event) -> None:
    await event.wait()


async def _disconnected(live: Live) -> None:
    """End what is still live, and wait until its recordings are closed."""
    live.cut_all(EndReason.DRAINED, "the bastion is going down; this session is over.")
    try:
        async with asyncio.timeout(5):
            await live.empty()
    except TimeoutError:
        log.error("%d recordings did not close in time", len(live))


def addresses(sockets: Iterable[socket.socket]) -> str:
    """Where these listen, in words."""
    return ", ".join(_address(sock.getsockname()) for sock in sockets)


def _address(name: tuple[object, ...]) -> str:
    host, port = str(name[0]), name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
