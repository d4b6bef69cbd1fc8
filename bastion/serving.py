"""Serving: the doors, and what has to go on beside them, until SIGTERM.

serve(...)     one process that takes connections; alone, it does everything for its home
steward(...)   what has to be done once for a home, where several processes serve it
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from bastion import descriptors, heaps, metrics
from bastion.admission import Admission
from bastion.app import Services, connector
from bastion.arrival import Parts
from bastion.bounding import idle, threshold
from bastion.bulletin import Wrong
from bastion.chronicle import Chronicle
from bastion.control import Control
from bastion.crew import Crew
from bastion.doorbook import SOON, Doorbook
from bastion.durations import format_duration
from bastion.duties import (
    MINUTE,
    keep_beating,
    keep_marking,
    keep_syncing,
    reread_rules,
    tell_failures,
    tell_failures_before,
    tell_reached,
    tell_reached_before,
    watch_disk,
    watch_rules,
    watch_signer,
    watch_time,
)
from bastion.errors import BastionError, Unavailable
from bastion.idling import Idling
from bastion.live import GOING_DOWN, Live
from bastion.lookout import Lookout
from bastion.metrics import Meters
from bastion.neighbours import Neighbours
from bastion.orders import Orders
from bastion.presence import Presence
from bastion.pulse import Pulse, Traffic
from bastion.reached import Reached
from bastion.reloading import Started
from bastion.server import Front
from bastion.stewarding import LAST_WORDS, Chores, Steward, space_of
from bastion.store.places import is_server
from bastion.store.watchers import Watchers
from bastion.wire.bounds import Bounds, Windows
from bastion.wire.packets import Turn
from bastion.workers import Workers
from recorder import EndReason
from recorder.nouns import counted
from recorder.space import Space

log = logging.getLogger(__name__)

BACKLOG = 1024

THREADS = 32
"""Threads for the doors' questions to the database, and for opening and closing recordings."""

SILENT = 5.0
"""Seconds without an answer after which the database counts as away, and the signer; the one is
asked five times a second, the other every two."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several processes does for a home: it serves on `listening`, and no more. How
    many connections there are at the others its `neighbours` tell."""

    listening: Sequence[socket.socket]
    neighbours: Neighbours


