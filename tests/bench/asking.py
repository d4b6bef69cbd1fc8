"""How long a request, an approval and a certificate take: at the server, and at a stock client.

    at the server    the verb as the control plane runs it, from its words to its answer
    at the client    `ssh bastion VERB…` over a ControlMaster, beside `ssh … true` to an sshd, which
                     is what any command over ssh costs there

The database has been in use for years, so that there are many hosts and many people to look at.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bastion.app import Services, opened
from bastion.home import Home
from bastion.policy import Identity
from bastion.words import split
from bastion.workers import Stay
from cli.control import ControlPlane
from tests.bench import years
from tests.bench.figures import Pair, Row, below, percentile, row
from tests.bench.processes import watch_until
from tests.bench.years import Years
from tests.e2e.bastion import Bastion, environment
from tests.e2e.contractor import Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm

GOAL = 150.0
"""Milliseconds of the server's time, for each."""

_RULES = """
[[rule]]
name = "everyday"
who = ["alice"]
hosts = ["*"]
logins = ["deploy"]
allow = ["shell"]
longest = "8h"
approvals = [{ from = ["bob", "@team-1"] }]
"""

_VERBS = ("a request", "an approval", "a certificate")
_REQUEST = "request host-7 --login deploy --shell --for 2h --reason the disk is full"
_SSHD = """\
Host jump
  HostName 127.0.0.1
  User {login}
  Port {port}
"""


def measure(size: Years, times: int) -> list[Row]:
    """Each so many times; every request is approved, and certified."""
    with ExitStack() as stack:
        house = stack.enter_context(_house(size))
        return [*_at_the_server(house, times), *_at_the_client(house, times)]


@dataclass(frozen=True, slots=True)
class House:
    """A bastion that serves, and who asks, who approves, and what any command costs them."""

    bastion: Bastion
    alice: Contractor
    bob: Contractor
    sshd: Sshd


@contextmanager
def _house(size: Years) -> Iterator[House]:
    with ExitStack() as stack:
        place = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        warm = Warm(environment())
        stack.callback(warm.stop)
        sshd = Sshd()
        stack.callback(sshd.stop)
        bastion = Bastion(place / "home", warm)
        home = Home.at(bastion.home)
        home.database.unlink()
        years.fill(home.database, size)
        home.policy.write_text(_RULES)
        bastion.start()
        stack.callback(bastion.stop)
        alice = Contractor.enrolled(place / "alice", "alice", bastion, "deploy")
        bob = Contractor.enrolled(place / "bob", "bob", bastion, "deploy")
        bastion.admin_now("user", "set", "bob", "--role", "approver")
        for person in (alice, bob):
            _know(person, sshd)
        yield House(bastion, alice, bob, sshd)


def _know(person: Contractor, sshd: Sshd) -> None:
    """The sshd is known to a client, and lets it in."""
    person.configure(_SSHD.format(login=sshd.login, port=sshd.port))
    key = " ".join(sshd.host_key_file.read_text().split()[:2])
    with person.known_hosts.open("a") as known:
        known.write(f"[127.0.0.1]:{sshd.port} {key}\n")
    keys = sshd.home / "authorized_keys"
    keys.mkdir(mode=0o755, exist_ok=True)
    with (keys / sshd.login).open("a") as trusted:
        trusted.write(person.public_key.read_text())


# At the server


def _at_the_server(house: House, times: int) -> list[Row]:
    with opened(Home.at(house.bastion.home)) as services:
        server = _Server(services)
        server.round()  # the first one pays for what is loaded once
        rounds = [server.round() for _ in range(times * 2)]
    return [
        below(f"{what}, at the server, p95", "ms", None, percentile(each, 95), GOAL)
        for what, each in zip(_VERBS, zip(*rounds, strict=True), strict=True)
    ]


