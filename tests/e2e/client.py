"""A contractor's machine: a stock OpenSSH client with a home, a key and settings of its own.

OpenSSH takes the home directory from the password database, so `Client` hands its settings over by
`-F`, and names every file in them. `Newcomer` is the whole truth instead: an account of its own,
with a real `~/.ssh`; it needs root.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.sshd import gives_terminals
from tests.e2e.watching import MYSELF, PATIENCE, Account, Result, Running, Stalled, Terminal, run

_OWN = """\
IdentityFile {ssh}/id_ed25519
IdentitiesOnly yes
UserKnownHostsFile {ssh}/known_hosts
GlobalKnownHostsFile none
StrictHostKeyChecking yes
BatchMode yes
"""


class Client:
    """Runs ssh and its friends as one contractor."""

    account = MYSELF

    def __init__(self, home: Path, *, key_type: str = "ed25519") -> None:
        """Makes `home`/.ssh with a fresh key `id_<key_type>`, and a config that names it."""
        self.home = home
        self.ssh_dir = home / ".ssh"
        self.ssh_dir.mkdir(mode=0o700, parents=True)
        self.config = self.ssh_dir / "config"
        self.key = self.ssh_dir / f"id_{key_type}"
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        make_key(self.key, key_type)
        self.configure()

    def configure(self, text: str = "") -> None:
        """Writes its config: `text`, whose values count, and then this client's own files."""
        own = _OWN.format(ssh=self.ssh_dir).replace("id_ed25519", self.key.name)
        self.config.write_text(f"{text}\n{self._hosts()}\nHost *\n{own}")

    def _hosts(self) -> str:
        """What it knows of hosts, as `Host` sections."""
        return ""

    @property
    def public_key(self) -> Path:
        """The public half of its key."""
        return self.key.with_name(f"{self.key.name}.pub")

    @property
    def certificate(self) -> Path:
        """Where OpenSSH looks for the certificate of its key."""
        return self.key.with_name(f"{self.key.name}-cert.pub")

    @property
    def known_hosts(self) -> Path:
        """Its known hosts."""
        return self.ssh_dir / "known_hosts"

    async def ssh(
        self, *args: str, stdin: bytes | None = b"", patience: float = PATIENCE
    ) -> Result:
        """`ssh` with its config, to its end."""
        return await self.run(*self._ssh(args), stdin=stdin, patience=patience)

    def start(self, *args: str) -> Running:
        """`ssh` that goes on, on pipes; to be entered."""
        return Running(*self._ssh(args), env=self.env, account=self.account)

    def terminal(self, *args: str, size: tuple[int, int] = (80, 24)) -> Terminal:
        """`ssh` on a terminal; to be entered. Skips the test where the target can give none."""
        if not gives_terminals():
            pytest.skip("this machine gives an unprivileged sshd no terminals")
        return Terminal(*self._ssh(args), env=self.env, size=size, account=self.account)

    def unread(self, *args: str) -> Stalled:
        """`ssh` into a pipe that nobody reads, until one does; to be entered."""
        return Stalled(*self._ssh(args), env=self.env)

    async def run(
        self, *argv: str, stdin: bytes | None = b"", patience: float = PATIENCE
    ) -> Result:
        """Any program, in this client's environment."""
        return await run(*argv, env=self.env, stdin=stdin, patience=patience, account=self.account)

    def _ssh(self, args: tuple[str, ...]) -> tuple[str, ...]:
        return ("ssh", "-F", str(self.config), *args)

    @asynccontextmanager
    async def agent(self, *keys: Path) -> AsyncIterator[Path]:
        """An ssh-agent that holds `keys`, which this client's programs find while it is entered."""
        with tempfile.TemporaryDirectory(prefix="agent-") as folder:
            socket = Path(folder) / "socket"
            agent = Running("ssh-agent", "-D", "-a", str(socket), env=self.env)
            async with agent:
                await agent.stdout.expect("SSH_AUTH_SOCK=")
                self.env["SSH_AUTH_SOCK"] = str(socket)
                try:
                    for key in keys:
                        added = await self.run("ssh-add", "-q", str(key))
                        assert added.status == 0, added.err
                    yield socket
                finally:
                    del self.env["SSH_AUTH_SOCK"]


class Newcomer(Client):
    """A contractor with an OS account of his own, whose `~` is really his. Needs root.

    His settings are what he pastes into `~/.ssh`; nothing is added by `-F`.
    """

    def __init__(self, name: str) -> None:
        """Adds the account `name` with a fresh home and key; `remove` takes both away."""
        self.name = name
        self._place = Path(tempfile.mkdtemp(prefix="home-"))
        self._place.chmod(0o711)
        home = self._place / name
        subprocess.run(
            ["useradd", "-M", "-d", str(home), "-s", "/bin/sh", "-p", "*", name], check=True
        )
        super().__init__(home)
        self.env |= {"USER": name, "LOGNAME": name}
        entry = pwd.getpwnam(name)
        self.account = Account(entry.pw_uid, entry.pw_gid, ())
        self.config.unlink()
        self.own()

    def own(self) -> None:
        """Gives him all that is in his home."""
        for path in (self.home, *self.home.rglob("*")):
            shutil.chown(path, self.name, self.name)

    def _ssh(self, args: tuple[str, ...]) -> tuple[str, ...]:
        return ("ssh", *args)

    async def shell(self, line: str, patience: float = PATIENCE) -> Result:
        """What he types at his own prompt."""
        return await self.run("sh", "-c", f"cd && {line}", patience=patience)

    def remove(self) -> None:
        """Removes the account and its home."""
        subprocess.run(["userdel", self.name], check=True, capture_output=True)
        shutil.rmtree(self._place)


def make_key(path: Path, key_type: str = "ed25519") -> None:
    """A fresh key pair without passphrase, by ssh-keygen."""
    command = ["ssh-keygen", "-q", "-t", key_type, "-N", "", "-C", "laptop", "-f", str(path)]
    subprocess.run(command, check=True)
