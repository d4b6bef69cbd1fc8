"""The exposition: `/metrics` and `/healthz` over HTTP, to whoever reaches the address.

Nobody proves who they are, and nothing is said but numbers and words of ours. Of what a client
sends, one line is judged; all that it may take is bounded: time, bytes, how many ask at once.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bastion.bulletin import Bulletin

LONGEST: Final = 8 * 1024
"""Bytes of a request, its headers included; Prometheus sends some 300."""

PATIENCE: Final = 3.0
"""Seconds that one client has, from connecting to having its answer."""

MOST: Final = 20
"""Clients that are answered at once; who comes beyond that is turned away."""

BACKLOG: Final = 16

TEXT: Final = "text/plain; charset=utf-8"
NUMBERS: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered."""

    status: str
    body: str
    type: str = TEXT

    def encoded(self, *, head: bool = False) -> bytes:
        """It, as HTTP has it; the connection ends with it. Without its body for a HEAD."""
        body = self.body.encode()
        lines = (
            f"HTTP/1.1 {self.status}",
            f"Content-Type: {self.type}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
        )
        return "\r\n".join((*lines, "", "")).encode() + (b"" if head else body)


def answer(request: bytes, bulletin: Bulletin) -> tuple[Answer, bool]:
    """What a request is answered, and whether it asks for no body."""
    words = request.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return Answer("400 Bad Request", "this is no request of HTTP/1.1\n"), False
    method, target, _ = words
    if method not in (b"GET", b"HEAD"):
        return Answer("405 Method Not Allowed", "only GET is answered\n"), False
    return _asked(target.partition(b"?")[0], bulletin), method == b"HEAD"


def _asked(path: bytes, bulletin: Bulletin) -> Answer:
    if path == b"/metrics":
        return Answer("200 OK", bulletin.exposition(), NUMBERS)
    if path == b"/healthz":
        wrong = bulletin.wrong()
        if wrong:
            return Answer("503 Service Unavailable", "".join(f"{word}\n" for word in wrong))
        return Answer("200 OK", "ok\n")
    return Answer("404 Not Found", "there are /metrics and /healthz\n")


class Exposition:
    """Answers by what a bulletin says."""

    def __init__(self, bulletin: Bulletin, patience: float = PATIENCE) -> None:
        self._bulletin = bulletin
        self._patience = patience
        self._asking = 0

    async def keep(self, listening: Sequence[socket.socket]) -> None:
        """Answer on these, until cancelled. Then nobody is answered any more."""
        servers = [
            await asyncio.start_server(self._answer, sock=each, limit=LONGEST, backlog=BACKLOG)
            for each in listening
        ]
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for server in servers:
                server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._asking >= MOST:
            writer.transport.abort()
            return
        self._asking += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._speak(reader, writer)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass  # TimeoutError is an OSError: whoever does not ask in time is not answered
        finally:
            self._asking -= 1
            writer.transport.abort()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        said, head = answer(request, self._bulletin)
        writer.write(said.encoded(head=head))
        writer.write_eof()
        await writer.drain()
        await self._taken(reader)

    async def _taken(self, reader: asyncio.StreamReader) -> None:
        """Wait until the client has hung up: what is aborted before is lost to it."""
        left = LONGEST
        while left > 0 and (data := await reader.read(left)):
            left -= len(data)
