"""Programs as a test sees them: what they show is watched for, never slept for.

`run` takes a whole program; `Running` is one that goes on, on pipes; `Terminal` one on a terminal
of its own. Each is bounded in time and ended by its process id.
"""

import asyncio
import os
import re
import signal
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from functools import partial
from types import TracebackType
from typing import Self

PATIENCE = 15.0
"""Seconds after which a test gives up on a program, unless it says another time."""

_LONGEST = 65536
"""What is watched for is no longer than this, so that a flood is not searched again and again."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended, and all that it wrote."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        """stdout as text."""
        return self.stdout.decode(errors="backslashreplace")

    @property
    def err(self) -> str:
        """stderr as text."""
        return self.stderr.decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Account:
    """The OS account that a program runs as; nothing in it means the one that runs the tests."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None


MYSELF = Account()


class Watched:
    """Bytes as they come, and a place in them up to which a test has read."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self._read = 0
        self._ended = False
        self._news = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """More of them; none means that no more will come."""
        self.seen += data
        self._ended = self._ended or not data
        self._news.set()

    @property
    def text(self) -> str:
        """All that came so far."""
        return self.seen.decode(errors="backslashreplace")

    async def expect(self, pattern: str | bytes, patience: float = PATIENCE) -> re.Match[bytes]:
        """Waits for `pattern` (a regular expression) after what was expected before.

        Fails with what came instead, at the end of the program or of `patience` seconds.
        """
        wanted = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.DOTALL)
        begin = self._read
        try:
            async with asyncio.timeout(patience):
                while not (found := wanted.search(self.seen, begin)):
                    assert not self._ended, self._instead(pattern, "it ended")
                    begin = max(begin, len(self.seen) - _LONGEST)
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(self._instead(pattern, f"nothing in {patience} s")) from None
        self._read = found.end()
        return found

    async def end(self, patience: float = PATIENCE) -> str:
        """Waits until no more comes, and gives what was not read yet."""
        try:
            async with asyncio.timeout(patience):
                while not self._ended:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(self._instead("the end", f"nothing in {patience} s")) from None
        rest = self.seen[self._read :].decode(errors="backslashreplace")
        self._read = len(self.seen)
        return rest

    def _instead(self, pattern: str | bytes, why: str) -> str:
        shown = bytes(self.seen[-4000:])
        return f"waited for {pattern!r}, {why}; what came: {shown!r} ({len(self.seen)} bytes)"


async def run(
    *argv: str,
    env: Mapping[str, str],
    stdin: bytes | None = b"",
    patience: float = PATIENCE,
    account: Account = MYSELF,
) -> Result:
    """Runs `argv` to its end. `stdin` None closes it at once by /dev/null, as `ssh -n` does."""
    process = await _spawn(argv, env, account, DEVNULL if stdin is None else PIPE)
    try:
        async with asyncio.timeout(patience):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        raise AssertionError(f"{argv} went on for {patience} s") from None
    finally:
        await _kill(process)
    assert process.returncode is not None
    return Result(process.returncode, out, err)


async def _spawn(
    argv: tuple[str, ...], env: Mapping[str, str], account: Account, stdin: int
) -> Process:
    return await asyncio.create_subprocess_exec(
        *argv,
        env=env,
        stdin=stdin,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
        user=account.uid,
        group=account.gid,
        extra_groups=account.groups,
    )


async def _kill(process: Process) -> None:
    """Ends a program and its group, if it has not ended by itself."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    if process.stdin is not None:
        process.stdin.close()
        with suppress(BrokenPipeError, ConnectionResetError):  # it had not read all of it
            await process.stdin.wait_closed()


