"""The client: how the processes of the bastion have something signed by the signer.

It blocks, with a deadline for all of a request: it is for threads, where the ledger's transactions
are too. A few connections are kept and lent out. When one turns out to be dead, as after the
signer's restart, the request is sent once more over a new one: the signer knows a body again.
"""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bastion.authority import Signer, Which, read_public_key
from bastion.errors import BadInput, Unavailable
from bastion.inventory import PublicKey
from bastion.ledger import SerialTaken
from bastion.signing import frames
from bastion.signing.peers import peer_of

CONNECTIONS: Final = 8
"""Connections of one process, and so requests at once."""

HANGING: Final = 10.0
"""Seconds in which nothing is sent for signing after a request that was waited for in vain, unless
it has answered something meanwhile: who signs has the ledger for herself for so long."""

AWAY: Final = (
    "The signer does not answer, so nothing new can be opened; try again in a minute, "
    "or ask an operator."
)

Answered = frames.Signature | frames.No | frames.Public | frames.Lines


@dataclass(frozen=True, slots=True)
class Halves:
    """The public halves of a CA as the signer has them: live ones and retired ones."""

    live: tuple[PublicKey, ...]
    retired: tuple[PublicKey, ...]


class SignerClient:
    """The way to the signer behind the socket in the file `path`. `timeout` is in seconds."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()
        self._away_since: float | None = None
        self._hangs_until = 0.0

    def close(self) -> None:
        """Give back what is not lent out."""
        with self._lock:
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()

    @property
    def silent(self) -> float:
        """Seconds since it began to give no answer; 0 where the last question was answered."""
        since = self._away_since
        return 0.0 if since is None else time.monotonic() - since

    def signer(self, which: Which, public: PublicKey) -> Signer:
        """Who signs by this key of the signer's."""
        return _Remote(self, which, public)

    def account(self) -> int:
        """The uid that the signer runs under, as the kernel says. Raises Unavailable."""
        try:
            connection = self._connected(time.monotonic() + self._timeout)
        except OSError:
            raise Unavailable(AWAY) from None
        with connection:
            _, uid = peer_of(connection)
            return uid

    def keys(self) -> Mapping[Which, Halves]:
        """The public halves of all CAs. Raises Unavailable."""
        answer = self._asked(frames.Keys())
        if not isinstance(answer, frames.Public):
            raise _nonsense()
        try:
            return {Which(ca): _halves(of) for ca, of in answer.cas.items()}
        except BadInput:
            raise _nonsense() from None

    def lines(self, after: int) -> tuple[list[str], int]:
        """Lines of the book behind that one, and the number of the newest. Raises Unavailable."""
        answer = self._asked(frames.Log(after=after))
        if not isinstance(answer, frames.Lines):
            raise _nonsense()
        return list(answer.lines), answer.newest

    def sign(self, which: Which, key: PublicKey, body: bytes) -> bytes:
        """A signature. Raises Unavailable, SerialTaken."""
        if len(body) > frames.LONGEST_BODY:
            raise Unavailable("That is too long to be signed.")
        if time.monotonic() < self._hangs_until:
            raise Unavailable(AWAY)
        answer = self._asked(frames.Sign(ca=which, key=key.fingerprint, body=body))
        if not isinstance(answer, frames.Signature):
            raise _nonsense()
        return answer.signature

    def _asked(self, request: frames.Sign | frames.Keys | frames.Log) -> Answered:
        """Raises Unavailable, also where the signer does not want to."""
        data = frames.framed(request)
        try:
            answer = self._exchanged(data, time.monotonic() + self._timeout)
        except (OSError, ValueError, EOFError) as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
            if isinstance(error, TimeoutError):
                self._hangs_until = time.monotonic() + HANGING
            raise Unavailable(AWAY) from None
        self._away_since, self._hangs_until = None, 0.0
        if isinstance(answer, frames.No):
            if answer.next is not None:
                raise SerialTaken(f"The signer refused: {answer.why}.", answer.next)
            raise Unavailable(f"The signer refused: {answer.why}; ask an operator.")
        return answer

    def _exchanged(self, data: bytes, deadline: float) -> Answered:
        """Raises OSError, ValueError, EOFError."""
        with self._place(deadline):
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is not None:
                try:
                    return self._over(kept, data, deadline)
                except TimeoutError:
                    raise
                except (OSError, EOFError):
                    self.close()  # the others are as old
            return self._over(self._connected(deadline), data, deadline)

    def _over(self, connection: socket.socket, data: bytes, deadline: float) -> Answered:
        try:
            connection.settimeout(_left(deadline))
            connection.sendall(data)
            length = frames.length(_received(connection, frames.HEAD, deadline))
            answer = frames.read_answer(_received(connection, length, deadline))
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return answer

    def _connected(self, deadline: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(str(self._path))
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _place(self, deadline: float) -> Iterator[None]:
        if not self._places.acquire(timeout=_left(deadline)):
            raise TimeoutError
        try:
            yield
        finally:
            self._places.release()


class _Remote:
    """A private half at the signer."""

    def __init__(self, client: SignerClient, which: Which, public: PublicKey) -> None:
        self._client = client
        self._which = which
        self._public = public

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`, where the signer agrees. Raises Unavailable, SerialTaken."""
        return self._client.sign(self._which, self._public, data)


def _halves(of: frames.OfCa) -> Halves:
    """Raises BadInput."""
    return Halves(tuple(map(read_public_key, of.live)), tuple(map(read_public_key, of.retired)))


def _received(connection: socket.socket, size: int, deadline: float) -> bytes:
    """Raises OSError, EOFError."""
    data = bytearray()
    while len(data) < size:
        connection.settimeout(_left(deadline))
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _nonsense() -> Unavailable:
    return Unavailable("The signer gave an answer to another question; ask an operator.")
