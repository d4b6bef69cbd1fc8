"""The house put together: the parts that every command needs are built here, by constructor."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from bastion import happenings, namesakes
from bastion.access import Access
from bastion.actor import Actor
from bastion.approving import Approving
from bastion.audit import Sealer, seal_with
from bastion.authority import Authority
from bastion.clock import Clock
from bastion.config import RecordingSettings, Settings
from bastion.enrolment import Enrolment
from bastion.errors import Unavailable
from bastion.failures import Failures
from bastion.home import Home
from bastion.people import People
from bastion.presence import Presence
from bastion.probe import Prober
from bastion.pruning import Pruning
from bastion.rulebook import Rulebook
from bastion.sealing import covering, of_other_machines, sealing
from bastion.sealing import inspection as inspecting
from bastion.signing.client import SignerClient
from bastion.store import Store
from bastion.store.inbox import Inbox
from bastion.store.journal import Journal
from bastion.store.keeping import Keeping
from bastion.store.places import is_server
from bastion.store.watchers import Watchers
from bastion.storing import Storing, storing
from bastion.upstream import Connector
from bastion.watching import Watching
from bastion.wire.packets import Turn
from recorder import Archive, Arrears, Covering, Index, Sealing, Seals, Transcripts
from recorder.fts import SqliteTexts
from recorder.inspection import Inspection
from recorder.redaction import Redaction, Redactor
from recorder.removal import Removal
from recorder.shared_texts import SharedTexts
from recorder.texts import Texts
from recorder.tombstones import Tombstones

log = logging.getLogger(__name__)

SERVICE = Actor("bastion")
"""Who reads the rules, seals the log and passes it on: this program itself."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a command or the server works with."""

    home: Home
    settings: Settings
    store: Store
    authority: Authority
    signer: SignerClient | None
    index: Index
    seals: Seals
    tombstones: Tombstones
    keeping: Keeping
    inspection: Inspection
    pruning: Pruning
    archive: Archive
    storing: Storing
    sealing: Sealing
    transcripts: Transcripts
    texts: Texts
    arrears: Arrears
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
def opened(home: Home, settings: Settings | None = None) -> Iterator[Services]:
    """The services of a home, until the end of the block. Raises Misconfigured, Unavailable.

    `settings` are what its file says, unless they are handed in.
    """
    settings = settings or Settings.read(home)
    store = Store.open(settings.database_url(home), node=settings.node or None)
    texts = _texts(settings, home, store)
    signer = signer_of(settings)
    try:
        authority = authority_of(home, signer)
        clock = Clock(latest=store.latest_time())
        journal, seals = Journal(store), Seals(store.database)
        index = Index(
            *(store.database, store.chain.boot),
            told=lambda connection, sessions: journal.tell_within(
                connection, [happenings.dated(session, clock.now()) for session in sessions]
            ),
        )
        recordings, tombstones = settings.recordings(home), Tombstones(store.database)
        keeping = Keeping(store)
        stores = storing(
            settings.recording.store,
            store.database,
            seals,
            recordings=recordings,
            fetched=home.fetched,
            limit=settings.recording.store_cache,
            floor=settings.recording.low_water,
            elsewhere=of_other_machines(journal),
        )
        removal = Removal(
            *(recordings, index, tombstones, [texts.forget]),
            node=journal.node,
            store=stores.clearing,
            serves=lambda node: node in {runner.node for runner in store.runners()},
        )
        inspection = inspecting(
            *(recordings, index, seals),
            authority=authority,
            tombstones=tombstones,
            keeping=keeping,
            journal=journal,
            now=clock.now,
            storing=stores,
        )
        sealer = sealing(
            *(recordings, index, seals),
            authority=authority,
            journal=journal,
            service=SERVICE,
            now=clock.now,
            covering=_covering(settings.recording),
        )
        arrears = Arrears(Unavailable)
        inbox, people, access = Inbox(store), People(settings.accounts), settings.access
        rulebook = Rulebook(home.policy, store, SERVICE, clock.now)
        yield Services(
            home=home,
            settings=settings,
            store=store,
            authority=authority,
            signer=signer,
            index=index,
            seals=seals,
            tombstones=tombstones,
            keeping=keeping,
            inspection=inspection,
            storing=stores,
            sealing=sealer,
            archive=Archive(
                recordings,
                index,
                recipients=settings.recording.auditors,
                limit=settings.recording.session_limit,
                sealing=sealer,
                places=stores.places,
                arrears=arrears,
            ),
            transcripts=_transcripts(settings),
            texts=texts,
            arrears=arrears,
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
        if signer is not None:
            signer.close()
        texts.close()
        store.close()


def signer_of(settings: Settings) -> SignerClient | None:
    """The way to the signer; None where the keys lie in the home."""
    path = settings.signer_socket
    return None if path is None else SignerClient(path, settings.signer.timeout)


def authority_of(home: Home, signer: SignerClient | None) -> Authority:
    """The authority of a home, which signs by the signer where there is one.

    Raises Misconfigured.
    """
    return Authority.load(home.keys, None if signer is None else signer.signer)


def _texts(settings: Settings, home: Home, store: Store) -> Texts:
    """One text index for all who share a database; else one of this home's own."""
    if is_server(settings.database_url(home)):
        return SharedTexts(store.database, store.chain.node)
    return SqliteTexts(home.texts)


def _covering(recording: RecordingSettings) -> Covering | None:
    return covering(recording.auditors, recording.marks) if recording.encrypt else None


def _transcripts(settings: Settings) -> Transcripts:
    """Without what the settings want to be left out of them."""
    redaction = Redaction(settings.recording.redact)
    return Transcripts(Redactor(redaction)) if redaction else Transcripts()


def _sealed(authority: Authority, body: bytes) -> str:
    """By the seal key of the moment: it may be changed while this process runs."""
    return seal_with(authority.seal)(body)


def upgrade(home: Home) -> None:
    """Bring the database's schema up to date. Raises Conflict where the home is served already,
    or another machine of the same database has this one's name."""
    settings = Settings.read(home)
    with home.lock():
        store = Store.open(settings.database_url(home), check=False, node=settings.node or None)
        try:
            store.migrate()
            namesakes.demand_none(store, Presence(home.run))
        finally:
            store.close()


def prober(services: Services) -> Prober:
    """What tries targets (`host check`)."""
    return Prober(services.authority, connector(services, Turn()))


def connector(services: Services, turn: Turn) -> Connector:
    """What opens connections to targets."""
    limits = services.settings.limits
    return Connector(
        services.authority,
        services.store,
        services.clock,
        turn,
        connect_timeout=limits.connect_timeout,
        dead=limits.dead,
    )
