"""The doctor: what is wrong with an installation, each finding with its mend.

It looks, and changes nothing. What it finds are values; who tells them to people is not known
here. `examine` stays on this machine, `visit` asks the targets.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bastion import app
from bastion.authority import Which, key_problems
from bastion.authority.generations import loose_ends, made_at
from bastion.authority.keyfiles import CAS
from bastion.config import Settings
from bastion.errors import BastionError
from bastion.exposed import exposed
from bastion.home import Home
from bastion.inventory import Host
from bastion.krl import Krl, decode
from bastion.machine import Finding, Level, boot, listening, mode, modes, room, unsteady, writable
from bastion.objects import PATIENCE, Bucket, ObjectStore
from bastion.probe import Prober
from bastion.retention import Leap
from bastion.revocation import Revocation
from bastion.rotation import Rotation, named
from bastion.rules import parse_rules
from bastion.signing.checkup import checkup
from bastion.signing.client import SignerClient
from bastion.store import Store
from bastion.store.keeping import Keeping
from bastion.text_files import read_text
from recorder.errors import StoreAway
from recorder.nouns import counted
from recorder.session import session_name
from recorder.shipments import Shipments

BACK = timedelta(seconds=5)
"""How far behind the latest time that was kept the clock may be."""

PROBE = "bastion-makes-each-object-once"
"""An object that the doctor tries to make twice."""

WAITS = timedelta(hours=1)
"""How long a recording may wait to be in the object store."""

MOST_NAMED = 10

AT_ONCE = 8
"""Targets that are asked at the same time."""


def examine(home: Home) -> list[Finding]:
    """All that can be found without asking a target."""
    settings, findings = _settings(home)
    signer = None if settings is None else app.signer_of(settings)
    findings += [*modes(home), *_keys(home, signer), *_policy(home)]
    if settings is not None:
        findings += [
            *_auditors(home, settings),
            *_signer(home, settings, signer),
            *writable(settings.recordings(home)),
            *_database(home, settings, datetime.now(UTC)),
            *(_object_store(settings.recording.store) if settings.recording.store else ()),
            *listening(home, settings),
            *(Finding(Level.WARNING, *each) for each in exposed(settings)),
        ]
    return [*findings, *room(home.directory), *unsteady(time.time, boot, time.sleep)]


async def visit(services: app.Services) -> list[Finding]:
    """What is found by asking every target for its host key; nobody logs in."""
    prober, turn = app.prober(services), asyncio.Semaphore(AT_ONCE)
    hosts = await asyncio.to_thread(services.store.hosts)
    async with asyncio.TaskGroup() as group:
        visits = [group.create_task(_visited(prober, host, turn)) for host in hosts]
    return [finding for done in visits for finding in done.result()]


async def _visited(prober: Prober, host: Host, turn: asyncio.Semaphore) -> list[Finding]:
    async with turn:
        try:
            steps = [step async for step in prober.steps(host, None)]
        except BastionError as error:
            return [_away(host, str(error))]
    return [
        _away(host, step.seen)
        if step.what == "reach"
        else Finding(
            Level.WRONG,
            f"{host.name} does not show the host key that is pinned: {step.seen}.",
            "find out why it changed before you pin another",
        )
        for step in steps
        if not step.well
    ]


def _away(host: Host, seen: str) -> Finding:
    mend = f"look whether it is up, else bastion-admin host set {host.name} --address HOST:PORT"
    return Finding(Level.WARNING, f"{host.name} can't be reached: {seen}", mend)


def _settings(home: Home) -> tuple[Settings | None, list[Finding]]:
    try:
        return Settings.read(home), []
    except BastionError as error:
        return None, [Finding(Level.WRONG, str(error), f"mend {home.settings}")]


def _policy(home: Home) -> Iterator[Finding]:
    mend = f"mend {home.policy}, or restore it from a copy"
    try:
        parse_rules(read_text(home.policy, mend), home.policy)
    except BastionError as error:
        yield Finding(Level.WRONG, str(error), mend)


def _keys(home: Home, signer: SignerClient | None) -> Iterator[Finding]:
    elsewhere = None if signer is None else signer.signer
    for problem in [*key_problems(home.keys, elsewhere), *loose_ends(home.keys, elsewhere)]:
        what, _, mend = problem.partition(": ")
        yield Finding(Level.WRONG, f"{what}.", mend.rstrip(".") or "restore it from a copy")


def _auditors(home: Home, settings: Settings) -> Iterator[Finding]:
    if home.auditor.exists():
        what = f"The auditors' private key is still here: {home.auditor}."
        mend = "move it to where auditors keep it; whoever has it reads what contractors typed"
        yield Finding(Level.WARNING, what, mend)
    if not settings.recording.auditors:
        what = "No auditors' key is set, so of what contractors send only lengths are kept."
        yield Finding(Level.WARNING, what, f"set recording.auditors in {home.settings}")


def _signer(home: Home, settings: Settings, signer: SignerClient | None) -> Iterator[Finding]:
    if signer is None:
        what = "The CAs' keys lie in the home: whoever takes the bastion over has them."
        mend = "bastion-admin signer adopt gives them to a process apart (docs/signer.md)"
        yield Finding(Level.NOTE, what, mend)
        return
    try:
        authority = app.authority_of(home, signer)
        store = Store.open(settings.database_url(home), check=False)
    except BastionError:
        return  # told with the keys, and with the database
    cas = {which: authority.generations(which) for which in CAS}
    try:
        for each in checkup(signer, cas, store, datetime.now(UTC)):
            yield Finding(Level.WRONG if each.grave else Level.WARNING, each.what, each.mend)
    finally:
        signer.close()
        store.close()


def _object_store(bucket: Bucket) -> Iterator[Finding]:
    """Whether it takes objects, and makes each once."""
    objects = ObjectStore(bucket, PATIENCE, tries=1)
    try:
        objects.make(PROBE, b"made once")
        changed = objects.make(PROBE, b"made twice")
    except StoreAway as error:
        mend = "look at recording.store, and at AWS_… in the service's environment"
        yield Finding(Level.WRONG, f"The object store can't be used: {error}.", mend)
        return
    if changed:
        what = f"{bucket} changes objects that are there already (it ignores If-None-Match)."
        mend = "take another store: in this one recordings can be overwritten"
        yield Finding(Level.WRONG, what, mend)
    if bucket.directory is not None:
        yield from mode(bucket.directory, os.geteuid(), private=True)


def _shipments(shipments: Shipments, now: datetime) -> Iterator[Finding]:
    """What is not in the object store, and why."""
    refused = shipments.refused(MOST_NAMED)
    if refused:
        named = ", ".join(map(session_name, refused))
        what = f"Some recordings can't go into the object store: {named}."
        mend = "bastion-admin audit --what recording.refused says why; they are on their machine"
        yield Finding(Level.WRONG, what, mend)
    count, size, oldest = shipments.waiting()
    if oldest is not None and now - oldest > WAITS:
        over = counted(count, "recording that is over", "recordings that are over")
        what = (
            f"Not in the object store: {over} ({size >> 20} MiB), the oldest since "
            f"{oldest:%Y-%m-%d %H:%M} UTC."
        )
        mend = "look whether the service runs on each machine, and in its log"
        yield Finding(Level.WARNING, what, mend)


def _database(home: Home, settings: Settings, now: datetime) -> Iterator[Finding]:
    try:
        store = Store.open(settings.database_url(home), check=False)
    except BastionError as error:
        yield Finding(Level.WRONG, str(error), "restore the database from a copy")
        return
    try:
        store.demand_usable_schema()
        yield from _time(store.latest_time(), now)
        if settings.retention.rules.finite:
            yield from _leap(Keeping(store).leap())
        if settings.recording.store is not None:
            yield from _shipments(Shipments(store.database), now)
        yield from _changes(home, settings, store, now)
    except BastionError as error:
        what, _, mend = str(error).partition(": ")
        yield Finding(Level.WRONG, f"{what.rstrip('.')}.", mend or "restore it from a copy")
    finally:
        store.close()


def _changes(home: Home, settings: Settings, store: Store, now: datetime) -> Iterator[Finding]:
    """Keys that are being changed, and the list of what is revoked; with whole keys only."""
    try:
        authority = app.authority_of(home, app.signer_of(settings))
    except BastionError:
        return  # told with the keys
    behind = Rotation(store, authority, home.keys).behind()
    for which in CAS:
        if authority.generations(which).next is not None:
            yield _changing(home, which, behind if which is Which.TARGET_CA else ())
    file = settings.krl(home)
    if file is not None:
        yield from _revoked(file, Revocation(store, authority).listed(now))


def _changing(home: Home, which: Which, behind: tuple[str, ...]) -> Finding:
    since = made_at(home.keys, which)
    day = "" if since is None else f" since {since:%Y-%m-%d}"
    name = which.value.removesuffix("_ca")
    what = f"The {name} key is being changed for another{day}."
    mend = f"when all trust the next one: bastion-admin ca rotate {name} --retire"
    if behind:
        what += f" Not moved: {named(behind)}."
        mend = "bastion-admin host setup NAME, then host check NAME --login LOGIN, for each"
    return Finding(Level.WARNING, what, mend)


def _revoked(file: Path, wanted: Krl) -> Iterator[Finding]:
    mend = f"start the service, which keeps it, or bastion-admin ca krl --output {file}"
    try:
        read = decode(file.read_bytes())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        what = f"The list of what is revoked can't be read, {file}: {why}."
        yield Finding(Level.WRONG, f"{what} An sshd with it refuses everybody.", mend)
        return
    if (read.serials, read.keys) != (wanted.serials, wanted.keys):
        yield Finding(Level.WARNING, f"The list of what is revoked is not up to date: {file}", mend)


def _time(latest: datetime | None, now: datetime) -> Iterator[Finding]:
    if latest is not None and now + BACK < latest:
        what = f"The clock says {now:%Y-%m-%d %H:%M:%S}, but {latest:%Y-%m-%d %H:%M:%S} has been."
        mend = (
            "set the clock right (chronyc makestep); where it is right now and was ahead before: "
            "bastion-admin clock reset"
        )
        yield Finding(Level.WRONG, what, mend)


def _leap(leap: Leap | None) -> Iterator[Finding]:
    if leap is not None:
        what = (
            f"The clock went from {leap.since:%Y-%m-%d} to {leap.until:%Y-%m-%d} with nothing in "
            "between, and so no recording is let go."
        )
        mend = "look whether it is right, then bastion-admin prune --clock-is-right"
        yield Finding(Level.WARNING, what, mend)
