"""The remainder: what is not kept of a stream any more, by its length and its SHA-256.

Pure: it is told the time. It also says when it is time to write that down, so that neither a
trickle nor a flood makes the file grow: after a second, or after 64 MiB.
"""

import hashlib

EVERY_SECONDS = 1.0
EVERY_BYTES = 64 * 1024 * 1024


class Remainder:
    """The bytes of one stream that were not kept."""

    def __init__(self) -> None:
        self.length = 0
        self._digest = hashlib.sha256()
        self._said_at = 0.0
        self._said_length = 0

    def add(self, time: float, data: bytes | bytearray | memoryview) -> bool:
        """Count what is not kept. True when it should be summed up in the recording now."""
        if self.length == 0:
            self._said_at = time
        self.length += len(data)
        self._digest.update(data)
        late = time - self._said_at >= EVERY_SECONDS
        return late or self.length - self._said_length >= EVERY_BYTES

    def said(self, time: float) -> None:
        """It was summed up."""
        self._said_at, self._said_length = time, self.length

    @property
    def sha256(self) -> bytes:
        """The hash of these bytes so far, 32 bytes."""
        return self._digest.digest()
