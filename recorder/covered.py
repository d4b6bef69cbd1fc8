"""Reading a recording that is covered: its content as it was, by an auditor's identity.

It is decrypted as it is read, and nothing plain reaches the disk.
"""

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from recorder.age import Identity, reveal_all
from recorder.errors import CorruptRecording, Covered, RecorderError, RecordingMissing
from recorder.plain import covered_path
from recorder.reader import Reader

_WINDOW = 2**27
_BUFFER = 128 * 1024


class CoveredReader(Reader):
    """Reads a recording that is covered, for `who`; without an identity, only what needs none."""

    seeks = False

    def __init__(
        self, path: Path, who: Identity | None, between: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(path, between)
        self._covered = covered_path(path)
        self._who = who

    def opened(self) -> BinaryIO:
        """The plain content, for whoever closes it. Raises Covered, RecordingMissing."""
        if self._who is None:
            raise Covered(f"{self.path.stem} is encrypted to the auditors")
        return opened_covered(self._covered, self._who)


def opened_covered(path: Path, who: Identity) -> BinaryIO:
    """The plain content of a `.cast.zst.age`, for whoever closes it.

    Reading raises UnusableKey, CorruptRecording. Raises RecordingMissing.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordingMissing(f"{path.name} can't be read: {error.strerror}") from error
    return io.BufferedReader(cast(io.RawIOBase, _Revealed(file, who)), _BUFFER)


class _Revealed(io.RawIOBase):
    """What a file hides, unpacked. age hands out what it decrypts, so a thread takes it."""

    def __init__(self, file: BinaryIO, who: Identity) -> None:
        self.name = file.name
        self._failure: RecorderError | None = None
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        self._pipe = os.fdopen(ours, "rb", buffering=0)
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._content = unpacker.stream_reader(self._pipe, read_across_frames=True)
        self._thread = threading.Thread(target=self._reveal, args=(file, theirs, who), daemon=True)
        self._thread.start()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        try:
            read = self._content.readinto(buffer)
        except zstandard.ZstdError as error:
            self._stop()
            raise self._failure or CorruptRecording(
                f"{Path(self.name).name} can't be decompressed"
            ) from error
        if not read:
            self._thread.join()
            if self._failure is not None:
                raise self._failure
        return read

    def close(self) -> None:
        self._stop()
        super().close()

    def _stop(self) -> None:
        """The thread ends when nobody takes what it has."""
        if not self._pipe.closed:
            self._pipe.close()
        self._thread.join()

    def _reveal(self, file: BinaryIO, pipe: int, who: Identity) -> None:
        with file, os.fdopen(pipe, "wb", buffering=0) as out:
            try:
                reveal_all(file, _Whole(out), who)
            except RecorderError as error:
                self._failure = type(error)(f"{Path(self.name).name}: {error}")
            except BrokenPipeError:
                pass  # nobody reads any more
            except OSError as error:
                said = f"{Path(self.name).name} can't be read: {error.strerror}"
                self._failure = RecordingMissing(said)


class _Whole:
    """A pipe that takes all of what it is given."""

    def __init__(self, pipe: io.RawIOBase) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._pipe.write(rest) or 0 :]
