"""A control plane alone, on loopback: real `ssh` comes in by it and runs what a test made up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
from asyncssh.public_key import SSHKey

from bastion.authority.public_keys import public_key_of
from bastion.console import Console, Patience, Verbs
from bastion.control import Voice
from bastion.inventory import Role, User
from bastion.policy import Identity
from bastion.wire.connections import VERSION, Authenticator, ServerConnection, shared_options
from bastion.wire.packets import Turn
from bastion.workers import ROOM, Room, Workers
from tests.e2e.client import Client
from tests.e2e.watching import Result, Running, Stalled, Terminal

Act = Callable[[Voice, Sequence[str]], int]
"""A verb of a test: it gets the words behind its name, and gives its exit status."""

_CONFIG = """\
Host bastion
  HostName 127.0.0.1
  Port {port}
  User {user}
"""


@dataclass
class Script:
    """Implements `bastion.control.Control`: the first word names what is run."""

    acts: Mapping[str, Act]
    lines: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def run(self, identity: Identity, words: Sequence[str], voice: Voice) -> int:
        """What the test made up; how it ended is kept by the name of the exception."""
        self.lines.append(voice.line)
        try:
            status = self.acts[words[0]](voice, words[1:])
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("returned")
        return status


class Door(Authenticator):
    """Lets one key in, as alice."""

    def __init__(self, key: SSHKey, verbs: Verbs, there: set["Door"]) -> None:
        self._key = key
        self._verbs = verbs
        self._there = there

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """One connection more."""
        self._there.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """And one less."""
        self._there.discard(self)

    async def key_of(self, username: str, key_data: bytes) -> SSHKey | None:
        """The one key."""
        return self._key if key_data == self._key.public_data else None

    def signed(self, username: str, key_data: bytes) -> None:
        """There is nobody else that it could be."""

    def session_requested(self) -> Console:
        """What these tests are about."""
        key = public_key_of(self._key)
        user = User(name="alice", roles=frozenset({Role.CONTRACTOR}), keys=(key,))
        return Console(self._verbs, Identity(user, key, "127.0.0.1"))


@dataclass
class Bastion:
    """A bastion with nothing but a control plane, and `alice` with her real client."""

    alice: Client
    port: int
    script: Script
    workers: Workers
    connections: set[Door]

    async def __call__(self, *words: str, stdin: bytes | None = b"") -> Result:
        """`ssh bastion WORDS`, to its end."""
        return await self.alice.ssh("bastion", *words, stdin=stdin)

    def going(self, *words: str, options: tuple[str, ...] = ()) -> Running:
        """The same, going on, on pipes."""
        return self.alice.start(*options, "bastion", *words)

    async def piped(self, line: str, into: str) -> Result:
        """`ssh bastion LINE | INTO`, by a shell."""
        ssh = " ".join(self.alice._ssh(("bastion", line)))
        return await self.alice.run("sh", "-c", f"{ssh} | {into}")

    def terminal(self, *words: str, size: tuple[int, int] = (80, 24)) -> Terminal:
        """`ssh -t bastion WORDS` on a terminal."""
        line = self.alice._ssh(("-t", "bastion", *words))
        return Terminal(*line, env=self.alice.env, size=size)

    def stalled(self, *words: str) -> Stalled:
        """`ssh bastion WORDS` into a pipe that nobody reads."""
        return Stalled(*self.alice._ssh(("bastion", *words)), env=self.alice.env)


@asynccontextmanager
async def control_plane(
    place: Path, acts: Mapping[str, Act], *, room: Room = ROOM, patience: Patience | None = None
) -> AsyncIterator[Bastion]:
    """Serves `acts` until the end of the block; alice's home is made in `place`."""
    alice = Client(place / "alice")
    key = asyncssh.read_public_key(alice.public_key)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    script, workers, turn = Script(acts), Workers(room), Turn()
    there: set[Door] = set()
    verbs = Verbs(script, workers, lambda identity: identity, patience or Patience())
    options = asyncssh.SSHServerConnectionOptions(
        **shared_options(),
        server_version=VERSION,
        server_host_keys=[host_key],
        encoding=None,
        line_editor=False,
    )
    loop = asyncio.get_running_loop()

    def connection() -> ServerConnection:
        return ServerConnection(loop, options, turn, lambda: Door(key, verbs, there))

    server = await loop.create_server(connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    alice.configure(_CONFIG.format(port=port, user="alice"))
    known = host_key.export_public_key().decode()
    alice.known_hosts.write_text(f"[127.0.0.1]:{port} {known}")
    try:
        yield Bastion(alice, port, script, workers, there)
    finally:
        server.close()
        workers.close()
