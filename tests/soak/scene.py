"""The scene of a soak: a bastion of several processes, an sshd behind it, and people before it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import asyncssh

from bastion.app import Services, opened
from bastion.home import Home
from recorder import Session
from tests.corpus.world import JUMP, Tunnel
from tests.e2e.bastion import Bastion, environment, free_port
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.revoking import RevokingSshd
from tests.e2e.warm import Warm
from tests.soak.book import Book
from tests.soak.story import step

PAGE: Final = 500


class Person:
    """A contractor, with the stock client and with a library."""

    def __init__(self, contractor: Contractor) -> None:
        self.stock = contractor
        self._options: asyncssh.SSHClientConnectionOptions | None = None

    async def certify(self) -> None:
        """A certificate of this moment."""
        step(f"{self.stock.name} gets a certificate")
        await self.stock.certified()
        self._options = None

    @asynccontextmanager
    async def outer(self) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection to the bastion, by the library."""
        port = self.stock.bastion.port
        step(f"{self.stock.name} connects to the bastion")
        connect = asyncssh.connect(
            "127.0.0.1", port, username=self.stock.name, options=self.options
        )
        async with connect as made:
            try:
                yield made
            finally:
                step("leaves the bastion")

    @asynccontextmanager
    async def jump(self) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """One through it, to the target."""
        async with self.outer() as outer:
            tunnel, login = Tunnel(outer, JUMP), self.stock.login
            step("connects to the target")
            connect = asyncssh.connect(
                HOST, 22, tunnel=tunnel, username=login, options=self.options
            )
            async with connect as inner:
                try:
                    yield inner
                finally:
                    step("leaves the target")

    @property
    def options(self) -> asyncssh.SSHClientConnectionOptions:
        """Made once for a certificate, as making them costs more than a connection."""
        if self._options is None:
            self._options = asyncssh.SSHClientConnectionOptions(
                config=None,
                known_hosts=None,
                client_keys=[(str(self.stock.key), str(self.stock.certificate))],
                agent_path=None,
                kex_algs=["curve25519-sha256"],
                encryption_algs=["aes128-gcm@openssh.com"],
                keepalive_interval=0,
            )
        return self._options


@dataclass
class Scene:
    """All of it, and what is kept of it. `echoes` gives back what it hears, behind the target."""

    place: Path
    sshd: RevokingSshd
    bastion: Bastion
    metrics_port: int
    services: Services
    people: list[Person]
    guests: list[Person]
    auditor: Person
    echoes: socket.socket
    book: Book = field(default_factory=Book)

    @property
    def echo(self) -> int:
        """The port that gives back."""
        port: int = self.echoes.getsockname()[1]
        return port

    @property
    def files(self) -> Path:
        """Where the target's account may write."""
        return self.place / "files"

    async def newest(self, number: int = 50) -> list[Session]:
        """The newest sessions."""
        return await asyncio.to_thread(lambda: self.services.index.find(limit=number))

    async def tagged(self, tag: str) -> Session:
        """The session of a command with that tag, which has begun."""
        found = [each for each in await self.newest(200) if f": {tag};" in (each.command or "")]
        assert len(found) == 1, f"{tag}: {len(found)} sessions"
        return found[0]

    def sessions(self) -> Iterator[Session]:
        """All of them, the newest first."""
        before: int | None = None
        while page := self.services.index.find(limit=PAGE, before=before):
            yield from page
            before = page[-1].id


@contextmanager
def scene(workers: int, people: int = 4, guests: int = 2) -> Iterator[Scene]:
    """Everything started, and ended in the end: `people` who may do all, guests who may nothing."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(TemporaryDirectory(prefix="soak-")))
        place.chmod(0o755)
        (place / "files").mkdir()
        (place / "files").chmod(0o777)
        echoes = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        sshd = RevokingSshd()
        stack.callback(sshd.stop)
        warm = Warm(environment())
        stack.callback(warm.stop)
        bastion = Bastion(place / "home", warm)
        stack.callback(bastion.stop, 60)
        metrics_port = _prepared(bastion, sshd)
        bastion.start(workers)
        forward = ("--forward", f"localhost:{echoes.getsockname()[1]}")
        crowd = [_person(place, f"user{n}", bastion, sshd) for n in range(people)]
        for person in crowd:
            files = ("--sftp", "read", "--sftp", "write")
            person.stock.granted_now("--shell", *files, *forward, lasting="1d")
            person.stock.certified_now()
        others = [_person(place, f"guest{n}", bastion, sshd) for n in range(guests)]
        auditor = _person(place, "rita", bastion, sshd)
        bastion.admin_now("user", "set", "rita", "--role", "auditor")
        services = stack.enter_context(opened(Home.at(bastion.home)))
        yield Scene(place, sshd, bastion, metrics_port, services, crowd, others, auditor, echoes)


def _prepared(bastion: Bastion, sshd: RevokingSshd) -> int:
    """Its settings and its target; the port of its metrics."""
    port = free_port()
    bastion.set("metrics", "listen", f"127.0.0.1:{port}")
    bastion.set("recording", "compact", "10s")
    bastion.set("limits", "drain", "1s")
    bastion.set("limits", "never_refused", ["127.0.0.0/8"])  # strangers come from where all do
    sshd.trust(bastion.admin_now("ca", "show", "target").out)
    pinned = ("--host-key", str(sshd.host_key_file), "--shell-type", "bash")
    bastion.admin_now("host", "add", HOST, "--address", sshd.address, *pinned)
    return port


def _person(place: Path, name: str, bastion: Bastion, sshd: RevokingSshd) -> Person:
    return Person(Contractor.enrolled(place / name, name, bastion, sshd.login))
