"""A crowd: contractors in a process of their own, by a library, as hundreds of `ssh` would be dear.

Run as a program with a `Way` as JSON for its argument, it does what it is told by lines on stdin,
answers each with a line of JSON, and ends with its stdin:

    open N         so many more sessions are open: {"opened": N}
    ends           all of them have said their last line, or were closed: {"ends": [TIME…]}
    rate S         for S seconds, sessions are begun and ended one after the other by `at_once`
                   people: {"latencies": [SECONDS…], "failed": N}

A session says that it is there by the target's `READY`. Times are those of the wall clock.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import cast

import asyncssh
import uvloop
from asyncssh.connection import SSHClientConnection

from tests.bench.processes import descriptors_raised
from tests.bench.quiet_target import READY
from tests.e2e.warm import ROOT

LAST_WORDS = b"this session is over."
PATIENCE = 120.0

JUMP_ORIGIN = ("127.0.0.1", 65535)
"""The originator that `ssh -J` sends."""


@dataclass(frozen=True, slots=True)
class Way:
    """A jump host, and the target as it calls it. `each` is how many sessions a connection has."""

    port: int
    user: str
    host: str
    host_port: int
    login: str
    key: str
    certificate: str | None = None
    each: int = 1
    at_once: int = 4


# The program


@dataclass(frozen=True, slots=True)
class Jump:
    """An outer connection, as a tunnel whose originator is that of `ssh -J`."""

    outer: SSHClientConnection

    async def create_connection(
        self, factory: Callable[[], asyncssh.SSHTCPSession[bytes]], host: str, port: int
    ) -> object:
        return await self.outer.create_connection(factory, host, port, *JUMP_ORIGIN)

    def close(self) -> None:
        """As asyncssh does with a tunnel of its own."""
        self.outer.close()

    async def wait_closed(self) -> None:
        """See `close`."""
        await self.outer.wait_closed()


class _Session(asyncssh.SSHClientSession[bytes]):
    """Waits for its first word, and for its last."""

    def __init__(self) -> None:
        self._tail = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._tail = (self._tail + data)[-500:]
        if READY in self._tail and not self.ready.done():
            self.ready.set_result(None)
        if LAST_WORDS in self._tail:
            self._is_over()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over()
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError("closed at once"))

    def _is_over(self) -> None:
        if not self.over.done():
            self.over.set_result(time.time())


class _Members:
    """Those of this process."""

    def __init__(self, way: Way, stack: AsyncExitStack) -> None:
        self._way = way
        self._stack = stack
        self._sessions: list[_Session] = []
        keys = way.key if way.certificate is None else (way.key, way.certificate)
        self._options = asyncssh.SSHClientConnectionOptions(
            config=None,
            known_hosts=None,  # what is measured is at the other end
            client_keys=[keys],
            agent_path=None,
            kex_algs=["curve25519-sha256"],
            encryption_algs=["aes128-gcm@openssh.com"],
            keepalive_interval=0,
            login_timeout=PATIENCE,
        )

    async def open(self, number: int) -> dict[str, object]:
        gate = asyncio.Semaphore(self._way.at_once)

        async def connected(sessions: int) -> None:
            async with gate:
                inner = await self._connect(self._stack)
                for _ in range(sessions):
                    self._sessions.append(await self._session(inner))

        whole, rest = divmod(number, self._way.each)
        async with asyncio.TaskGroup() as group:
            for sessions in [self._way.each] * whole + [rest] * (rest > 0):
                group.create_task(connected(sessions))
        return {"opened": number}

    async def ends(self) -> dict[str, object]:
        async with asyncio.timeout(PATIENCE):
            return {"ends": [await session.over for session in self._sessions]}

    async def rate(self, seconds: float) -> dict[str, object]:
        latencies: list[float] = []
        failed = 0
        until = time.monotonic() + seconds

        async def come_and_go() -> None:
            nonlocal failed
            while (begun := time.monotonic()) < until:
                try:
                    async with AsyncExitStack() as stack:
                        await self._session(await self._connect(stack))
                        latencies.append(time.monotonic() - begun)
                except (OSError, asyncssh.Error):
                    failed += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(self._way.at_once):
                group.create_task(come_and_go())
        return {"latencies": latencies, "failed": failed}

    async def _connect(self, stack: AsyncExitStack) -> SSHClientConnection:
        way = self._way
        connect = asyncssh.connect("127.0.0.1", way.port, username=way.user, options=self._options)
        tunnel = cast(SSHClientConnection, Jump(await stack.enter_async_context(connect)))
        inner = asyncssh.connect(
            way.host, way.host_port, tunnel=tunnel, username=way.login, options=self._options
        )
        return await stack.enter_async_context(inner)

    async def _session(self, inner: SSHClientConnection) -> _Session:
        session = _Session()
        await inner.create_session(lambda: session, "wait", term_type="xterm", encoding=None)
        async with asyncio.timeout(PATIENCE):
            await session.ready
        return session


async def _obey(way: Way) -> None:
    async with AsyncExitStack() as stack:
        members = _Members(way, stack)
        while line := await asyncio.to_thread(sys.stdin.readline):
            word, *more = line.split()
            if word == "open":
                answer = await members.open(int(more[0]))
            elif word == "rate":
                answer = await members.rate(float(more[0]))
            else:
                answer = await members.ends()
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        os._exit(0)  # closing thousands one by one is nobody's figure


# Whoever commands it


@dataclass
class Crowd:
    """Several such processes, which do their parts at the same time."""

    processes: list["subprocess.Popen[str]"] = field(default_factory=list)

    def open(self, number: int, patience: float = 600.0) -> None:
        """So many sessions more, in all."""
        parts = [number // len(self.processes)] * len(self.processes)
        parts[0] += number - sum(parts)
        self._told([f"open {part}" for part in parts])

    def begin_to_end(self) -> None:
        """From now on they wait for their last lines."""
        for process in self.processes:
            self._tell(process, "ends")

    def ends(self) -> list[float]:
        """When each has had it."""
        return [at for process in self.processes for at in _listed(self._heard(process), "ends")]

    def rate(self, seconds: float) -> tuple[list[float], int]:
        """How long each took that came and went in that time, and how many failed."""
        answers = self._told([f"rate {seconds}"] * len(self.processes))
        latencies = [each for answer in answers for each in _listed(answer, "latencies")]
        failed = sum(cast(int, answer["failed"]) for answer in answers)
        return latencies, failed

    def _told(self, lines: list[str]) -> list[dict[str, object]]:
        for process, line in zip(self.processes, lines, strict=True):
            self._tell(process, line)
        return [self._heard(process) for process in self.processes]

    def _tell(self, process: "subprocess.Popen[str]", line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()

    def _heard(self, process: "subprocess.Popen[str]") -> dict[str, object]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a crowd has ended with {process.wait(10)}")
        answer: dict[str, object] = json.loads(line)
        return answer


def _listed(answer: dict[str, object], name: str) -> list[float]:
    return cast(list[float], answer[name])


@contextmanager
def crowd(way: Way, processes: int) -> Iterator[Crowd]:
    """So many of them, ended in the end."""
    with ExitStack() as stack:
        made = Crowd()
        for _ in range(processes):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.crowd", json.dumps(asdict(way))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                start_new_session=True,
            )
            stack.enter_context(process)
            stack.callback(_ended, process)
            made.processes.append(process)
        yield made


def _ended(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    descriptors_raised()
    uvloop.run(_obey(Way(**json.loads(sys.argv[1]))))
