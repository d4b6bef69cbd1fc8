"""A contractor who is enrolled at a bastion, and whose client is set up for it."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from tests.e2e.bastion import Bastion
from tests.e2e.client import Client
from tests.e2e.watching import PATIENCE, Result, Running, Stalled, Terminal

HOST = "prod-host"
"""What the inventory calls the sshd of these tests."""

_CONFIG = """\
Host bastion
  HostName 127.0.0.1
  Port {port}
  User {user}
  CertificateFile {certificate}
"""


class Contractor(Client):
    """Types `ssh -J bastion LOGIN@prod-host`, once there is a grant and a certificate."""

    def __init__(self, home: Path, name: str, bastion: Bastion, login: str) -> None:
        """`login` is the account at the target. Nobody is enrolled yet."""
        self.name = name
        self.bastion = bastion
        self.login = login
        super().__init__(home)
        self.known_hosts.write_text(f"@cert-authority * {bastion.host_ca}\n")

    @classmethod
    def enrolled(cls, home: Path, name: str, bastion: Bastion, login: str) -> Self:
        """Somebody whom `user add` has made known."""
        person = cls(home, name, bastion, login)
        bastion.admin_now("user", "add", name, "--key", str(person.public_key))
        return person

    def _hosts(self) -> str:
        return _CONFIG.format(port=self.bastion.port, user=self.name, certificate=self.certificate)

    def granted_now(self, *what: str, host: str = HOST, lasting: str = "1h") -> str:
        """A grant, as `G-7`: a shell unless `what` says something else. Blocks."""
        words = ("--host", host, "--login", self.login, "--for", lasting, "--reason", "a test")
        done = self.bastion.admin_now("grant", self.name, *words, *(what or ("--shell",)))
        found = re.search(r"G-\d+", done.out + done.err)
        assert found, done
        return found[0]

    def certified_now(self) -> None:
        """`ssh bastion cert > …-cert.pub`. Blocks."""
        done = subprocess.run(
            self._ssh(("bastion", "cert")),
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        self.certificate.write_bytes(done.stdout)

    async def granted(self, *what: str, host: str = HOST, lasting: str = "1h") -> str:
        """`granted_now` beside what goes on."""
        return await asyncio.to_thread(self.granted_now, *what, host=host, lasting=lasting)

    async def certified(self) -> None:
        """`certified_now` beside what goes on."""
        await asyncio.to_thread(self.certified_now)

    async def jump(
        self,
        *words: str,
        options: tuple[str, ...] = (),
        host: str = HOST,
        stdin: bytes | None = b"",
        patience: float = PATIENCE,
    ) -> Result:
        """`ssh -J bastion LOGIN@HOST WORDS`, to its end."""
        line = self._jump(words, options, host)
        return await self.ssh(*line, stdin=stdin, patience=patience)

    def jumping(self, *words: str, options: tuple[str, ...] = (), host: str = HOST) -> Running:
        """The same, going on, on pipes."""
        return self.start(*self._jump(words, options, host))

    def jump_terminal(
        self, *words: str, options: tuple[str, ...] = (), size: tuple[int, int] = (80, 24)
    ) -> Terminal:
        """The same, on a terminal."""
        return self.terminal(*self._jump(words, options, HOST), size=size)

    def stalled(self, *words: str) -> Stalled:
        """The same, with a stdout that nobody reads."""
        return Stalled(*self._ssh(self._jump(words, (), HOST)), env=self.env)

    def _jump(self, words: tuple[str, ...], options: tuple[str, ...], host: str) -> tuple[str, ...]:
        return (*options, "-J", "bastion", f"{self.login}@{host}", *words)


async def established(jump: Running) -> None:
    """Waits for the inner connection, and its local listeners, of a client that says `-v`."""
    await jump.stderr.expect(f"Authenticated to {HOST}.*Entering interactive session")


@asynccontextmanager
async def multiplexed(alice: Contractor, place: Path) -> AsyncIterator["Through"]:
    """One master connection to the target, and a way to run commands through it."""
    path = ("-o", f"ControlPath={place}/inner")
    async with alice.jumping(options=(*path, "-M", "-N", "-v")) as master:
        await established(master)
        yield Through(alice, path)
        await alice.jump(options=(*path, "-O", "exit"))
        await master.wait()


class Through:
    """Runs commands on a master connection."""

    def __init__(self, alice: Contractor, path: tuple[str, ...]) -> None:
        self._alice = alice
        self._path = path

    async def __call__(self, command: str, stdin: bytes = b"") -> Result:
        """One command, as a channel of its own."""
        return await self._alice.jump(command, options=self._path, stdin=stdin)
