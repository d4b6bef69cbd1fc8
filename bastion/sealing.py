"""How recordings are sealed here: by which key, and who is told.

The recorder numbers, chains and keeps; it knows neither keys nor the log of events.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from bastion import happenings
from bastion.actor import Actor
from bastion.authority import Authority
from bastion.authority.sshsig import Fault, sign, verify
from bastion.errors import BastionError
from bastion.inventory import PublicKey
from bastion.store.journal import Journal
from bastion.store.keeping import Keeping
from recorder import Index, Kept, NotSealed, Sealing, Seals, Session
from recorder.departed import Departed
from recorder.inspection import Inspection
from recorder.manifest import NAMESPACE
from recorder.tombstone import TOMBSTONE_NAMESPACE
from recorder.tombstones import Laid, Tombstones
from recorder.verify import Judge, Witness


def judged_by(keys: Sequence[PublicKey], namespace: str = NAMESPACE) -> Judge:
    """Judges by these keys, the newest first (`Authority.seal_keys`)."""

    def signed(signature: str, manifest: str) -> int | str:
        text = manifest.encode("utf-8", "surrogateescape")
        found = verify(signature, namespace, text, keys)
        if isinstance(found, Fault):
            return str(found)
        blobs = [key.blob for key in reversed(keys)]
        return blobs.index(found.blob)

    return signed


def inspection(
    directory: Path,
    index: Index,
    seals: Seals,
    *,
    keys: Sequence[PublicKey],
    tombstones: Tombstones,
    keeping: Keeping,
    now: Callable[[], datetime],
) -> Inspection:
    """Inspects recordings: by these keys, and by what the log and the holds say."""

    def ask(session: Session, laid: Laid) -> Witness:
        held = keeping.hold_on(session, laid.at) is not None
        return Witness(held, keeping.told_of(session.id))

    signed = judged_by(keys, TOMBSTONE_NAMESPACE)
    departed = Departed(directory, tombstones, ask, signed, now)
    return Inspection(directory, index, seals, judged_by(keys), now=now, departed=departed)


def sealing(
    directory: Path,
    index: Index,
    seals: Seals,
    *,
    authority: Authority,
    journal: Journal,
    service: Actor,
    now: Callable[[], datetime],
) -> Sealing:
    """Sealing with the seal key of the moment, told to the log of events in the service's name."""

    def signed(manifest: bytes) -> str:
        try:
            return sign(authority.seal, NAMESPACE, manifest)
        except BastionError as error:
            raise NotSealed(str(error)) from error

    def told(session: Session, kept: Kept) -> None:
        try:
            if not journal.seals_told([session.id]):
                journal.tell(happenings.of_seal(service, session, kept), now())
        except BastionError as error:
            raise NotSealed(str(error)) from error

    return Sealing(directory, index, seals, sign=signed, told=told, node=journal.node, now=now)