class Running:
    """A program on three pipes that goes on while a test talks to it. Enter it to start it."""

    def __init__(self, *argv: str, env: Mapping[str, str], account: Account = MYSELF) -> None:
        self._argv = argv
        self._env = env
        self._account = account
        self.stdout = Watched()
        self.stderr = Watched()

    async def __aenter__(self) -> Self:
        self._process = await _spawn(self._argv, self._env, self._account, PIPE)
        self._reading = asyncio.TaskGroup()
        await self._reading.__aenter__()
        for stream, watched in (
            (self._process.stdout, self.stdout),
            (self._process.stderr, self.stderr),
        ):
            assert stream is not None
            self._reading.create_task(_watch(stream, watched))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await _kill(self._process)
        await self._reading.__aexit__(None, None, None)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def send(self, data: bytes | str) -> None:
        """Writes to its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.write(data.encode() if isinstance(data, str) else data)
        await self._process.stdin.drain()

    def close_stdin(self) -> None:
        """The end of its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    async def wait(self, patience: float = PATIENCE) -> int:
        """Its exit status, once it has ended by itself."""
        try:
            async with asyncio.timeout(patience):
                return await self._process.wait()
        except TimeoutError:
            shown = f"stdout {self.stdout.text!r}, stderr {self.stderr.text!r}"
            raise AssertionError(f"{self._argv} went on for {patience} s; {shown}") from None


async def _watch(stream: asyncio.StreamReader, watched: Watched) -> None:
    while data := await stream.read(65536):
        watched.feed(data)
    watched.feed(b"")


class Terminal(Watched):
    """A program on a terminal of its own, with somebody typing. Enter it to start it."""

    def __init__(
        self,
        *argv: str,
        env: Mapping[str, str],
        size: tuple[int, int] = (80, 24),
        account: Account = MYSELF,
    ) -> None:
        super().__init__()
        self._argv = argv
        self._env = {**env, "TERM": "xterm-256color"}
        self._account = account
        self._size = size

    async def __aenter__(self) -> Self:
        self._tty, child = os.openpty()
        self.resize(*self._size)
        account = self._account
        if account.uid is not None and account.gid is not None:
            os.fchown(child, account.uid, account.gid)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                env=self._env,
                stdin=child,
                stdout=child,
                stderr=child,
                preexec_fn=partial(_lead, child),
                user=account.uid,
                group=account.gid,
                extra_groups=account.groups,
            )
        finally:
            os.close(child)
        asyncio.get_running_loop().add_reader(self._tty, self._readable)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._tty)
        os.close(self._tty)
        await _kill(self._process)

    def _readable(self) -> None:
        try:
            data = os.read(self._tty, 65536)
        except OSError:  # EIO: nobody holds the other side any more
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._tty)
        self.feed(data)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, text: str | bytes) -> None:
        """Types `text`; at most as much as a terminal takes in one go."""
        os.write(self._tty, text.encode() if isinstance(text, str) else text)

    def resize(self, columns: int, rows: int) -> None:
        """Changes the window; the program hears of it by SIGWINCH."""
        termios.tcsetwinsize(self._tty, (rows, columns))

    async def wait(self, patience: float = PATIENCE) -> int:
        """Its exit status, once it has ended by itself."""
        try:
            async with asyncio.timeout(patience):
                return await self._process.wait()
        except TimeoutError:
            raise AssertionError(self._instead("its end", f"nothing in {patience} s")) from None


def _lead(tty: int) -> None:
    os.setsid()
    ioctl(tty, termios.TIOCSCTTY, 0)


class Stalled:
    """A program whose stdout is a pipe that nobody reads, until one does. Enter it to start it."""

    def __init__(self, *argv: str, env: Mapping[str, str]) -> None:
        self._argv = argv
        self._env = env

    async def __aenter__(self) -> Self:
        self._pipe, stdout = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                env=self._env,
                stdin=DEVNULL,
                stdout=stdout,
                stderr=DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(stdout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await _kill(self._process)
        os.close(self._pipe)

    async def read(self, size: int = 2**20) -> bytes:
        """The next bytes of its stdout, at most `size`; none at the end."""
        return await asyncio.to_thread(os.read, self._pipe, size)

    async def wait(self) -> int:
        """Its exit status."""
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()
