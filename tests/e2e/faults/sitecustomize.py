"""A disk that hangs or is slow, and a clock that is set, for a program that is started with this
directory in PYTHONPATH.

While there is a file `hangs` beside the directory `recordings`, writing to a recording does not
come back; with `mute` the disk does not answer what it is asked (sync, statvfs); with `slow` it
takes a while to write. Threads wait here as they do in the kernel: without Python's lock.
"""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

_write, _sync, _statvfs = os.write, os.fdatasync, os.statvfs
_PACE = 4e6
"""Bytes a second of a slow disk."""


def _home(path: str) -> Path | None:
    """The home whose recordings this path is of."""
    place, found, _ = f"{path}/".partition("/recordings/")
    return Path(place) if found else None


def _wait_while(path: str, name: str) -> None:
    home = _home(path)
    while home is not None and (home / name).exists():
        time.sleep(0.02)


def _path(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def write(descriptor: int, data: bytes) -> int:
    """As os.write."""
    path = _path(descriptor)
    _wait_while(path, "hangs")
    home = _home(path)
    if home is not None and (home / "slow").exists():
        time.sleep(len(data) / _PACE)
    return _write(descriptor, data)


def fdatasync(descriptor: int) -> None:
    """As os.fdatasync."""
    _wait_while(_path(descriptor), "mute")
    _sync(descriptor)


def statvfs(path: Path) -> os.statvfs_result:
    """As os.statvfs."""
    _wait_while(str(path), "mute")
    return _statvfs(path)


os.write = write  # type: ignore[assignment]
os.fdatasync = fdatasync  # type: ignore[assignment]
os.statvfs = statvfs  # type: ignore[assignment]


def wall() -> datetime:
    """The wall clock, set by as many seconds as the file `step` in HOME says."""
    step = Path(os.environ.get("HOME", "/"), "step")
    seconds = float(step.read_text()) if step.exists() else 0.0
    return datetime.now(UTC) + timedelta(seconds=seconds)


with suppress(ImportError):
    from bastion.clock import Clock

    _, *others = Clock.__init__.__defaults__ or ()
    Clock.__init__.__defaults__ = (wall, *others)
