"""Desks for tests: verbs run in this process, in a home of their own, and what they said."""

import json
import shlex
import shutil
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastion.actor import Actor
from bastion.addresses import Endpoint
from bastion.app import Services, opened
from bastion.home import Home, create
from bastion.inventory import User
from bastion.policy import Identity
from bastion.words import split
from bastion.workers import Stay
from cli import door
from cli.control import ControlPlane
from cli.desk import Desk
from cli.output import Output
from cli.program import admin
from cli.verb import run
from tests import postgres

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHO2W/gGMIG6rsW3CIbwBS8QPPYHkJs/hvrmtTpz0B8P alice"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDyYDliasCYwARXnaOgg5Xr5OU8J+KrJa3uBjBFefyrr other"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILJIeOJIYwLbRycEYvBiOuvJ/FpkbBDKo7DMDoimvrZ1"

Happening = Callable[[], object]
"""What happens elsewhere while a verb waits."""


@dataclass(frozen=True)
class Said:
    """What a verb said, and its exit status."""

    status: int
    out: str
    err: str
    data: bytes = b""

    @property
    def json(self) -> Any:  # noqa: ANN401 (any document)
        """The one JSON document on the way out."""
        return json.loads(self.out)


@dataclass
class Words:
    """Collects both ways of an output."""

    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def said(self, status: int) -> Said:
        """All of it."""
        return Said(status, "".join(self.out), "".join(self.err))


class Installation:
    """A home, and somebody who types `bastion-admin` there, from the machine's `account`."""

    account = "tester"

    def __init__(self, directory: Path, port: int = 2222) -> None:
        """Makes the home; nothing is served."""
        listen = Endpoint("127.0.0.1", port)
        now, url = datetime.now(UTC), postgres.new_empty_url()
        self.home: Home = create(directory, listen, (), "machine", now, database=url).home

    @classmethod
    def at(cls, home: Home) -> Self:
        """The installation that is there."""
        found = cls.__new__(cls)
        found.home = home
        return found

    def copied(self, directory: Path) -> Self:
        """Another that is the same, in `directory`."""
        shutil.copytree(self.home.directory, directory)
        copy = replace(self.home, directory=directory)
        postgres.give_copy(copy)
        return self.at(copy)

    def __call__(
        self, *words: str, status: int | None = 0, terminal: bool = False, width: int = 80
    ) -> Said:
        """`bastion-admin WORDS`; fails unless it ends with `status` (None: any)."""
        heard = Words()
        output = Output(heard.out.append, heard.err.append, terminal, width)
        desk = Desk(
            "bastion-admin", output, Actor(f"os:{self.account}", account=self.account), door.entered
        )
        said = heard.said(run(admin, ["--home", str(self.home.directory), *words], desk))
        assert status in (None, said.status), f"{words}: {said}"
        return said

    def services(self) -> AbstractContextManager[Services]:
        """The services of the home, to be entered."""
        return opened(self.home)


class Caller:
    """Somebody on the other side of a connection, as a verb hears her: she answers `answers`,
    and types `keys`.

    Each time that the verb waits, the next of `meanwhile` happens.
    """

    def __init__(
        self,
        line: str,
        *,
        terminal: bool = False,
        answers: Sequence[str] = (),
        keys: str = "",
        meanwhile: Sequence[Happening] = (),
    ) -> None:
        self.line = line
        self.terminal = self.colour = self.can_ask = terminal
        self.heard = Words()
        self.out = self.heard.out.append
        self.err = self.heard.err.append
        self.bytes = bytearray()
        self.data = self.bytes.extend
        self.waited = 0.0
        self.stays: list[Stay] = []
        self.taken = self.answers = True
        self._keys = iter(keys)
        self._answers = iter(answers)
        self._meanwhile = iter(meanwhile)

    def columns(self) -> int:
        """A terminal as they were."""
        return 80

    def ask(self, prompt: str) -> str | None:
        """The next answer, while there is one and a terminal."""
        self.out(prompt)
        return next(self._answers, None) if self.can_ask else None

    def pause(self, seconds: float) -> None:
        """Time flies."""
        self.waited += seconds
        next(self._meanwhile, lambda: None)()

    def key(self, seconds: float) -> str | None:
        """The next key; time flies where there is none."""
        if (key := next(self._keys, None)) is None:
            self.pause(seconds)
        return key

    def settle(self, stay: Stay) -> None:
        """There is room."""
        self.stays.append(stay)

    def breathe(self) -> None:
        """Others have their turn."""

    def gone(self) -> bool:
        """She stays."""
        return False


@dataclass
class Remote:
    """Somebody who has signed in by SSH, and runs verbs of the control plane."""

    services: Services
    name: str

    def __call__(
        self,
        *words: str,
        status: int | None = 0,
        terminal: bool = False,
        answers: Sequence[str] = (),
        keys: str = "",
        meanwhile: Sequence[Happening] = (),
    ) -> Said:
        """`ssh bastion WORDS`; fails unless it ends with `status` (None: any).

        `answers` are typed, one after the other, where something is asked at a terminal.
        """
        caller = Caller(
            shlex.join(words), terminal=terminal, answers=answers, keys=keys, meanwhile=meanwhile
        )
        return self.calls(caller, status)

    def typed(
        self,
        line: str,
        status: int | None = 0,
        *,
        terminal: bool = False,
        answers: Sequence[str] = (),
        meanwhile: Sequence[Happening] = (),
    ) -> Said:
        """The same with the line as ssh sends it: its words joined, their quotes gone."""
        caller = Caller(line, terminal=terminal, answers=answers, meanwhile=meanwhile)
        return self.calls(caller, status)

    def calls(self, caller: Caller, status: int | None = 0) -> Said:
        """What `caller` hears, who types as this person."""
        plane = ControlPlane(self.services)
        ended = plane.run(self._identity(), split(caller.line), caller)
        said = replace(caller.heard.said(ended), data=bytes(caller.bytes))
        assert status in (None, ended), f"{caller.line}: {said}"
        return said

    def _identity(self) -> Identity:
        user: User | None = self.services.store.user(self.name)
        assert user is not None
        return Identity(user, user.keys[0], "192.0.2.7")


def new_key() -> str:
    """A new public key's line."""
    public = Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
