"""The service: the process that holds the CAs' private halves and signs what the judge lets pass.

It answers over a unix socket, whoever the kernel says has one of the accounts, and nobody else.
Every connection is read with a limit and a deadline, one request after the other. What was signed
is written down in turns, all that wait in one, and only then answered.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from bastion.errors import Unavailable
from bastion.signing import frames
from bastion.signing.book import Book
from bastion.signing.desk import Desk, Pen, remembered
from bastion.signing.limits import demand_private
from bastion.signing.peers import peer_of
from bastion.signing.vault import Place, Vault

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 512
"""Connections at once: each of the bastion's processes holds eight at most."""

ACCEPTING: Final = 8
"""Turns of the loop in which whoever has been accepted is attended to: asyncio takes four."""

WHOLE: Final = 5.0
"""Seconds in which a frame that has begun is whole, or an answer taken."""


class Front:
    """The socket: who comes in, and the frames of each."""

    def __init__(self, desk: Desk, vault: Vault, group: asyncio.TaskGroup) -> None:
        self._desk = desk
        self._vault = vault
        self._group = group
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._idle: set[asyncio.StreamWriter] = set()
        self._closing = False

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody has connected."""
        self._open[writer] = self._group.create_task(self._attend(reader, writer))

    async def close(self) -> None:
        """Answer what was asked, and end all connections."""
        self._closing = True
        for writer in self._idle:
            writer.transport.abort()
        if self._open:
            await asyncio.wait(list(self._open.values()), timeout=WHOLE)
        for task in self._open.values():
            task.cancel()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until its end. Nothing that comes in it may end the others."""
        pid, uid = peer_of(writer.get_extra_info("socket"))
        try:
            if uid not in self._vault.look().bench.limits.accounts:
                self._desk.say(f"the account {uid} (process {pid}) is not answered")
            elif len(self._open) > MOST_CONNECTIONS:
                self._desk.say(f"no place for another connection, of the process {pid}")
            else:
                await self._talk(reader, writer, pid)
        except (ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
            self._desk.say(f"a connection of the process {pid} is closed: {_in_short(error)}")
        except OSError:
            pass  # whoever asked has left
        except Exception:
            log.exception("a connection of the process %s failed", pid)
        finally:
            self._idle.discard(writer)
            await _closed(writer)
            del self._open[writer]

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int
    ) -> None:
        while not self._closing:
            self._idle.add(writer)
            head = await reader.read(1)
            self._idle.discard(writer)
            if not head:
                return
            async with asyncio.timeout(WHOLE):
                head += await reader.readexactly(frames.HEAD - 1)
                data = await reader.readexactly(frames.length(head))
            answer = await self._desk.answer(frames.read_request(data), pid)
            writer.write(frames.framed(answer))
            async with asyncio.timeout(WHOLE):
                await writer.drain()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(WHOLE):
            await writer.wait_closed()
    except (TimeoutError, OSError):
        writer.transport.abort()


def _in_short(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, asyncio.IncompleteReadError):
        return "it broke off within a frame"
    return str(error)[:200]


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket in the file `path`, in place of one that was left there; for the account's group.

    Raises Misconfigured, Unavailable.
    """
    demand_private(path.parent)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _demand_nobody(path)
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        path.chmod(0o660)
        yield sock
    except OSError as error:
        raise Unavailable(f"{path} can't be listened on: {error.strerror}.") from error
    finally:
        sock.close()


def _demand_nobody(path: Path) -> None:
    """Raises Unavailable where another process listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.connect(str(path))
        raise Unavailable(f"Somebody listens on {path} already: end that one first.")


async def serve(
    place: Place,
    ready: Callable[[str], None],
    over: asyncio.Event,
    now: Callable[[], datetime],
    clock: Callable[[], float],
) -> None:
    """Sign until it is `over`. `ready` is called with the socket.

    `now` is the wall clock, `clock` counts seconds and only rises. Raises Misconfigured,
    Unavailable.
    """
    vault, book = Vault(place), Book(place.book)
    pen = Pen(book)
    highest = vault.look().bench.limits.serial
    serials = remembered(await asyncio.to_thread(book.open), highest)
    desk = Desk(vault, pen, serials, now, clock)
    path = Path(vault.look().bench.limits.socket)
    with listening(path) as sock:
        async with asyncio.TaskGroup() as group:
            front = Front(desk, vault, group)
            writing = group.create_task(pen.keep())
            server = await asyncio.start_unix_server(front.accept, sock=sock, limit=frames.LONGEST)
            ready(str(path))
            await over.wait()
            # asyncio breaks where a server is closed that has just accepted somebody.
            asyncio.get_running_loop().remove_reader(sock)
            for _ in range(ACCEPTING):
                await asyncio.sleep(0)
            server.close()
            await front.close()
            writing.cancel()
    pen.close()
