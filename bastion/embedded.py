"""A small SSH target in this process, on loopback, for the demo: it needs no sshd and no root.

It trusts the user certificates of one CA and nothing else, and runs programs as the OS user who
started it: a login shell or `$SHELL -c`, with a terminal or without. Forwards, agent, X11 and
subsystems are refused. It does not know the bastion; it is what stands behind one.
"""

import asyncio
import fcntl
import os
import termios
from asyncio.subprocess import Process
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from signal import SIG_DFL, Signals, signal
from typing import Self, cast

import asyncssh

CONNECTIONS = 32
"""So many connections are held at a time; one more is closed at once."""

CHANNELS = 10
"""So many programs run on one connection at a time, as with sshd's MaxSessions."""

SIGN_IN_SECONDS = 30
GRACE_SECONDS = 2.0
"""How long a program may take to end when its channel is gone, before it is killed."""

_KEPT = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TZ", "USER")
"""What a program gets of the environment that this process runs in."""


def new_host_key() -> asyncssh.SSHKey:
    """A fresh Ed25519 key, to be a target's host key for one demo."""
    return asyncssh.generate_private_key("ssh-ed25519")


def target(
    host_key: asyncssh.SSHKey, target_ca_line: str, *, logins: Collection[str], port: int = 0
) -> "Target":
    """A target to enter with `async with`. `target_ca_line` is the CA's public key in one line.

    Whoever shows a live certificate of that CA with one of `logins` among its principals may sign
    in under that name. `port` 0 takes a free one. Raises asyncssh.KeyImportError for what is no
    public key; entering raises OSError when the port is in use.
    """
    return Target(host_key, asyncssh.import_public_key(target_ca_line), frozenset(logins), port)


class Target:
    """A target that listens while it is entered: `port`, and `host_key_line` to be pinned."""

    def __init__(
        self, host_key: asyncssh.SSHKey, ca: asyncssh.SSHKey, logins: frozenset[str], port: int
    ) -> None:
        self.port = port
        self.host_key_line = host_key.export_public_key("openssh").decode().strip()
        self._host_key = host_key
        self._ca = ca
        self._logins = logins
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._programs = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=self._door,
            server_host_keys=[self._host_key],
            host_based_auth=False,
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
            agent_forwarding=False,
            line_editor=False,
            encoding=None,
            login_timeout=SIGN_IN_SECONDS,
        )
        self.port = self._acceptor.get_port()
        await self._programs.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._acceptor.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._acceptor.wait_closed()
        # Not handed on: what went wrong in the caller's block is no failure of a program here.
        await self._programs.__aexit__(None, None, None)

    def _door(self) -> asyncssh.SSHServer:
        return _Door(self._ca, self._logins, self._connections, self._programs)


class _Trust(asyncssh.SSHAuthorizedKeys):
    """Trusts the certificates of `ca` that name `login`, and no key by itself.

    asyncssh goes on to check dates and source. One without principals it would take for everybody.
    """

    def __init__(self, ca: asyncssh.SSHKey, login: str) -> None:
        super().__init__()
        self._ca = ca
        self._login = login

    def validate(
        self,
        key: asyncssh.SSHKey,
        client_host: str,
        client_addr: str,
        cert_principals: Sequence[str] | None = None,
        ca: bool = False,
    ) -> dict[str, object] | None:
        trusted = ca and key == self._ca and self._login in (cert_principals or ())
        return {} if trusted else None


class _Door(asyncssh.SSHServer):
    """One connection. Whatever is not overridden here, asyncssh refuses."""

    def __init__(
        self,
        ca: asyncssh.SSHKey,
        logins: frozenset[str],
        connections: set[asyncssh.SSHServerConnection],
        programs: asyncio.TaskGroup,
    ) -> None:
        self._ca = ca
        self._logins = logins
        self._connections = connections
        self._programs = programs
        self._channels: set[_Program] = set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        if len(self._connections) >= CONNECTIONS:
            conn.abort()
        else:
            self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        known = username in self._logins
        trust = _Trust(self._ca, username) if known else asyncssh.SSHAuthorizedKeys()
        self._connection.set_authorized_keys(trust)
        return True

    def session_requested(self) -> "_Program | bool":
        if len(self._channels) >= CHANNELS:
            return False
        program = _Program(self._programs, self._channels)
        self._channels.add(program)
        return program


