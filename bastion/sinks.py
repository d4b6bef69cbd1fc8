"""Sinks: a file, and syslog. When `send` returns, all of it is there, as far as one can know.

They block, and each is used by one thread. Only `interrupt` may come from another, to end a wait.
"""

import errno
import fcntl
import os
import select
import socket
import stat
import struct
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bastion.errors import Unavailable
from bastion.syslog import LONGEST, Address, Entry, Way, framed, message

PATIENCE: Final = 5.0
"""Seconds to wait for a receiver: to connect, to take what was written, to acknowledge it."""

ECHO: Final = 0.05
"""Seconds in which a machine says that nobody listens there (ICMP), so that it is heard."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line for a sink: `entry.text` is the JSON, `short` the same where that is too long."""

    entry: Entry
    short: bytes


class Sink(Protocol):
    """Where lines go, at most `batch` at once."""

    batch: int

    @property
    def name(self) -> str:
        """What its cursor is called: the same for the same place."""

    def send(self, items: Sequence[Item]) -> None:
        """Pass all of them on. Raises Unavailable, and then perhaps some have arrived."""

    def close(self) -> None:
        """Let go of what is open. It is opened again when something is sent."""

    def interrupt(self) -> None:
        """Make a `send` that waits end at once, from another thread."""


class FileSink:
    """A file of JSON lines, only ever appended to; one that was moved away is begun anew."""

    batch = 500

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._torn = False

    @property
    def name(self) -> str:
        """By the whole path."""
        return f"file {self._path}"

    def send(self, items: Sequence[Item]) -> None:
        """The lines are on the disk when this returns."""
        data = b"".join(item.entry.text + b"\n" for item in items)
        try:
            descriptor = self._current()
            self._write(descriptor, data)
            os.fsync(descriptor)
        except OSError as error:
            self.close()
            raise Unavailable(f"{self._path} can't be written: {_reason(error)}.") from error

    def close(self) -> None:
        """Nothing is open any more."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def interrupt(self) -> None:
        """A file does not make anybody wait."""

    def _write(self, descriptor: int, data: bytes) -> None:
        """All of it. A line that was cut short by an error stays, and the next begins below it."""
        left = memoryview(b"\n" + data if self._torn else data)
        while left:
            written = os.write(descriptor, left)
            left = left[written:]
            self._torn = bool(left)

    def _current(self) -> int:
        """The file that has the path now."""
        if self._descriptor is not None and not self._moved(self._descriptor):
            return self._descriptor
        self.close()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o600)
        self._descriptor = descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file")
        self._torn = _ends_within_a_line(descriptor)
        _sync(self._path.parent)
        return descriptor

    def _moved(self, descriptor: int) -> bool:
        try:
            there = self._path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return True
        here = os.fstat(descriptor)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


def _ends_within_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SyslogSink:
    """Syslog at an address (RFC 5424): datagrams, or a stream with lengths (RFC 6587)."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        # Datagrams are dropped where they come faster than they are read.
        self.batch = 500 if address.way is Way.TCP else 50

    @property
    def name(self) -> str:
        """By the address."""
        return f"syslog {self._address}"

    def send(self, items: Sequence[Item]) -> None:
        """What a stream's receiver has acknowledged has arrived; a datagram may be lost unseen."""
        try:
            if self._address.way is Way.TCP:
                self._stream(items)
            else:
                self._datagrams(items)
        except OSError as error:
            self.close()
            said = f"syslog at {self._address} can't be reached: {_reason(error)}."
            raise Unavailable(said) from error

    def close(self) -> None:
        """Nothing is open any more."""
        connected, self._socket = self._socket, None
        if connected is not None:
            connected.close()

    def interrupt(self) -> None:
        """What waits on the connection fails at once. A new one is made for the next `send`."""
        connected = self._socket
        if connected is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def _stream(self, items: Sequence[Item]) -> None:
        connected = self._connected()
        if _has_left(connected):
            self.close()
            connected = self._connected()
        connected.sendall(b"".join(framed(message(item.entry)) for item in items))
        _acknowledged(connected)

    def _datagrams(self, items: Sequence[Item]) -> None:
        connected = self._connected()
        for item in items:
            _datagram(connected, item)
        if self._address.way is Way.UDP:
            _heard(connected)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = _connect(self._address)
        return self._socket


def _connect(address: Address) -> socket.socket:
    if address.way is Way.TCP:
        made = socket.create_connection((address.host, address.port), PATIENCE)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made
    if address.way is Way.UNIX:
        return _opened(socket.AF_UNIX, address.host)
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    family, _, _, _, where = found[0]
    return _opened(family, where)


def _opened(family: int, where: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        made.settimeout(PATIENCE)
        made.connect(where)  # type: ignore[arg-type]
    except OSError:
        made.close()
        raise
    return made


def _datagram(connected: socket.socket, item: Item) -> None:
    whole = message(item.entry)
    if len(whole) <= LONGEST:
        try:
            connected.send(whole)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
        else:
            return
    entry = item.entry
    short = Entry(entry.at, entry.node, entry.boot, entry.kind, item.short, entry.loud)
    connected.send(message(short))


def _heard(connected: socket.socket) -> None:
    """Whether the machine said, within a moment, that nobody listens there. Raises OSError."""
    poll = select.poll()
    poll.register(connected, 0)
    poll.poll(ECHO * 1000)
    code = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _has_left(connected: socket.socket) -> bool:
    """Whether the receiver has closed the stream. Nothing that it says is of interest."""
    connected.setblocking(False)
    try:
        while connected.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connected.settimeout(PATIENCE)
    return True


def _acknowledged(connected: socket.socket) -> None:
    """Wait until the receiver's machine has all of it (SIOCOUTQ, tcp(7)). Raises OSError."""
    until = time.monotonic() + PATIENCE
    while _unacknowledged(connected):
        if time.monotonic() > until:
            raise TimeoutError(errno.ETIMEDOUT, "it does not take what is sent")
        time.sleep(0.002)
    if _has_left(connected):
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _unacknowledged(connected: socket.socket) -> int:
    """Bytes that were written and that the other machine has not acknowledged yet."""
    answer = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "it does not answer in time"
    return error.strerror or str(error)
