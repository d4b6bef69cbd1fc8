"""A house: a bastion that serves, a target that does nothing, and people with keys and grants."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh

from bastion.actor import Actor
from bastion.app import Services, opened
from bastion.authority.keyfiles import Which
from bastion.authority.public_keys import public_key_of
from bastion.grants import Allows, Grant
from bastion.home import Home
from bastion.inventory import Host, Role, User, parse_selector
from tests.bench.crowd import Way
from tests.bench.quiet_target import QuietTarget, quiet_target
from tests.e2e.bastion import Bastion, environment
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm

LOGIN, HOST = "deploy", "prod-host"
DIRECT = "direct"
"""A key that the target takes as it is: for ways around the bastion."""

OPERATOR = Actor("os:root")
SHELL = Allows(shell=True)  # noqa: S604 - a value of ours; no process is started


@dataclass(slots=True)
class Person:
    """Somebody with a key."""

    user: User
    key: asyncssh.SSHKey
    grant: int = 0


@dataclass(frozen=True, slots=True)
class House:
    """It, its target, and its database from beside it."""

    place: Path
    bastion: Bastion
    target: QuietTarget
    services: Services

    @property
    def now(self) -> datetime:
        """By the bastion's clock."""
        return self.services.clock.now()

    def enrolled(self, name: str, role: Role = Role.CONTRACTOR) -> Person:
        """Somebody new."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        user = User(name=name, roles=frozenset({role}), keys=(public_key_of(key),))
        self.services.store.add_user(user, OPERATOR, self.now)
        key.write_private_key(str(self.place / name))
        return Person(user, key)

    def granted(self, person: Person) -> None:
        """A shell for an hour, and a certificate."""
        given = Grant(
            id=0,
            user=person.user.name,
            hosts=(parse_selector(HOST),),
            logins=frozenset({LOGIN}),
            allows=SHELL,
            starts_at=self.now - timedelta(seconds=1),
            ends_at=self.now + timedelta(hours=1),
            reason="to measure",
        )
        person.grant = self.services.store.add_grant(given, OPERATOR, self.now).id
        self.services.access.certificate(person.user, person.user.keys[0], self.now)

    def way(self, person: Person, *, each: int = 1, at_once: int = 4) -> Way:
        """Hers to the target."""
        key = str(self.place / person.user.name)
        return Way(
            self.bastion.port, person.user.name, HOST, 22, LOGIN, key, each=each, at_once=at_once
        )

    def way_by(self, jump: Sshd, *, at_once: int = 4) -> Way:
        """The one by an sshd that forwards, which lets the same key in."""
        key = self.place / DIRECT
        keys = jump.home / "authorized_keys"
        keys.mkdir(mode=0o755)
        private = asyncssh.read_private_key(str(key))
        (keys / jump.login).write_bytes(private.export_public_key())
        host, port = "127.0.0.1", self.target.port
        return Way(jump.port, jump.login, host, port, LOGIN, str(key), at_once=at_once)


def with_places(bastion: Bastion) -> None:
    """Its limits are to be in nobody's way."""
    kinds = ("sessions", "sessions_per_user", "sessions_per_grant", "sessions_per_host")
    places = ("connections", "connections_per_source", "connections_per_user")
    for name in (*places, *kinds):
        bastion.set("limits", name, 50_000)
    for name in ("unauthenticated", "unauthenticated_per_source"):
        bastion.set("limits", name, "1000:30:2000")


@contextmanager
def house(workers: int = 1) -> Iterator[House]:
    """One that has places for everybody who is measured; ended in the end."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        warm = Warm(environment())
        stack.callback(warm.stop)
        bastion = Bastion(place / "home", warm)
        stack.callback(bastion.stop, 60)
        with_places(bastion)
        bastion.set("limits", "drain", "1s")
        bastion.start(workers)
        services = stack.enter_context(opened(Home.at(bastion.home)))
        ca = services.authority.public_line(Which.TARGET_CA)
        direct = asyncssh.generate_private_key("ssh-ed25519")
        direct.write_private_key(str(place / DIRECT))
        line = direct.export_public_key().decode().strip()
        target = stack.enter_context(quiet_target(ca, line))
        pinned = public_key_of(asyncssh.import_public_key(target.host_key_line))
        host = Host(HOST, "127.0.0.1", target.port, host_keys=(pinned,))
        services.store.add_host(host, OPERATOR, services.clock.now())
        yield House(place, bastion, target, services)
