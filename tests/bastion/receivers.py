"""Receivers of syslog for the tests: real sockets, in threads, that keep what they were sent."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

MESSAGE = re.compile(
    rb"<(?P<priority>\d+)>1 (?P<at>\S+Z) (?P<host>\S+) bastion (?P<boot>\S+) (?P<kind>\S+) - "
    rb"(?P<text>.*)",
    re.DOTALL,
)


@dataclass
class Received:
    """What has come, message by message."""

    messages: list[bytes] = field(default_factory=list)
    grown: threading.Condition = field(default_factory=threading.Condition)

    def add(self, message: bytes) -> None:
        """One more."""
        with self.grown:
            self.messages.append(message)
            self.grown.notify_all()

    def wait_for(self, count: int, seconds: float = 10) -> None:
        """Until so many have come."""
        with self.grown:
            assert self.grown.wait_for(lambda: len(self.messages) >= count, seconds), self.messages

    @property
    def ids(self) -> list[int]:
        """The numbers of the events."""
        return [int(orjson.loads(parsed(each)["text"])["id"]) for each in self.messages]


def parsed(message: bytes) -> dict[str, bytes]:
    """The parts of a message; fails where it is none."""
    found = MESSAGE.fullmatch(message)
    assert found is not None, message
    return found.groupdict()


@contextmanager
def datagrams(bound: socket.socket, received: Received | None = None) -> Iterator[Received]:
    """Takes datagrams on a bound socket, which is closed at the end."""
    taken = received or Received()
    bound.settimeout(0.05)
    over = threading.Event()

    def take() -> None:
        while not over.is_set():
            try:
                taken.add(bound.recv(1 << 17))
            except TimeoutError:
                continue

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()
        bound.close()


def unix(path: Path) -> socket.socket:
    """A socket like /dev/log."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bound.bind(str(path))
    return bound


def udp(port: int = 0) -> socket.socket:
    """A port on loopback that takes datagrams."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", port))
    return bound


def tcp(port: int = 0) -> socket.socket:
    """A port on loopback that takes connections."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen()
    return listening


def port_of(bound: socket.socket) -> int:
    """Its port."""
    return int(bound.getsockname()[1])


@contextmanager
def streams(listening: socket.socket, received: Received | None = None) -> Iterator[Received]:
    """Takes messages with their lengths (RFC 6587), one connection after another."""
    taken = received or Received()
    listening.settimeout(0.05)
    over = threading.Event()

    def take() -> None:
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(0.05)
                _read(connection, taken, over)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()
        listening.close()


def _read(connection: socket.socket, taken: Received, over: threading.Event) -> None:
    buffer = b""
    while not over.is_set():
        try:
            data = connection.recv(65536)
        except TimeoutError:
            continue
        if not data:
            return
        buffer += data
        while found := re.match(rb"(\d+) ", buffer):
            length, start = int(found[1]), found.end()
            if len(buffer) < start + length:
                break
            taken.add(buffer[start : start + length])
            buffer = buffer[start + length :]
