"""How many certificates a second, on one processor: the signer alone, and into the ledger.

A line of the ledger, the event that tells of it and the certificate are one transaction, and on
the disk before anybody sees the certificate. The disk is the same as all the rest's.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh

from bastion.actor import Actor
from bastion.addresses import Endpoint
from bastion.adopting import laid, settled, taken
from bastion.app import Services, opened
from bastion.authority.public_keys import public_key_of
from bastion.grants import Allows, Grant
from bastion.home import create
from bastion.inventory import Role, User, parse_selector
from bastion.ledger import Draft, Kind, Signed
from tests.bench.figures import Row, above
from tests.bench.processes import watch_until

GOAL = 50
LIFE = timedelta(hours=1)
AT_ONCE = 8

_SHELL = Allows(shell=True)  # noqa: S604 - a value of ours; no process is started


def measure(seconds: float) -> list[Row]:
    """Each for so many seconds."""
    with _home() as services, _one_processor():
        verbs = _Verbs(services)
        here = [
            _rate("certificates a second, signed", verbs.signed, seconds),
            _rate("certificates a second, for targets, with their keys", verbs.target, seconds),
            _rate("certificates a second, signed into the ledger", verbs.ledger, seconds),
            _rate("certificates a second, by the verb `cert`", verbs.cert, seconds),
            _rate_of_many(
                "certificates a second, into the ledger, 8 at once", verbs.ledger, seconds
            ),
        ]
    with _apart() as services:
        verbs = _Verbs(services)
        return [
            *here,
            _rate("certificates a second, for targets, by a signer apart", verbs.target, seconds),
            _rate("certificates a second, by it and into the ledger", verbs.ledger, seconds),
            _rate_of_many("the same, 8 at once", verbs.ledger, seconds),
        ]


def _rate(what: str, work: Callable[[], object], seconds: float) -> Row:
    work()  # the first one pays for what is loaded once
    times, begun = 0, time.perf_counter()
    while (taken := time.perf_counter() - begun) < seconds:
        work()
        times += 1
    return above(what, "/s", times / taken, GOAL)


def _rate_of_many(what: str, work: Callable[[], object], seconds: float) -> Row:
    """By eight threads, as contractors come: they share transactions, and turns of the book."""
    end = time.perf_counter() + seconds

    def again(_: int) -> int:
        times = 0
        while time.perf_counter() < end:
            work()
            times += 1
        return times

    with ThreadPoolExecutor(AT_ONCE) as threads:
        times = sum(threads.map(again, range(AT_ONCE)))
    return above(what, "/s", times / seconds, GOAL)


class _Verbs:
    """A contractor with one grant, and what is signed for her."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._serials = count(50_000)  # beside those of the ledger
        self._key = public_key_of(asyncssh.generate_private_key("ssh-ed25519"))
        now, operator = datetime.now(UTC), Actor("os:root")
        contractor = frozenset({Role.CONTRACTOR})
        self._user = User(name="alice", roles=contractor, keys=(self._key,))
        services.store.add_user(self._user, operator, now)
        grant = Grant(
            id=0,
            user="alice",
            hosts=(parse_selector("prod-host"),),
            logins=frozenset({"deploy"}),
            allows=_SHELL,
            starts_at=now,
            ends_at=now + LIFE,
            reason="to measure",
        )
        self._grant = services.store.add_grant(grant, operator, now)

    def signed(self, serial: int = 1) -> Signed:
        """A contractor's certificate, decoded and verified; kept nowhere."""
        now = datetime.now(UTC)
        sign = self._services.authority.sign_user
        return sign(self._key, "alice", serial, now, now + LIFE)

    def target(self) -> object:
        """What one connection to a target logs in with."""
        return self._services.authority.target_credential(
            "deploy",
            "prod-host",
            "C-1 alice G-1",
            force_command=None,
            pty=True,
            now=_now(),
            serial=next(self._serials),
        )

    def ledger(self) -> Signed:
        """The same as `signed`, with its line and its event."""
        draft = Draft(Kind.USER, "alice", frozenset({self._grant.id}), _now())
        return self._services.store.sign_into_ledger(draft, self.signed)

    def cert(self) -> object:
        """What `ssh bastion cert` does."""
        return self._services.access.certificate(self._user, self._key, _now())


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _home() -> Iterator[Services]:
    with TemporaryDirectory(prefix="bench-") as place:
        listen = Endpoint("127.0.0.1", 61_022)  # where nobody listens
        made = create(Path(place) / "home", listen, ("bastion",), "machine", _now())
        with opened(made.home) as services:
            yield services


@contextmanager
def _apart() -> Iterator[Services]:
    """The same with its keys at a signer, which is another process."""
    with TemporaryDirectory(prefix="bs-") as name:
        place = Path(name)
        made = create(place / "home", Endpoint("127.0.0.1", 61_022), (), "machine", _now())
        socket = place / "socket"
        with opened(made.home) as services:
            what = taken(services, socket, _now())
        laid(what, place / "signer", socket, None)
        limits = place / "signer" / "signer.toml"
        limits.write_text(limits.read_text().replace("# rate = 100 ", "rate = 100000 "))
        limits.write_text(limits.read_text().replace("# rate = 100\n", "rate = 100000\n"))
        settled(made.home, socket, tuple(what.private))
        argv = [sys.executable, "-m", "cli.admin", "signer", "serve", "--directory"]
        with subprocess.Popen([*argv, str(place / "signer")], stderr=subprocess.DEVNULL) as signer:
            watch_until("the signer signs", socket.exists)
            try:
                with opened(made.home) as services:
                    yield services
            finally:
                signer.terminate()


@contextmanager
def _one_processor() -> Iterator[None]:
    """This thread stays on one processor, for the length of the block."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
