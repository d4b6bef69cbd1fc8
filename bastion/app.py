"""The house put together: everything is built here, by constructor, and served.

opened(home)   the parts that every command needs: settings, store, authority, verbs, archive
serve(...)     the bastion itself, until SIGTERM
"""

import asyncio
import logging
import resource
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from bastion import happenings, outside
from bastion.access import Access
from bastion.actor import Actor
from bastion.admission import Admission, Places
from bastion.approving import Approving
from bastion.arrival import Parts
from bastion.audit import Sealer, keep_sealing, seal_with
from bastion.authority import Authority
from bastion.chronicle import Chronicle
from bastion.clock import Clock
from bastion.compacting import compacting
from bastion.config import Settings
from bastion.control import Control
from bastion.crew import Crew
from bastion.duties import (
    MINUTE,
    forget_watchers,
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
from bastion.enrolment import Enrolment
from bastion.errors import BastionError, Unavailable
from bastion.events import Happened, What
from bastion.failures import Failures
from bastion.home import Home
from bastion.live import Live
from bastion.lookout import Lookout
from bastion.orders import Orders
from bastion.outlets import Outlets
from bastion.people import People
from bastion.probe import Prober
from bastion.pruner import Pruner, keep_time
from bastion.pruning import Pruning
from bastion.revocation import Revocation, RevocationKeeper
from bastion.rulebook import Rulebook
from bastion.sealing import inspection as inspecting
from bastion.sealing import sealing
from bastion.server import Front
from bastion.store import Store
from bastion.store.inbox import Inbox
from bastion.store.journal import Journal
from bastion.store.keeping import Keeping
from bastion.store.watchers import Watchers
from bastion.telling import Teller
from bastion.upstream import Connector
from bastion.watching import Watching
from bastion.wire.packets import Turn
from bastion.workers import Workers
from recorder import Archive, EndReason, Index, Seals
from recorder.compacting import Compacting
from recorder.inspection import Inspection
from recorder.removal import Removal
from recorder.space import Marks, Space
from recorder.tombstones import Tombstones

log = logging.getLogger(__name__)

BACKLOG = 1024

LAST_WORDS = 3.0
"""Seconds for telling the last events when the service ends, and as many for passing them on."""

SERVICE = Actor("bastion")
"""Who reads the rules, seals the log and passes it on: this program itself."""

NEWEST = 1000
"""Sessions that are looked at, at a start, for what nobody came to tell of them."""

THREADS = 32
"""Threads for the doors' questions to the database."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a command or the server works with."""

    home: Home
    settings: Settings
    store: Store
    authority: Authority
    index: Index
    seals: Seals
    tombstones: Tombstones
    keeping: Keeping
    inspection: Inspection
    pruning: Pruning
    archive: Archive
    access: Access
    approving: Approving
    inbox: Inbox
    journal: Journal
    sealer: Sealer
    rulebook: Rulebook
    people: People
    enrolment: Enrolment
    watching: Watching
    clock: Clock
    failures: Failures


@contextmanager
def opened(home: Home) -> Iterator[Services]:
    """The services of a home, until the end of the block. Raises Misconfigured, Unavailable."""
    settings = Settings.read(home)
    store = Store.open(settings.database_url(home))
    try:
        authority = Authority.load(home.keys)
        index, seals = Index(store.database), Seals(store.database)
        clock = Clock(latest=store.latest_time())
        journal = Journal(store)
        recordings, tombstones = settings.recordings(home), Tombstones(store.database)
        keeping, removal = Keeping(store), Removal(recordings, index, tombstones)
        inspection = inspecting(
            *(recordings, index, seals),
            authority=authority,
            tombstones=tombstones,
            keeping=keeping,
            journal=journal,
            now=clock.now,
        )
        inbox, people, access = Inbox(store), People(settings.accounts), settings.access
        rulebook = Rulebook(home.policy, store, SERVICE, clock.now)
        yield Services(
            home=home,
            settings=settings,
            store=store,
            authority=authority,
            index=index,
            seals=seals,
            tombstones=tombstones,
            keeping=keeping,
            inspection=inspection,
            archive=Archive(
                recordings,
                index,
                recipients=settings.recording.auditors,
                limit=settings.recording.session_limit,
                sealing=sealing(
                    recordings,
                    index,
                    seals,
                    authority=authority,
                    journal=journal,
                    service=SERVICE,
                    now=clock.now,
                ),
            ),
            access=Access(store, authority, access.certificate_lifetime, rulebook.current, people),
            approving=Approving(store, inbox, rulebook.current, people, access.request_lifetime),
            inbox=inbox,
            journal=journal,
            pruning=Pruning(
                settings.retention.rules,
                store=store,
                keeping=keeping,
                index=index,
                seals=seals,
                inspection=inspection,
                removal=removal,
                authority=authority,
                now=clock.now,
            ),
            sealer=Sealer(journal, partial(_sealed, authority), clock.now),
            rulebook=rulebook,
            people=people,
            enrolment=Enrolment(store),
            watching=Watching(Watchers(store), people),
            clock=clock,
            failures=Failures(),
        )
    finally:
        store.close()


def _sealed(authority: Authority, body: bytes) -> str:
    """By the seal key of the moment: it may be changed while this process runs."""
    return seal_with(authority.seal)(body)


def upgrade(home: Home) -> None:
    """Bring the database's schema up to date. Raises Conflict where the home is served already."""
    settings = Settings.read(home)
    with home.lock():
        store = Store.open(settings.database_url(home), check=False)
        try:
            store.migrate()
        finally:
            store.close()


async def serve(services: Services, control: Control, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends live sessions at once.

    `ready` is called with the address once connections are taken. Raises Unavailable where the
    address can't be used.
    """
    _raise_descriptors()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "doors"))
    await _recover(services)
    async with asyncio.TaskGroup() as group:
        hands = _hands(services, group)
        chores = [group.create_task(chore) for chore in _chores(services, hands)]
        server = await _listen(services, control, hands)
        loop.add_signal_handler(signal.SIGHUP, _heed_rules, services.rulebook, hands.crew)
        try:
            ready(", ".join(_address(sock.getsockname()) for sock in server.sockets))
            await _told(services, What.SERVICE_STARTED)
            await _drained(server, hands.live, services.settings.limits.drain, group)
        finally:
            server.close()
            await _disconnected(hands.live)
            for chore in chores:
                chore.cancel()
            await _put_away(services, hands)


@dataclass(frozen=True, slots=True)
class _Hands:
    """What serving works with, for as long as it lasts."""

    crew: Crew
    live: Live
    chronicle: Chronicle
    workers: Workers
    teller: Teller
    outlets: Outlets


def _hands(services: Services, group: asyncio.TaskGroup) -> _Hands:
    """Raises Misconfigured where the settings name somebody who can't be talked to."""
    store, settings, clock = services.store, services.settings, services.clock
    ways = outside.told_channels(services.home, settings)
    awaited = outside.awaiting(services.approving, clock)
    lookout = Lookout(Watchers(store), services.people)
    return _Hands(
        crew=Crew(group),
        live=Live(store, clock, lookout, settings.limits.without_database),
        chronicle=Chronicle(services.journal.tell_all, clock.now),
        workers=Workers(),
        teller=outside.teller(store, ways, settings, clock, awaited),
        outlets=outside.outlets(services.home, store, ways, settings, clock),
    )


def _chores(services: Services, hands: _Hands) -> list[Coroutine[object, object, None]]:
    """What goes on beside serving, until the end."""
    recording = services.settings.recording
    chores = [
        hands.live.watch(),
        hands.chronicle.keep(),
        watch_rules(services.rulebook),
        forget_watchers(services.watching, services.clock),
        tell_failures(services.failures, hands.chronicle, services.clock),
        keep_syncing(services.archive, recording.sync),
        keep_marking(services.archive, recording.checkpoint),
        watch_disk(
            _space(services), services.archive, recording.stall, hands.live, hands.chronicle
        ),
        keep_sealing(services.sealer, services.settings.audit.checkpoint),
        keep_sealing_recordings(services.archive),
        keep_time(services.store, services.clock),
        Pruner(services.pruning, SERVICE, services.clock).keep(),
        hands.teller.keep_telling(),
        hands.outlets.keep(),
    ]
    krl = services.settings.krl(services.home)
    if krl is not None:
        revocation = Revocation(services.store, services.authority)
        chores.append(RevocationKeeper(revocation, krl, services.clock, SERVICE).keep())
    if recording.compact is not None:
        chores.append(keep_compacting(_compacting(services, recording.compact)))
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
    await asyncio.to_thread(services.store.close_left_open, now)
    await _told(services, What.SERVICE_STOPPED)
    try:
        await asyncio.to_thread(services.sealer.seal)
    except BastionError as error:
        log.error("the last events are not sealed: %s", error)
    await hands.outlets.finish(LAST_WORDS)


async def _told(services: Services, what: What) -> None:
    """Tell of the service itself; it goes on where that can't be kept."""
    try:
        told = happenings.by(SERVICE, what)
        await asyncio.to_thread(services.store.tell, told, services.clock.now())
    except BastionError as error:
        log.error("%s", error)


def prober(services: Services) -> Prober:
    """What tries targets (`host check`)."""
    return Prober(services.authority, _connector(services, Turn()))


def _raise_descriptors() -> None:
    """As many open files as the system lets us have: a session takes four or five."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _recover(services: Services) -> None:
    """End what a process that was killed has left open."""
    now = services.clock.now()
    for found in await services.archive.recover():
        log.warning("%s", found)
    await asyncio.to_thread(_tell_untold, services, now)
    await asyncio.to_thread(services.store.close_left_open, now)
    await asyncio.to_thread(services.store.saw_time, now)


def _tell_untold(services: Services, now: datetime) -> None:
    """What nobody came to tell of the newest sessions: how they ended, and that they began."""
    newest = services.index.find(limit=NEWEST)
    told = services.journal.about_sessions([session.id for session in newest])
    untold: list[Happened] = []
    for session in reversed(newest):
        if (session.id, What.SESSION_STARTED) not in told:
            untold.append(happenings.of_session_begun(session))
        over = happenings.of_session_over(session)
        if not session.live and (session.id, over.what) not in told:
            untold.append(over)
    services.journal.tell_all([(happened, now) for happened in untold])


async def _listen(services: Services, control: Control, hands: _Hands) -> asyncio.Server:
    turn = Turn()
    limits = services.settings.limits
    parts = Parts(
        store=services.store,
        archive=services.archive,
        live=hands.live,
        clock=services.clock,
        connector=_connector(services, turn),
        crew=hands.crew,
        turn=turn,
        notice=services.settings.notice,
        index=services.index,
        chronicle=hands.chronicle,
        orders=Orders(),
        watch_wait=limits.watch_wait,
    )
    places = Places(limits.connections, limits.unauthenticated, limits.unauthenticated_per_source)
    front = Front(
        parts,
        services.authority,
        control,
        workers=hands.workers,
        admission=Admission(places),
        failures=services.failures,
        login_grace=limits.login_grace,
    )
    listen = services.settings.listen
    try:
        return await asyncio.get_running_loop().create_server(
            front.connection, listen.host, listen.port, backlog=BACKLOG, reuse_address=True
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unavailable(f"{listen.address} can't be listened on: {reason}.") from error


def _connector(services: Services, turn: Turn) -> Connector:
    timeout = services.settings.limits.connect_timeout
    return Connector(services.authority, services.store, services.clock, turn, timeout)


async def _drained(
    server: asyncio.Server, live: Live, seconds: float, group: asyncio.TaskGroup
) -> None:
    """Until a signal; then no new sessions, and the live ones go on for at most `seconds`."""
    first, second = asyncio.Event(), asyncio.Event()

    def hear() -> None:
        (second if first.is_set() else first).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, hear)
    await first.wait()
    server.close()
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


def _address(name: tuple[object, ...]) -> str:
    host, port = str(name[0]), name[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
