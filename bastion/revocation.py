"""The revocation list: what stands in it, and a file of it that is always whole.

sshd refuses everybody when the file of its `RevokedKeys` is missing or damaged. So a list is
written aside, judged by `ssh-keygen -Q` with certificates that it must and must not refuse, and
renamed into its place; whatever goes wrong leaves the one that was there.
"""

import asyncio
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bastion.actor import Actor
from bastion.authority import Authority, Which
from bastion.authority.keyfiles import sync_directory
from bastion.clock import Clock
from bastion.errors import BastionError, Unavailable
from bastion.events import Happened, What
from bastion.krl import Krl, decode, encode, ranges_of
from bastion.krl_judge import judge
from bastion.ledger import Kind
from bastion.store import Store, events, revocations

log = logging.getLogger(__name__)

TICK = 0.5
"""Seconds between two looks for something that was revoked."""

SIGNING = {Kind.USER: Which.USER_CA, Kind.TARGET: Which.TARGET_CA}
"""Whose certificates stand in the ledger, and by which CA."""

RETIRING = (Which.USER_CA, Which.TARGET_CA, Which.HOST_CA)
"""CAs that are revoked whole when they are retired. Old seals stay good, so not the seal."""


@dataclass(frozen=True, slots=True)
class Written:
    """A list that is in its place: how many certificates and CAs it refuses."""

    file: Path
    certificates: int
    cas: int
    sha256: str


class Revocation:
    """Makes the list of what the ledger and the keyring say is revoked."""

    def __init__(self, store: Store, authority: Authority) -> None:
        self._store = store
        self._authority = authority

    def listed(self, now: datetime) -> Krl:
        """Certificates that were revoked and are not over, and the CAs that are retired.

        A serial is given once in the ledger, so it is listed for each live key of its CA.
        """
        with self._store.read() as connection:
            serials = revocations.unexpired(connection, now)
        ranges = {
            ca.public.blob: ranges_of(serials[kind])
            for kind, which in SIGNING.items()
            for ca in self._authority.generations(which).live
            if serials[kind]
        }
        retired = [self._authority.generations(which).retired for which in RETIRING]
        return Krl(
            version=int(now.timestamp() * 1000),
            generated=int(now.timestamp()),
            comment="bastion",
            serials=ranges,
            keys=frozenset(key.blob for keys in retired for key in keys),
        )

    def judged(self, krl: Krl) -> bytes:
        """The list as bytes, once `ssh-keygen -Q` has shown that it refuses what it should.

        Raises Unavailable where it does not, or there is no ssh-keygen.
        """
        data = encode(krl)
        with tempfile.TemporaryDirectory(prefix="krl-") as place:
            file = Path(place) / "krl"
            file.write_bytes(data)
            self._judge(file, krl)
        return data

    def write(self, krl: Krl, file: Path, actor: Actor, now: datetime) -> Written:
        """Put the list in its place, where anybody may read it, and tell of it.

        Raises Unavailable, and then the one that was there is there still.
        """
        data = encode(krl)
        serials = {each for ranges in krl.serials.values() for each in ranges}
        certificates = sum(high - low + 1 for low, high in serials)
        written = Written(file, certificates, len(krl.keys), hashlib.sha256(data).hexdigest())
        with _aside(file, data) as aside:
            self._judge(aside, krl)
            with self._store.writing(now) as connection:
                events.append(connection, self._store.chain, _told(written, actor), now)
                aside.rename(file)
                sync_directory(file.parent)
        return written

    def stamp(self) -> tuple[object, ...]:
        """Another one means that the list may be another: a revocation, or a change of keys."""
        with self._store.read() as connection:
            latest = revocations.latest(connection)
        cas = [self._authority.generations(which) for which in RETIRING]
        blobs = [[signer.public.blob for signer in ca.live] for ca in cas]
        return latest, blobs, [ca.retired for ca in cas]

    def _judge(self, file: Path, krl: Krl) -> None:
        cas = [self._authority.generations(which) for which in RETIRING]
        judge(file, krl, (s for ca in cas for s in ca.live), (k for ca in cas for k in ca.retired))


class RevocationKeeper:
    """Keeps the list in `file` as it should be, while the service runs."""

    def __init__(self, revocation: Revocation, file: Path, clock: Clock, actor: Actor) -> None:
        self._revocation = revocation
        self._file = file
        self._clock = clock
        self._actor = actor
        self._stamp: tuple[object, ...] | None = None
        self._seen: tuple[int, ...] | None = None
        self.said = ""

    async def keep(self) -> None:
        """Look for something new until cancelled. What goes wrong is logged, and tried again."""
        while True:
            try:
                await asyncio.to_thread(self.update)
            except BastionError as error:
                self._say(str(error))
            except Exception:
                log.exception("keeping the revocation list failed")
            else:
                self.said = ""
            await asyncio.sleep(TICK)

    def update(self) -> bool:
        """Write the list if it is another now, or if the file is not the one that was written.

        Whether it was written. Raises Unavailable.
        """
        stamp = self._revocation.stamp()
        if stamp == self._stamp and self._seen == _look(self._file):
            return False
        now = self._clock.now()
        krl = self._revocation.listed(now)
        fresh = not _says(self._file, krl)
        if fresh:
            self._revocation.write(krl, self._file, self._actor, now)
        self._stamp, self._seen = stamp, _look(self._file)
        return fresh

    def _say(self, sentence: str) -> None:
        if sentence != self.said:
            log.error("the revocation list is left as it was: %s", sentence)
        self.said = sentence


def _told(written: Written, actor: Actor) -> Happened:
    return Happened(
        What.KRL_WRITTEN,
        actor.name,
        actor.source,
        account=actor.account,
        details={
            "file": str(written.file),
            "certificates": written.certificates,
            "cas": written.cas,
            "sha256": written.sha256,
        },
    )


@contextmanager
def _aside(file: Path, data: bytes) -> Iterator[Path]:
    """A file beside `file` with these bytes on the disk; it is gone at the end, or was renamed."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    except OSError as error:
        raise Unavailable(f"{file} can't be written: {error.strerror}.") from error
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, 0o644)
            opened.write(data)
            opened.flush()
            os.fsync(descriptor)
        yield aside
    except OSError as error:
        raise Unavailable(f"{file} can't be written: {error.strerror}.") from error
    finally:
        aside.unlink(missing_ok=True)


def _look(file: Path) -> tuple[int, ...] | None:
    """Which file it is and when it was written; None where there is none."""
    with suppress(OSError):
        found = file.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return None


def _says(file: Path, krl: Krl) -> bool:
    """Whether the file refuses what the list does, whenever it was made."""
    with suppress(OSError, ValueError):
        read = decode(file.read_bytes())
        return (read.serials, read.keys) == (dict(krl.serials), krl.keys)
    return False
