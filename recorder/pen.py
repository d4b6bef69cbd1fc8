"""A pen: one growing file that is written whole lines at a time, and hashed as it grows.

It knows nothing of formats. What `write` has returned from is in the kernel's hands and
survives the end of this process. A pen that failed once has failed for good.
"""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Self

from recorder.errors import RecordingFailed


class Pen:
    """A file opened by `Pen.new`: appended to, locked, hashed (SHA-256), never rewritten.

    The lock (flock) says "somebody is writing this" to a later `recover`; it goes with the
    process, however that ends.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self.size = 0
        self.failure: str | None = None
        self._descriptor = descriptor
        self._on_disk = 0
        self._digest = hashlib.sha256()

    @classmethod
    def new(cls, path: Path) -> Self:
        """A pen on a new file of mode 0600, whatever the umask. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, path)

    def write(self, data: bytes) -> None:
        """Append all of `data`. Raises RecordingFailed, then and ever after."""
        self.check()
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
        except OSError as error:
            raise self._failed("written", error) from error
        self._digest.update(data)
        self.size += len(data)

    def check(self) -> None:
        """Raises RecordingFailed with the first failure's sentence, if there was one."""
        if self.failure is not None:
            raise RecordingFailed(self.failure)

    @property
    def sha256(self) -> str:
        """The hash of all that was written, in hex."""
        return self._digest.hexdigest()

    def sync(self) -> None:
        """Ask the disk to have it all. Raises RecordingFailed."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self.refused(error) from error
        self.has(self.size)

    @property
    def unsynced(self) -> bool:
        """Whether something was written that the disk has not said to have."""
        return self._descriptor >= 0 and self.failure is None and self.size > self._on_disk

    def duplicated(self) -> int:
        """A descriptor of the same file, for whoever closes it. Raises OSError."""
        return os.dup(self._descriptor)

    def has(self, size: int) -> None:
        """The disk has so many bytes of it."""
        self._on_disk = max(self._on_disk, size)

    def refused(self, error: OSError) -> RecordingFailed:
        """The disk does not take it: nothing more may be written."""
        return self._failed("synced", error)

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        self.failure = self.failure or f"{self.path.name} is closed"
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def discard(self) -> None:
        """Close and remove the file: what it was for did not begin."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _failed(self, what: str, error: OSError) -> RecordingFailed:
        self.failure = f"{self.path.name} cannot be {what}: {error.strerror}"
        return RecordingFailed(self.failure)
