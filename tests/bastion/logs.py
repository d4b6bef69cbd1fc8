"""Logs of events for the tests: several lives of the bastion, sealed now and then; and a forger."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import asyncssh

from bastion.audit import Sealer, judged_by, seal_with, verified
from bastion.authority.signer import FileSigner
from bastion.events import Event, Happened, What
from bastion.store import Store
from bastion.store.evidence import guard
from bastion.store.journal import Journal
from bastion.verdict import Verdict
from tests.bastion.worlds import NOW

SEAL = FileSigner(asyncssh.generate_private_key("ssh-ed25519"))
OTHER = FileSigner(asyncssh.generate_private_key("ssh-ed25519"))

GUARDED = ("events", "checkpoints", "policies")


def happened(number: int, what: What = What.DOOR_REFUSED) -> Happened:
    """Something, with a value in every column."""
    return Happened(
        what,
        "alice",
        "192.0.2.7",
        account="web",
        user="bob",
        host=f"host-{number % 3}",
        login="deploy",
        request=number,
        grant=number % 4,
        connection=number,
        session=number,
        why=f"because of {number}",
        details={"key": "SHA256:é", "list": [1, None, {"a": True}]},
    )


@dataclass
class Ticking:
    """A clock that goes on by a second at each look."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        """The next second."""
        self.at += timedelta(seconds=1)
        return self.at


@dataclass
class Log:
    """A log in a file of its own, and what one does to it."""

    file: Path
    now: Ticking = field(default_factory=Ticking)

    @contextmanager
    def life(self, *, migrate: bool = False) -> Iterator[Journal]:
        """The journal of one process's life."""
        store = Store.open(f"sqlite:///{self.file}", migrate=migrate)
        try:
            yield Journal(store)
        finally:
            store.close()

    def tell(self, journal: Journal, count: int) -> list[Event]:
        """So many events, one transaction each."""
        return [journal.tell(happened(number), self.now()) for number in range(count)]

    def seal(self, journal: Journal) -> None:
        """A checkpoint, or none."""
        Sealer(journal, seal_with(SEAL), self.now).seal()

    def copy(self, file: Path) -> "Log":
        """The same elsewhere."""
        shutil.copyfile(self.file, file)
        return Log(file)

    def verdict(self, known: dict[int, str] | None = None) -> Verdict:
        """What is found."""
        with self.life() as journal:
            return verified(journal, judged_by([SEAL.public]), known or {})

    @contextmanager
    def forged(self) -> Iterator[sqlite3.Connection]:
        """The database in the hands of somebody who drops the triggers, and puts them back."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as raw:
            for table in GUARDED:
                for act in ("update", "delete", "replace"):
                    raw.execute(f"DROP TRIGGER {table}_no_{act}")
            yield raw
            for table in GUARDED:
                for act in ("update", "delete", "replace"):
                    raw.execute(guard(table, act))


def made_log(file: Path) -> Log:
    """Three lives with 27 events, three checkpoints, and five events that none is over.

    1-5 the first, 6-7 the second, 8-10 the first again, (1) 11-16 the second, (2) 17-22 the
    third, (3) 23-25 the first, 26-27 the third.
    """
    log = Log(file)
    with log.life(migrate=True) as first, log.life() as second, log.life() as third:
        log.tell(first, 5)
        log.tell(second, 2)
        log.tell(first, 3)
        log.seal(first)
        log.tell(second, 6)
        log.seal(second)
        log.tell(third, 6)
        log.seal(first)
        log.tell(first, 3)
        log.tell(third, 2)
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return log
