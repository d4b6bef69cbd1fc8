"""Presence: a process that carries sessions holds a lock in the home for as long as it lives.

`home/run/BOOT`, locked (flock): the lock goes with the process, however that ends, so whoever finds
the file free knows at once that its process is gone.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bastion.errors import Unavailable
from bastion.runners import Seen

_UNNAMED: Final = "."
"""Before the name of one that is not locked yet."""


class Presence:
    """The locks in one directory, `run` of a home."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def held(self, boot: str) -> Iterator[None]:
        """This process is there, for the length of the block. Raises Unavailable.

        Its file stays until somebody forgets it: so what it could not put away is found at once.
        It is locked before it has its name: nobody sees it free meanwhile, and takes it for gone.
        """
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = self._opened(f"{_UNNAMED}{boot}", os.O_CREAT)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self._directory / f"{_UNNAMED}{boot}").rename(self._directory / boot)
        except OSError as error:
            raise Unavailable(f"{self._directory} can't be used: {error.strerror}.") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def seen(self) -> Seen:
        """Whose locks are held, and whose are free. Raises Unavailable."""
        held: set[str] = set()
        free: set[str] = set()
        try:
            for file in self._directory.iterdir() if self._directory.is_dir() else ():
                if not file.name.startswith(_UNNAMED):
                    (free if self._is_free(file.name) else held).add(file.name)
        except OSError as error:
            raise Unavailable(f"{self._directory} can't be read: {error.strerror}.") from error
        return Seen(frozenset(held), frozenset(free))

    def forget(self, boot: str) -> None:
        """Nothing of that process is left to do."""
        (self._directory / boot).unlink(missing_ok=True)

    def _is_free(self, boot: str) -> bool:
        try:
            descriptor = self._opened(boot, 0)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _opened(self, boot: str, flags: int) -> int:
        path = self._directory / boot
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
