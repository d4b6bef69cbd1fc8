"""How recordings are sealed here: by which key, and who is told.

The recorder numbers, chains and keeps; it knows neither keys nor the log of events.
"""

import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from bastion import happenings
from bastion.actor import Actor
from bastion.authority import Authority
from bastion.authority.keyring import retired_at
from bastion.authority.sshsig import Fault, sign, verify
from bastion.errors import BastionError, Unavailable
from bastion.inventory import PublicKey
from bastion.store.journal import Journal
from bastion.store.keeping import Keeping
from bastion.storing import Storing
from recorder import Covering, Index, NotSealed, Sealing, Seals, Session
from recorder.age import recipient
from recorder.departed import Departed
from recorder.inspection import Inspection, Told
from recorder.manifest import NAMESPACE
from recorder.space import Marks
from recorder.tombstone import TOMBSTONE_NAMESPACE
from recorder.tombstones import Laid, Tombstones
from recorder.verify import By, Judge, Witness

REST: Final = 0.001
"""Seconds between two slices of what is encrypted while sessions go on."""


def judged_by(keys: Sequence[PublicKey], namespace: str = NAMESPACE) -> Judge:
    """Judges by these keys, the newest first (`Authority.seal_keys`)."""
    known = {key.blob: By(age, retired_at(key)) for age, key in enumerate(reversed(keys))}

    def signed(signature: str, text: str) -> By | str:
        found = verify(signature, namespace, text.encode("utf-8", "surrogateescape"), keys)
        return str(found) if isinstance(found, Fault) else known[found.blob]

    return signed


def inspection(
    directory: Path,
    index: Index,
    seals: Seals,
    *,
    authority: Authority,
    tombstones: Tombstones,
    keeping: Keeping,
    journal: Journal,
    now: Callable[[], datetime],
    storing: Storing,
) -> Inspection:
    """Inspects recordings: by the keys of the moment, and by what the log and the holds say."""

    def ask(session: Session, laid: Laid) -> Witness:
        held = keeping.hold_on(session, laid.at) is not None
        try:
            told = keeping.told_of(session.id)
        except Unavailable:  # its event can't be read; a database that is away says so soon
            told = frozenset()
        return Witness(held, told)

    def signed(signature: str, manifest: str) -> By | str:
        return judged_by(authority.seal_keys)(signature, manifest)

    def buried(signature: str, tombstone: str) -> By | str:
        return judged_by(authority.seal_keys, TOMBSTONE_NAMESPACE)(signature, tombstone)

    departed = Departed(directory, tombstones, ask, buried, now)
    return Inspection(
        *(directory, index, seals, signed),
        now=now,
        departed=departed,
        told=told_of(journal),
        places=storing.places,
        stored=storing.stored,
    )


def of_other_machines(journal: Journal) -> Callable[[str], bool]:
    """Whether a runner is another machine's. Of this process's own nobody has to be asked."""
    return lambda runner: (
        runner != journal.boot and journal.node_of(runner) not in (None, journal.node)
    )


def told_of(journal: Journal) -> Told:
    """What the log of events was told of the seals of sessions."""

    def told(sessions: Collection[int]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        try:
            events = journal.seals_told(sessions)
        except Unavailable:
            if len(sessions) == 1:  # its event can't be read; a database that is away says so soon
                return {session: ["?"] for session in sessions}
            return {session: said for each in sessions for session, said in told([each]).items()}
        for event in events:
            happened = event.happened
            if happened.session is not None:
                sha256 = happened.details.get("sha256")
                found.setdefault(happened.session, []).append(str(sha256))
        return found

    return told


def sealing(
    directory: Path,
    index: Index,
    seals: Seals,
    *,
    authority: Authority,
    journal: Journal,
    service: Actor,
    now: Callable[[], datetime],
    covering: Covering | None = None,
) -> Sealing:
    """Sealing with the seal key of the moment, told to the log of events in the service's name.

    `covering` encrypts each recording first.
    """

    def signed(manifest: bytes) -> str:
        try:
            return sign(authority.seal, NAMESPACE, manifest)
        except BastionError as error:
            raise NotSealed(str(error)) from error

    return Sealing(
        *(directory, index, seals),
        sign=signed,
        told=lambda connection, sealed: journal.tell_seals(
            connection, [(happenings.of_seal(service, *each), now()) for each in sealed]
        ),
        node=journal.node,
        now=now,
        covering=covering,
        elsewhere=of_other_machines(journal),
    )


def covering(recipients: Sequence[str], marks: Marks) -> Covering:
    """Encrypts recordings to these auditors, and lets sessions go first. Raises UnusableKey."""
    return Covering([recipient(text) for text in recipients], marks, lambda: time.sleep(REST))
