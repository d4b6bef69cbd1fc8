"""The whole bastion in this process, served on loopback, and people who come at it by hand.

Everything is the product's own (`bastion.app.serve` over a real home); only the clients are ours,
and they do what no honest client does.
"""

import asyncio
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path

import asyncssh

from bastion import embedded, metrics
from bastion.actor import Actor
from bastion.addresses import Endpoint
from bastion.app import Services, opened
from bastion.authority.keyfiles import Which
from bastion.authority.public_keys import public_key_of
from bastion.control import Control
from bastion.events import What
from bastion.grants import Allows, Grant
from bastion.home import Home, create
from bastion.inventory import Host, PublicKey, Role, ShellType, User, parse_selector
from bastion.limits import Limit
from bastion.metrics import Meters
from bastion.pulse import Pulse
from bastion.serving import serve
from bastion.store.events import Wanted as Wish
from bastion.templates import parse_template
from cli.control import ControlPlane
from recorder import Session, Wanted
from tests import postgres

LOGIN = "deploy"
HOST = "prod-host"
JUMP = ("127.0.0.1", 65535)
"""The originator that `ssh -J` and `ssh -W` name."""

PATIENCE = 5.0
"""Seconds that anything in these tests may take."""

OPERATOR = Actor("os:root")
SHELL = Allows(shell=True)  # noqa: S604 - a value of ours; no process is started
TEMPLATE_PORT = 61_022


def commands(*lines: str) -> Allows:
    """What a grant of exactly these command lines allows."""
    return Allows(commands=tuple(map(parse_template, lines)))


def make_template(directory: Path) -> Path:
    """A home that each test gets a copy of."""
    listen = Endpoint("127.0.0.1", TEMPLATE_PORT)
    now, url = datetime.now(UTC), postgres.new_empty_url()
    create(directory, listen, ("bastion",), "machine", now, database=url)
    return directory


