"""Supervising: several processes serve one home, and one that does nothing else looks after them.

    supervisor   holds the home and the listening sockets; starts, watches, restarts the others
      steward    what has to be done once for a home (`serving.steward`)
      worker …   one loop each, taking connections from the one shared socket (`serving.serve`)

The supervisor parses nothing that strangers send, and opens no database. Each of the others has a
pipe to it: a byte when it is ready, and one each second while its loop turns. Whoever says nothing
for too long is killed; whoever has ended is started again, later each time. The pipe's other way
is silent: its end tells a process that the supervisor is gone.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from bastion.config import Listen
from bastion.errors import Unavailable

log = logging.getLogger(__name__)

BACKLOG: Final = 1024

STARTING: Final = 60.0
"""Seconds that a process has to be ready."""

FIRST, LONGEST = 0.5, 30.0
"""Seconds until one that has ended is started again: each time twice as long, up to that."""

STEADY: Final = 60.0
"""One that has lived for so many seconds is started again at once, as if it were the first time."""

STEWARD: Final = "steward"

Argv = Callable[[str, Sequence[int], int], list[str]]
"""The command line of a process: what it is, the descriptors it listens on, that of its pipe."""


@dataclass(slots=True)
class _Child:
    """One process, started again and again."""

    name: str
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    rest: float = FIRST


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for a process that gives no sign, and for live sessions at the end."""

    stalled: float
    drain: float


class Supervisor:
    """Serves a home by a steward and `count` workers, which take connections on `listening`."""

    def __init__(
        self, argv: Argv, listening: Sequence[socket.socket], count: int, patience: Patience
    ) -> None:
        self._argv = argv
        self._listening = listening
        self._children = [_Child(STEWARD), *(_Child(f"worker {n + 1}") for n in range(count))]
        self._patience = patience
        self._ending = asyncio.Event()
        self._again = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Until SIGTERM or SIGINT; a second one ends live sessions at once.

        `ready` is called once all processes are.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_end)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        async with asyncio.TaskGroup() as group:
            kept = [group.create_task(self._keep(self._children[0]))]
            await self._first(self._children[0].ready)
            kept += [group.create_task(self._keep(child)) for child in self._children[1:]]
            for child in self._children[1:]:
                await self._first(child.ready)
            if not self._ending.is_set():
                ready()
            await self._ending.wait()
            await self._end(self._children[1:])
            await self._end(self._children[:1])
            for task in kept:
                task.cancel()

    def _told_to_end(self) -> None:
        (self._again if self._ending.is_set() else self._ending).set()

    def _pass_on(self, number: signal.Signals) -> None:
        for child in self._children:
            _send(child, number)

    async def _first(self, event: asyncio.Event) -> None:
        """Wait for it, or for the end."""
        ways = [asyncio.ensure_future(each.wait()) for each in (event, self._ending)]  # noqa: TID251
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()

    # One process, again and again

    async def _keep(self, child: _Child) -> None:
        loop = asyncio.get_running_loop()
        while not self._ending.is_set():
            begun = loop.time()
            try:
                status = await self._live(child)
            except OSError as error:
                log.error("%s can't be started: %s", child.name, error.strerror)
            else:
                if self._ending.is_set():
                    return
                log.error("%s has ended (%s): it is started again", child.name, _said(status))
            if loop.time() - begun > STEADY:
                child.rest = FIRST
            await asyncio.sleep(child.rest)
            child.rest = min(child.rest * 2, LONGEST)

    async def _live(self, child: _Child) -> int:
        """One life of it: its exit status."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            fds = [] if child.name == STEWARD else [each.fileno() for each in self._listening]
            argv = self._argv(child.name, fds, theirs.fileno())
            child.ready.clear()
            child.process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.DEVNULL, pass_fds=[*fds, theirs.fileno()]
            )
            theirs.close()
            ours.setblocking(False)
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(child, ours))
                status = await child.process.wait()
                watching.cancel()
        child.process = None
        return status

    async def _watch(self, child: _Child, pipe: socket.socket) -> None:
        """Kill it where it gives no sign for too long."""
        loop, patience = asyncio.get_running_loop(), STARTING
        while True:
            try:
                async with asyncio.timeout(patience):
                    if not await loop.sock_recv(pipe, 1024):
                        return
            except TimeoutError:
                log.error("%s gives no sign any more: it is killed", child.name)
                _send(child, signal.SIGKILL)
                return
            except OSError:
                return
            child.ready.set()
            patience = self._patience.stalled

    # The end

    async def _end(self, children: Sequence[_Child]) -> None:
        """End these: gently, at once where that is asked for, by force where they don't."""
        for child in children:
            _send(child, signal.SIGTERM)
        patience = self._patience.drain + 15
        left = asyncio.get_running_loop().time() + patience
        hurried = False
        while any(child.process for child in children):
            if self._again.is_set() and not hurried:
                hurried = True
                for child in children:
                    _send(child, signal.SIGTERM)
            if asyncio.get_running_loop().time() > left:
                for child in children:
                    log.error("%s does not end: it is killed", child.name)
                    _send(child, signal.SIGKILL)
                left += patience
            await asyncio.sleep(0.05)


def listening_on(listen: Listen) -> list[socket.socket]:
    """Sockets that connections to an address come in by. Raises Unavailable."""
    made: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            made.append(socket.create_server(address, family=family, backlog=BACKLOG))
    except OSError as error:
        for each in made:
            each.close()
        reason = error.strerror or str(error)
        raise Unavailable(f"{listen.address} can't be listened on: {reason}.") from error
    return made


class Sign:
    """What a supervised process tells of itself by its pipe."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = socket.socket(fileno=descriptor)
        self._pipe.setblocking(False)

    async def keep(self) -> None:
        """A sign each second, for as long as the supervisor lives; then this process ends too."""
        while True:
            try:
                self._pipe.send(b".")
            except BlockingIOError:
                pass
            except OSError:
                break
            await asyncio.sleep(1)
        log.error("the supervisor is gone: this process ends too")
        os.kill(os.getpid(), signal.SIGTERM)


def _send(child: _Child, number: signal.Signals) -> None:
    if child.process is not None:
        with suppress(ProcessLookupError):
            child.process.send_signal(number)


def _said(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