async def serve(
    services: Services,
    control: Control,
    ready: Callable[[str], None],
    pulse: Pulse,
    *,
    share: Share | None = None,
    started: Started | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends live sessions at once.

    Without a `share` this process does everything for its home: `steward`'s work too. `ready` is
    called with the address once connections are taken. What this process says of itself is in
    `pulse`. Where it is the one to say at SIGHUP what has changed in the settings, it is told what
    it was `started` with. Raises Unavailable where the address can't be used.
    """
    _prepare_loop(services.settings.limits.connections)  # one of several may have nearly all
    steward = None if share is not None else Steward(services, pulse)
    if steward is not None:
        await steward.recover()
    with Presence(services.home.run).held(services.store.chain.boot):
        await asyncio.to_thread(services.store.enter_runner, services.clock.now())
        await _serve(services, control, ready, pulse, share=share, steward=steward, started=started)


async def steward(
    services: Services, ready: Callable[[], None], pulse: Pulse, started: Started
) -> None:
    """What one process does for all that serve a home, until SIGTERM: see `stewarding`.

    `ready` is called when what was left open before has been ended. At SIGHUP this is the process
    that says what has changed in the settings since all were `started` with them.
    """
    _prepare_loop(0)
    common = Steward(services, pulse)
    await common.recover()
    async with asyncio.TaskGroup() as group:
        chores = [group.create_task(chore) for chore in [*common.chores(), pulse.keep()]]
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        crew = Crew(group)
        loop.add_signal_handler(
            signal.SIGHUP, lambda: crew.start(started.heed(), "reading the settings")
        )
        await common.begin()
        ready()
        await over.wait()
        for chore in chores:
            chore.cancel()
        await common.put_away()


async def _serve(
    services: Services,
    control: Control,
    ready: Callable[[str], None],
    pulse: Pulse,
    *,
    share: Share | None,
    steward: Steward | None,
    started: Started | None,
) -> None:
    async with asyncio.TaskGroup() as group:
        hands = _hands(services, group, pulse)
        common = [] if steward is None else steward.chores()
        chores = [group.create_task(chore) for chore in [*_chores(services, hands), *common]]
        keeper = group.create_task(services.arrears.keep())  # until the last has told its end
        servers = await _listen(services, control, hands, share)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, _heed, services, hands.crew, started)
        try:
            ready(addresses(sock for server in servers for sock in server.sockets))
            if steward is not None:
                await steward.begin()
            await _drained(servers, hands.live, services.settings.limits.drain, group)
        finally:
            _close(servers)
            await _disconnected(hands.live)
            for chore in chores:
                chore.cancel()
            await _put_away(services, hands)
            keeper.cancel()
            if steward is not None:
                await steward.put_away()


def _prepare_loop(connections: int) -> None:
    descriptors.take_all(connections)
    heaps.share()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "doors"))


@dataclass(frozen=True, slots=True)
class _Hands:
    """What serving works with, for as long as it lasts."""

    crew: Crew
    live: Live
    chronicle: Chronicle
    workers: Workers
    space: Space
    pulse: Pulse
    traffic: Traffic
    reached: Reached
    idling: Idling


def _hands(services: Services, group: asyncio.TaskGroup, pulse: Pulse) -> _Hands:
    store, settings, clock = services.store, services.settings, services.clock
    journal = services.journal
    lookout = Lookout(Watchers(store), services.people)
    meters = pulse.meters

    def felt(reason: EndReason, after: timedelta) -> None:
        meters.observe(metrics.FELT, max(0.0, after.total_seconds()), reason)

    reached = Reached(meters, clock.now)
    hands = _Hands(
        crew=Crew(group),
        live=Live(store, clock, lookout, settings.limits.without_database, felt),
        chronicle=Chronicle(journal.tell_all, clock.now, journal.tell_missing, SOON),
        workers=Workers(),
        space=space_of(services),
        pulse=pulse,
        traffic=Traffic(meters),
        reached=reached,
        idling=Idling(reached, asyncio.get_running_loop().time),
    )
    pulse.measured_by(hands.traffic.look)
    pulse.measured_by(partial(_measure, services, hands))
    pulse.wrong_by(partial(_wrong, services, hands))
    return hands


def _measure(services: Services, hands: _Hands) -> None:
    """What is looked at when it is asked for; the rest is counted where it happens."""
    meters = hands.pulse.meters
    meters.put(metrics.BEHIND, services.archive.behind)
    meters.put(metrics.FREE, hands.space.free)
    meters.put(metrics.ROOM, hands.live.room)
    meters.put(metrics.EVENTS, hands.chronicle.waiting)
    meters.put(metrics.ARREARS, services.arrears.waiting)
    meters.put(metrics.EVENTS_LOST, hands.chronicle.lost)
    meters.put(metrics.SILENT, hands.live.silent)
    meters.put(metrics.SIGNER, 0.0 if services.signer is None else services.signer.silent)


def _measure_places(meters: Meters, admission: Admission) -> None:
    meters.put(metrics.CONNECTIONS, admission.signed_in_now, "signed_in")
    meters.put(metrics.CONNECTIONS, admission.nobodys, "nobody")


def _wrong(services: Services, hands: _Hands) -> Iterator[Wrong]:
    """Why no session can begin here."""
    if hands.live.silent > SILENT:
        yield Wrong.DATABASE
    if not hands.live.room.begins(emergency=False):
        yield Wrong.DISK
    if services.clock.behind():
        yield Wrong.CLOCK
    if services.signer is not None and services.signer.silent > SILENT:
        yield Wrong.SIGNER
    if hands.live.closing:
        yield Wrong.ENDING


def _chores(services: Services, hands: _Hands) -> Chores:
    """What goes on beside serving, until the end."""
    recording = services.settings.recording
    chores: Chores = [
        hands.pulse.keep(),
        hands.live.watch(),
        hands.chronicle.keep(),
        hands.idling.keep(),
        watch_rules(services.rulebook),
        watch_time(services.store, services.clock),
        tell_failures(services.failures, hands.chronicle, services.clock),
        tell_reached(hands.reached, hands.chronicle, services.clock),
        keep_syncing(services.archive, recording.sync),
        keep_marking(services.archive, recording.checkpoint),
        watch_disk(hands.space, services.archive, recording.stall, hands.live, hands.chronicle),
    ]
    if services.signer is not None:
        chores.append(watch_signer(services.signer, hands.chronicle))
    if is_server(services.settings.database.url):
        chores.append(keep_beating(services.store, services.index, hands.live, services.clock))
    return chores


async def _put_away(services: Services, hands: _Hands) -> None:
    """Keep what has not been kept yet."""
    await hands.crew.settle(LAST_WORDS)  # how sessions ended is told by it
    services.arrears.close()
    now = services.clock.now()
    tell_failures_before(services.failures, hands.chronicle, now + MINUTE)
    tell_reached_before(hands.reached, hands.chronicle, now + MINUTE)
    await hands.chronicle.close()
    hands.workers.close()
    try:
        await asyncio.to_thread(_leave, services, now)
    except BastionError as error:
        log.error("what is left open is ended at the next start: %s", error)


def _leave(services: Services, now: datetime) -> None:
    """This process carries nothing any more, and says so."""
    boot = services.store.chain.boot
    services.store.close_left_open(now, [boot])
    services.store.end_runners([boot], now)
    Presence(services.home.run).forget(boot)


async def _listen(
    services: Services, control: Control, hands: _Hands, share: Share | None
) -> list[asyncio.Server]:
    limits = services.settings.limits
    turn = Turn(Windows(limits.in_flight))
    parts = Parts(
        store=services.store,
        archive=services.archive,
        arrears=services.arrears,
        doorbook=Doorbook(
            services.store.keep_passages, services.clock.now, services.arrears, hands.crew
        ),
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
        meters=hands.pulse.meters,
        traffic=hands.traffic,
        reached=hands.reached,
        ceilings=limits.ceilings,
        idling=hands.idling,
        idle=partial(idle, limits.idle, services.rulebook),
        unused=limits.idle,
        bounds=Bounds(limits.channels, limits.requests),
    )
    before = threshold(services, hands.reached, None if share is None else share.neighbours)
    hands.pulse.measured_by(partial(_measure_places, hands.pulse.meters, before.admission))
    front = Front(
        parts,
        services.authority,
        control,
        workers=hands.workers,
        threshold=before,
        failures=services.failures,
        login_grace=limits.login_grace,
        dead=limits.dead,
        rules=services.rulebook.current,
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

    shown = format_duration(timedelta(seconds=seconds))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, hear)
    await first.wait()
    _close(servers)
    live.closing = True
    log.info("draining: %s, for at most %s", counted(len(live), "live session"), shown)
    live.warn_all(f"the bastion is going down: this session ends within {shown}.")
    ways = [group.create_task(live.empty()), group.create_task(_heard(second))]
    await asyncio.wait(ways, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    log.info("drained: %d of them are ended before their time", len(live))


def _heed(services: Services, crew: Crew, started: Started | None) -> None:
    """SIGHUP: without this it would end the process."""
    crew.start(reread_rules(services.rulebook), "reading the rules")
    if started is not None:
        crew.start(started.heed(), "reading the settings")


async def _heard(event: asyncio.Event) -> None:
    await event.wait()


async def _disconnected(live: Live) -> None:
    """End what is still live, and wait until its recordings are closed."""
    live.cut_all(EndReason.DRAINED, GOING_DOWN)
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