async def until(check: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Watches until `check()` is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Person:
    """A user of the bastion, and the private half of the key."""

    name: str
    key: asyncssh.SSHKey

    @property
    def public(self) -> PublicKey:
        """The key as it is enrolled."""
        return public_key_of(self.key)


class Banners(asyncssh.SSHClient):
    """A client that keeps what it is told before it is let in."""

    def __init__(self) -> None:
        self.heard = ""

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.heard += msg


@dataclass(frozen=True)
class Tunnel:
    """A direct-tcpip channel with an originator of one's own choice, for `asyncssh.connect`."""

    outer: asyncssh.SSHClientConnection
    originator: tuple[str, int]

    async def create_connection(
        self, session_factory: Callable[[], asyncssh.SSHTCPSession[bytes]], host: str, port: int
    ) -> tuple[asyncssh.SSHTCPChannel[bytes], asyncssh.SSHTCPSession[bytes]]:
        return await self.outer.create_connection(session_factory, host, port, *self.originator)

    def close(self) -> None:
        """The outer connection is the test's to close."""

    async def wait_closed(self) -> None:
        """See `close`."""


@dataclass
class World:
    """A bastion that serves on `port`, and its `services` behind the curtain."""

    services: Services
    port: int
    serving: "asyncio.Task[None]"
    meters: Meters
    people: dict[str, Person] = field(default_factory=dict)

    # What operators do

    def enrol(
        self, name: str, *roles: Role, algorithm: str = "ssh-ed25519", **more: object
    ) -> Person:
        """Somebody with a fresh key."""
        person = Person(name, asyncssh.generate_private_key(algorithm))
        kept = frozenset(roles or (Role.CONTRACTOR,))
        user = User(name=name, roles=kept, keys=(person.public,), **more)  # type: ignore[arg-type]
        self.services.store.add_user(user, OPERATOR, self.now)
        self.people[name] = person
        return person

    def grant(
        self,
        person: Person,
        allows: Allows = SHELL,
        *,
        lasting: timedelta = timedelta(hours=1),
        after: timedelta = timedelta(hours=-1),
        host: str = HOST,
        source: str | None = None,
        watch: bool = False,
        emergency: bool = False,
    ) -> Grant:
        """An access as LOGIN, from `after` from now on until `lasting` from now."""
        given = Grant(
            id=0,
            user=person.name,
            hosts=(parse_selector(host),),
            logins=frozenset({LOGIN}),
            allows=allows,
            starts_at=self.now + after,
            ends_at=self.now + lasting,
            reason="a test",
            sources=() if source is None else (IPv4Network(source),),
            granted_by="os:root",
            watch=watch,
            emergency=emergency,
        )
        return self.services.store.add_grant(given, OPERATOR, self.now)

    def certify(self, person: Person) -> asyncssh.SSHCertificate:
        """`ssh bastion cert`, without the ssh."""
        user = self.services.store.user(person.name)
        assert user is not None
        issued = self.services.access.certificate(user, person.public, self.now)
        return asyncssh.import_certificate(issued.line)

    def contractor(
        self,
        name: str = "alice",
        allows: Allows = SHELL,
        *,
        lasting: timedelta = timedelta(hours=1),
    ) -> Person:
        """Somebody who may do what `allows` says on HOST, with all that it takes."""
        person = self.enrol(name)
        self.grant(person, allows, lasting=lasting)
        self.certify(person)
        return person

    def add_host(
        self, port: int, host_key_line: str, *, name: str = HOST, address: str = "127.0.0.1"
    ) -> Host:
        """A target with its host key pinned."""
        pinned = public_key_of(asyncssh.import_public_key(host_key_line))
        host = Host(name, address, port, host_keys=(pinned,), shell_type=ShellType.SH)
        self.services.store.add_host(host, OPERATOR, self.now)
        return host

    @property
    def now(self) -> datetime:
        """The bastion's time."""
        return self.services.clock.now()

    @property
    def sessions(self) -> list[Session]:
        """All sessions that were recorded, the oldest first."""
        return sorted(self.services.index.find(Wanted()), key=lambda session: session.id)

    async def settled(self) -> list[Session]:
        """Its sessions, once all of them are over and sealed: from then on their files stay."""
        await until(lambda: self.sessions and all(s.recording.sealed for s in self.sessions))
        return self.sessions

    def reached(self, limit: Limit) -> float:
        """How often that limit was reached."""
        return self.meters.figures().get((metrics.LIMITS.name, limit), 0)

    @property
    def target_ca(self) -> str:
        """What targets trust."""
        return self.services.authority.public_line(Which.TARGET_CA)

    def shown(self, session: Session) -> str:
        """A session's asciicast, as it stands in its file."""
        return self.services.archive.open(session).path.read_text()

    # What people do

    @asynccontextmanager
    async def outer(
        self,
        *keys: object,
        name: str = "",
        client: Callable[[], asyncssh.SSHClient] = asyncssh.SSHClient,
        **more: object,
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection to the bastion, offering `keys` in their order."""
        async with asyncssh.connect(
            "127.0.0.1",
            self.port,
            username=name or "whoever",
            client_keys=list(keys) or None,
            client_factory=client,
            **_bare(more),
        ) as connection:
            yield connection

    @asynccontextmanager
    async def inner(
        self,
        outer: asyncssh.SSHClientConnection,
        *keys: object,
        login: str = LOGIN,
        host: str = HOST,
        originator: tuple[str, int] = JUMP,
        **more: object,
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection inside `outer`, to what says it is `host`."""
        async with asyncssh.connect(
            host,
            22,
            tunnel=Tunnel(outer, originator),
            username=login,
            client_keys=list(keys) or None,
            **_bare(more),
        ) as connection:
            yield connection

    @asynccontextmanager
    async def jump(
        self, person: Person, **more: object
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """`ssh -J bastion LOGIN@HOST`, up to where channels are opened."""
        async with (
            self.outer(person.key, name=person.name) as outer,
            self.inner(outer, **more) as inner,  # type: ignore[arg-type]
        ):
            yield inner

    async def still_serves(self) -> None:
        """Somebody else gets in and is served, now."""
        name = f"passer-by{len(self.people)}"
        person = self.enrol(name)
        async with asyncio.timeout(2), self.outer(person.key, name=name) as connection:
            done = await connection.run("status")
            assert done.exit_status == 0, done.stderr


def _bare(more: dict[str, object]) -> dict[str, object]:
    """A client without files, agents and host keys: it does not care whom it talks to."""
    plain = {"known_hosts": None, "agent_path": None, "config": None, "gss_host": None}
    return {**plain, **more}


@asynccontextmanager
async def served(
    template: Path,
    directory: Path,
    *,
    control: Callable[[Services], Control] = ControlPlane,
    proxy: str = "",
    **limits: str | int | list[str],
) -> AsyncIterator[World]:
    """A bastion in a copy of `template`, without any host; `limits` are settings of that name.

    `proxy` are lines for what stands before it, `control` makes what `ssh bastion VERB…` runs.
    """
    await asyncio.to_thread(shutil.copytree, template, directory)
    port = _free_port()
    home = Home.at(directory)
    await asyncio.to_thread(postgres.give_copy, home)
    text = home.settings.read_text().replace(str(TEMPLATE_PORT), str(port))
    said = {name: json.dumps(value) for name, value in limits.items()}
    lines = "".join(f"{name} = {value}\n" for name, value in said.items())
    text = text.replace("[proxy]\n", f"[proxy]\n{proxy}")
    home.settings.write_text(text.replace("[limits]\n", f"[limits]\n{lines}"))
    async with AsyncExitStack() as stack:
        services = stack.enter_context(opened(home))
        ready = asyncio.Event()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        pulse = Pulse(Meters())
        serving = group.create_task(
            serve(services, control(services), lambda _: ready.set(), pulse)
        )
        await asyncio.wait_for(ready.wait(), PATIENCE)
        world = World(services, port, serving, pulse.meters)
        try:
            yield world
            assert not serving.done(), "the server ended by itself"
        finally:
            serving.cancel()


def told_of_limits(directory: Path) -> list[tuple[str, str, str | None, object]]:
    """Who met which limit from where, how often, as the log of a bastion that has ended has it."""
    with opened(Home.at(directory)) as services:
        told = services.journal.after(0, Wish(what=frozenset({What.LIMIT_REACHED})))
        return [
            (each.actor, each.source, each.why, each.details["times"])
            for each in (event.happened for event in told)
        ]


@asynccontextmanager
async def target_for(world: World, name: str = HOST) -> AsyncIterator[embedded.Target]:
    """A target that runs programs as us, known to the bastion as `name`."""
    logins = {LOGIN, "other"}
    async with embedded.target(embedded.new_host_key(), world.target_ca, logins=logins) as target:
        world.add_host(target.port, target.host_key_line, name=name)
        yield target


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
