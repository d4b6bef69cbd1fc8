"""The machine under the bastion, as the doctor sees it: modes and owners, disk, clock, port.

Each finding is a value with its mend. No database, key or target is known here.
"""

import errno
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bastion.config import Settings
from bastion.errors import BastionError
from bastion.home import Home

LITTLE = 1 << 30
"""Bytes of free space below which there is a warning."""

TOO_LITTLE = 64 << 20
"""Bytes of free space below which sessions will soon fail."""

SAMPLES, BETWEEN, UNSTEADY = 5, 0.1, 0.05
"""How often and how long apart (seconds) the clocks are compared, and how far they may part."""


class Level(StrEnum):
    """How bad it is."""

    WRONG = "wrong"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: `what` it is, and what to do, `mend`."""

    level: Level
    what: str
    mend: str


def modes(home: Home) -> Iterator[Finding]:
    """Who may look into the home, and whose its parts are. The keys' own modes come with them."""
    try:
        owner = home.directory.stat().st_uid
    except OSError as error:
        what = f"{home.directory} can't be looked at: {error.strerror}."
        yield Finding(Level.WRONG, what, "look at its mode and owner")
        return
    parts = [home.directory, home.settings, home.policy, home.database, home.recordings]
    for path in (*parts, home.keys):
        yield from mode(path, owner, private=path not in (home.settings, home.policy))


def mode(path: Path, owner: int, *, private: bool) -> Iterator[Finding]:
    """Whether others get at `path`, and whether it is the account's with the id `owner`."""
    try:
        found = path.stat()
    except OSError:
        return  # missing: whoever needs it says so
    open_to = found.st_mode & (0o077 if private else 0o022)
    if open_to:
        verb = "read" if private else "write"
        mode = stat.S_IMODE(found.st_mode)
        what = f"Others may {verb} {path} (mode {mode:04o})."
        yield Finding(Level.WRONG, what, f"chmod go-{'rwx' if private else 'w'} {path}")
    if found.st_uid != owner:
        what = f"{path} belongs to another account than the home (uid {found.st_uid})."
        yield Finding(Level.WRONG, what, f"chown -R {owner} {path}")


def writable(directory: Path) -> Iterator[Finding]:
    """Whether recordings can be written there, and how much room there is."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".doctor-", dir=directory) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        what = f"No recording can be written in {directory}: {error.strerror}."
        mend = f"let the account of the bastion write there (mkdir -m 700, chown): {directory}"
        yield Finding(Level.WRONG, what, mend)
    else:
        yield from room(directory)


def room(directory: Path) -> Iterator[Finding]:
    """Whether the disk of `directory` is nearly full."""
    try:
        free = shutil.disk_usage(directory).free
    except OSError:
        return
    if free < LITTLE:
        level = Level.WRONG if free < TOO_LITTLE else Level.WARNING
        what = f"There are {free >> 20} MiB left on the disk of {directory}."
        yield Finding(level, what, "make room: sessions end when they can't be recorded")


def unsteady(
    wall: Callable[[], float], boot: Callable[[], float], pause: Callable[[float], None]
) -> Iterator[Finding]:
    """Whether the wall clock jumps: for half a second it should go as the boot clock does."""
    apart = [wall() - boot()]
    for _ in range(SAMPLES - 1):
        pause(BETWEEN)
        apart.append(wall() - boot())
    jump = max(apart) - min(apart)
    if jump > UNSTEADY:
        what = f"The clock jumps: by {jump:.2f} s within {SAMPLES * BETWEEN:.1f} s."
        mend = "let one program alone set the time (chrony, systemd-timesyncd, or the hypervisor)"
        yield Finding(Level.WRONG, what, mend)


def boot() -> float:
    """Seconds since the machine was started, on a clock that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def listening(home: Home, settings: Settings) -> Iterator[Finding]:
    """Whether `serve` could listen. When this home is being served, it does."""
    try:
        if home.served_by() is not None:
            return
    except BastionError as error:
        yield Finding(Level.WRONG, str(error), "look at its mode and owner")
        return
    listen = settings.listen
    try:
        _bind(listen.host, listen.port)
    except OSError as error:
        where = f"{listen.address} can't be listened on: {error.strerror or error}."
        yield Finding(Level.WRONG, where, _mend_for(error, home, listen.port))


def _bind(host: str, port: int) -> None:
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)


def _mend_for(error: OSError, home: Home, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"ss -ltnp 'sport = :{port}' says who has it: end that, or set listen.address"
    if error.errno == errno.EACCES and os.geteuid() != 0:
        return "ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE"
    return f"set listen.address in {home.settings} to an address of this machine"