class _Server:
    """The control plane, without the wire."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._control = ControlPlane(services)

    def round(self) -> tuple[float, float, float]:
        """Milliseconds for a request, its approval and a certificate."""
        asking, asked = self._run("alice", _REQUEST)
        approving, _ = self._run("bob", f"approve {_number(asked)}")
        certifying, _ = self._run("alice", "cert")
        return asking, approving, certifying

    def _run(self, name: str, line: str) -> tuple[float, str]:
        user = self._services.store.user(name)
        assert user is not None
        identity = Identity(user, user.keys[0], "127.0.0.1", self._services.clock.now())
        voice = _Voice(line)
        begun = time.perf_counter()
        status = self._control.run(identity, split(line), voice)
        taken = (time.perf_counter() - begun) * 1000
        if status != 0:
            raise RuntimeError(f"{line}: {voice.said}")
        return taken, "".join(voice.said)


@dataclass
class _Voice:
    """Somebody on a pipe, who listens."""

    line: str
    said: list[str] = field(default_factory=list)
    terminal: bool = False
    colour: bool = False
    can_ask: bool = False
    taken: bool = True
    answers: bool = True

    def columns(self) -> int:
        return 80

    def out(self, text: str) -> None:
        self.said.append(text)

    def err(self, text: str) -> None:
        self.said.append(text)

    def data(self, data: bytes) -> None:
        self.said.append(data.decode())

    def ask(self, prompt: str) -> str | None:
        return None

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def key(self, seconds: float) -> str | None:
        self.pause(seconds)
        return None

    def settle(self, stay: Stay) -> None:
        pass

    def breathe(self) -> None:
        pass

    def gone(self) -> bool:
        return False


def _number(said: str) -> str:
    found = re.search(r"R-\d+", said)
    assert found, said
    return found[0]


# At the client


def _at_the_client(house: House, times: int) -> list[Row]:
    with ExitStack() as stack:
        alice = stack.enter_context(_Line.held(house.alice, house.bastion.home))
        bob = stack.enter_context(_Line.held(house.bob, house.bastion.home))
        rounds = [_round(alice, bob) for _ in range(times)]
    return [
        row(f"{what}, at the client, beside `ssh … true` to sshd", "ms", pairs)
        for what, pairs in zip(_VERBS, zip(*rounds, strict=True), strict=True)
    ]


def _round(alice: "_Line", bob: "_Line") -> tuple[Pair, Pair, Pair]:
    asked = alice.beside(_REQUEST)
    approved = bob.beside(f"approve {_number(asked.said)}")
    return asked.pair, approved.pair, alice.beside("cert").pair


@dataclass(frozen=True, slots=True)
class _Said:
    """What a command by ssh said, and how long it took, beside another to sshd."""

    said: str
    pair: Pair


@dataclass(frozen=True, slots=True)
class _Line:
    """Two connections of somebody's that are kept: to sshd, and to the bastion."""

    person: Contractor
    place: Path

    @classmethod
    @contextmanager
    def held(cls, person: Contractor, place: Path) -> Iterator["_Line"]:
        """Open until the end of the block."""
        line = cls(person, place)
        with ExitStack() as stack:
            for to in ("jump", "bastion"):
                stack.enter_context(line._master(to))
            yield line

    def beside(self, verb: str) -> _Said:
        """One command to sshd, then the verb."""
        true, _ = self._timed("jump", "true")
        took, said = self._timed("bastion", verb)
        return _Said(said, Pair(true, took))

    @contextmanager
    def _master(self, to: str) -> Iterator[None]:
        with subprocess.Popen(
            self._ssh(to, "-M", "-N"), env=self.person.env, stdin=subprocess.DEVNULL
        ) as master:
            try:
                watch_until(f"{to} is reached", self._path(to).exists)
                yield
            finally:
                master.terminate()

    def _path(self, to: str) -> Path:
        return self.place / f"{self.person.name}-{to}"

    def _ssh(self, to: str, *more: str) -> tuple[str, ...]:
        options = ("-o", f"ControlPath={self._path(to)}", "-o", "LogLevel=ERROR")
        return ("ssh", "-F", str(self.person.config), *options, *more, to)

    def _timed(self, to: str, command: str) -> tuple[float, str]:
        begun = time.perf_counter()
        done = subprocess.run(
            (*self._ssh(to), command),
            env=self.person.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        taken = (time.perf_counter() - begun) * 1000
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")
        return taken, done.stdout
