"""Supervising: several processes serve one home, and one that does nothing else looks after them.

    supervisor   holds the home and the listening sockets; starts, watches, restarts the others
      steward    what has to be done once for a home (`serving.steward`)
      worker …   one loop each, taking connections from the one shared socket (`serving.serve`)

The supervisor parses nothing that strangers send, and opens no database or settings: whatever is
imported here is kept for as long as the service lasts. Each of the others has a pipe to it: a sign
when it is ready, and one each second while its loop turns, with what it says of itself
(`bulletin`). Whoever says nothing for too long is killed; whoever has ended is started again, later
each time. The pipe's other way is silent: its end tells a process that the supervisor is gone.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from bastion.addresses import Endpoint
from bastion.bulletin import LONGEST as LONGEST_SIGN
from bastion.bulletin import Bulletin, Said
from bastion.errors import Unavailable

log = logging.getLogger(__name__)

BACKLOG: Final = 1024

STARTING: Final = 60.0
"""Seconds that a process has to be ready."""

FIRST, LONGEST = 0.5, 30.0
"""Seconds until one that has ended is started again: each time twice as long, up to that."""

STEADY: Final = 60.0
"""One that has lived for so many seconds is started again at once, as if it were the first time."""

DYING: Final = 15.0
"""Seconds that one has to be gone after it was killed; a disk that hangs can keep it."""

STEWARD: Final = "steward"

Argv = Callable[[str, Sequence[int], int], list[str]]
"""The command line of a process: what it is, the descriptors it listens on, that of its pipe."""


@dataclass(slots=True)
class _Child:
    """One process, started again and again."""

    name: str
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    missed: bool = False
    rest: float = FIRST
    killed: float | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for a process that gives no sign, and for live sessions at the end."""

    stalled: float
    drain: float


class Supervisor:
    """Serves a home by a steward and `count` workers, which take connections on `listening`.

    All of them get the descriptors `handed`. `gone` hears of a worker (from 0) that has ended,
    before it is started again.
    """

    def __init__(
        self,
        argv: Argv,
        listening: Sequence[socket.socket],
        count: int,
        patience: Patience,
        *,
        handed: Sequence[int] = (),
        gone: Callable[[int], None] = lambda worker: None,
    ) -> None:
        self._gone = gone
        self._argv = argv
        self._handed = handed
        self._listening = listening
        self._children = [_Child(STEWARD), *(_Child(f"worker {n + 1}") for n in range(count))]
        self._patience = patience
        self.bulletin = Bulletin([child.name for child in self._children])
        self._ending = asyncio.Event()
        self._again = asyncio.Event()
        self._begun = False
        self._failed = False

    async def run(
        self,
        ready: Callable[[], None],
        beside: Sequence[Coroutine[object, object, None]] = (),
    ) -> bool:
        """Until SIGTERM or SIGINT; a second one ends live sessions at once.

        False where one of the processes found at the start that it can't serve, and has said why:
        then all end. `ready` is called once all processes are; `beside` goes on until the last of
        them has ended. SIGHUP is passed on. The sockets are closed when the end begins: whoever
        comes then is refused, and not kept waiting.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_end)
        loop.add_signal_handler(signal.SIGHUP, self._told_anew)
        async with asyncio.TaskGroup() as group:
            kept = [group.create_task(each) for each in [*beside, self._keep(self._children[0])]]
            await self._first(self._children[0].ready)
            kept += [group.create_task(self._keep(child)) for child in self._children[1:]]
            for child in self._children[1:]:
                await self._first(child.ready)
            if not self._ending.is_set():
                self._begun = True
                ready()
            await self._ending.wait()
            for each in self._listening:
                each.close()
            await self._end(self._children[1:])
            await self._end(self._children[:1])
            for task in kept:
                task.cancel()
        return not self._failed

    def well(self) -> bool:
        """Whether each process gives signs, or is started again; not where one can't be ended."""
        now = asyncio.get_running_loop().time()
        killed = (child.killed for child in self._children if child.killed is not None)
        return all(now - at < DYING for at in killed)

    def _told_to_end(self) -> None:
        (self._again if self._ending.is_set() else self._ending).set()

    def _told_anew(self) -> None:
        for child in self._children:
            if child.ready.is_set():
                _send(child, signal.SIGHUP)
            else:  # it would end one that starts
                child.missed = True

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
                if status > 0 and not self._begun:  # not killed: it would find the same again
                    log.error("%s can't serve, so nothing is served", child.name)
                    self._failed = True
                    self._ending.set()
                    return
                log.error("%s has ended (%s): it is started again", child.name, _said(status))
            if loop.time() - begun > STEADY:
                child.rest = FIRST
            await asyncio.sleep(child.rest)
            child.rest = min(child.rest * 2, LONGEST)

    async def _live(self, child: _Child) -> int:
        """One life of it: its exit status."""
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with ours, theirs:
            fds = [] if child.name == STEWARD else [each.fileno() for each in self._listening]
            argv = self._argv(child.name, fds, theirs.fileno())
            child.process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[*fds, *self._handed, theirs.fileno()],
                process_group=0,  # ctrl-c is for the supervisor alone
            )
            self.bulletin.started(child.name)
            theirs.close()
            ours.setblocking(False)
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(child, ours))
                status = await child.process.wait()
                watching.cancel()
        self.bulletin.ended(child.name)
        child.ready.clear()
        child.process = child.killed = None
        if child is not self._children[0]:
            self._gone(self._children.index(child) - 1)
        return status

    async def _watch(self, child: _Child, pipe: socket.socket) -> None:
        """Kill it where it gives no sign for too long."""
        loop, patience = asyncio.get_running_loop(), STARTING
        while True:
            try:
                async with asyncio.timeout(patience):
                    said = await loop.sock_recv(pipe, LONGEST_SIGN)
                if not said:
                    return
            except TimeoutError:
                log.error("%s gives no sign any more: it is killed", child.name)
                _send(child, signal.SIGKILL)
                child.killed = loop.time()
                self.bulletin.ended(child.name)
                return
            except OSError:
                return
            self.bulletin.heard(child.name, Said.decoded(said))
            child.ready.set()
            if child.missed:
                child.missed = False
                _send(child, signal.SIGHUP)
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


def listening_on(address: Endpoint) -> list[socket.socket]:
    """Sockets that connections to an address come in by. Raises Unavailable."""
    made: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, name in dict.fromkeys(found):
            made.append(socket.create_server(name, family=family, backlog=BACKLOG))
    except OSError as error:
        for each in made:
            each.close()
        reason = error.strerror or str(error)
        raise Unavailable(f"{address} can't be listened on: {reason}.") from error
    return made


def _send(child: _Child, number: signal.Signals) -> None:
    if child.process is not None:
        with suppress(ProcessLookupError):
            child.process.send_signal(number)


def _said(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name