class _Program(asyncssh.SSHServerSession[bytes]):
    """One session channel, and the program on it: joined by a terminal or by three pipes."""

    def __init__(self, programs: asyncio.TaskGroup, channels: "set[_Program]") -> None:
        self._programs = programs
        self._channels = channels
        self._term: str | None = None
        self._size = (24, 80)
        self._tty: int | None = None
        self._sent = asyncio.StreamReader()
        self._stdin: _Stdin | None = None
        self._outputs: list[_Output] = []
        self._ends = ExitStack()
        self._running: asyncio.Task[None] | None = None
        self._child: Process | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan
        # A reader that is full pauses what feeds it: here the channel.
        self._sent.set_transport(cast(asyncio.Transport, chan))

    def connection_lost(self, exc: Exception | None) -> None:
        self._channels.discard(self)
        if self._running is not None:
            self._running.cancel()

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object
    ) -> bool:
        self._term = term_type
        self.terminal_size_changed(*term_size)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self._size = (min(height, 0xFFFF), min(width, 0xFFFF))
        if self._tty is not None:
            termios.tcsetwinsize(self._tty, self._size)

    def shell_requested(self) -> bool:
        return self._begin(f"-{Path(_shell()).name}")  # the dash makes it a login shell

    def exec_requested(self, command: str) -> bool:
        return self._begin(Path(_shell()).name, "-c", command)

    def break_received(self, msec: int) -> bool:
        return self._term is not None  # a pseudo-terminal has no line to send it on

    def signal_received(self, signal: str) -> None:
        if number := Signals.__members__.get("SIG" + signal):
            self._send(number)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._sent.feed_data(data)

    def eof_received(self) -> bool:
        self._sent.feed_eof()
        return True

    def pause_writing(self) -> None:
        for output in self._outputs:
            output.transport.pause_reading()

    def resume_writing(self) -> None:
        for output in self._outputs:
            output.transport.resume_reading()

    def _begin(self, *argv: str) -> bool:
        self._running = self._programs.create_task(self._run(argv))
        return True

    async def _run(self, argv: Sequence[str]) -> None:
        """The program's whole life. The end of the channel cancels it, and so ends the program."""
        try:
            child = self._child = await self._start(argv)
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(self._feed())
                status = await child.wait()
                for output in self._outputs:
                    await output.ended.wait()
                feeding.cancel()
            self._report(status)
        except OSError as error:
            self._chan.write_stderr(f"{_shell()}: {error.strerror}\n".encode())
            self._chan.exit(127)
        finally:
            await self._end()

    async def _start(self, argv: Sequence[str]) -> Process:
        child = await self._join()
        begin = _apart if self._term is None else partial(_lead, child[0])
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                executable=_shell(),
                stdin=child[0],
                stdout=child[1],
                stderr=child[2],
                env=_environment(self._term),
                cwd=os.environ.get("HOME", "/"),
                preexec_fn=begin,
            )
        finally:
            for fd in set(child):
                os.close(fd)

    async def _join(self) -> tuple[int, int, int]:
        """Joins the channel to one side of a terminal or pipes; gives the program's side."""
        if self._term is None:
            (stdin, write), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
            await self._connect(write, {out: None, err: asyncssh.EXTENDED_DATA_STDERR})
            return stdin, stdout, stderr
        self._tty, tty = os.openpty()
        self._ends.callback(os.close, self._tty)
        termios.tcsetwinsize(self._tty, self._size)
        await self._connect(os.dup(self._tty), {os.dup(self._tty): None})
        return tty, tty, tty

    async def _connect(self, write: int, reads: dict[int, int | None]) -> None:
        loop = asyncio.get_running_loop()
        self._stdin = _Stdin(write)
        self._ends.callback(self._stdin.close)
        for fd, kind in reads.items():
            make = partial(_Output, self._chan, kind)
            transport, output = await loop.connect_read_pipe(make, os.fdopen(fd, "rb", 0))
            self._ends.callback(transport.close)
            self._outputs.append(output)

    async def _feed(self) -> None:
        while self._stdin is not None and (data := await self._sent.read(65536)):
            await self._stdin.write(data)
        if self._term is None and self._stdin is not None:
            self._stdin.close()  # a terminal has no end of file: that is a character one types

    def _report(self, status: int) -> None:
        if status < 0:
            self._chan.exit_with_signal(Signals(-status).name.removeprefix("SIG"))
        else:
            self._chan.exit(status)

    async def _end(self) -> None:
        """Leaves nothing behind: no descriptor, and no process of the program's group."""
        self._tty = None
        self._ends.close()
        if self._child is None or self._child.returncode is not None:
            return
        self._send(Signals.SIGHUP)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._child.wait(), GRACE_SECONDS)
        self._send(Signals.SIGKILL)
        await self._child.wait()

    def _send(self, number: Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)


class _Output(asyncio.Protocol):
    """What the program writes, to its channel; `kind` None is stdout. `ended` when it has ended."""

    transport: asyncio.ReadTransport

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], kind: int | None) -> None:
        self._chan = chan
        self._kind = kind
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._chan.is_closing():
            self._chan.write(data, self._kind)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()  # for a terminal that nobody holds any more, `exc` is EIO


class _Stdin:
    """The way to the program's stdin. What it does not want to read is let go, as with sshd.

    No transport of the loop's: uvloop's reads from what it is to write to, and on a terminal that
    takes away what the program has said.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd: int | None = fd

    async def write(self, data: bytes) -> None:
        """Returns when the program, or the pipe to it, has taken all of `data`."""
        left = memoryview(data)
        while left and self._fd is not None:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                await self._room(self._fd)
            except OSError:
                return

    async def _room(self, fd: int) -> None:
        loop, free = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(fd, free.set)
        try:
            await free.wait()
        finally:
            loop.remove_writer(fd)

    def close(self) -> None:
        """Nothing more is sent."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _shell() -> str:
    return os.environ.get("SHELL") or "/bin/sh"


def _environment(term: str | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept if term is None else {**kept, "TERM": term}


def _apart() -> None:
    """Run in the child: a session of its own, and signals as they are by default.

    Whoever started us in the background may have had SIGINT ignored, and that is inherited.
    """
    os.setsid()
    for number in (Signals.SIGINT, Signals.SIGQUIT, Signals.SIGHUP, Signals.SIGTERM):
        signal(number, SIG_DFL)


def _lead(tty: int) -> None:
    """Run in the child: it leads a session of its own, which `tty` controls."""
    _apart()
    fcntl.ioctl(tty, termios.TIOCSCTTY, 0)
