"""Covering a recording that is over: what takes its place is encrypted to the auditors.

    S-31.cast           as it was written (or S-31.cast.zst, as it was compacted)
    S-31.new.age        aside: zstd within age, on disk, read back, and its content is what it was
    S-31.cast.zst.age   renamed, on disk

The plain file stays until somebody has sealed the other: `uncover` takes it away then. The other
is read back by a key of this process alone, one more among the recipients', which is forgotten
then: nothing is taken away that nobody has read. Source: https://age-encryption.org/v1
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from recorder.age import Identity, Recipient, Source, hide_all, one_off, reveal_all
from recorder.errors import (
    CorruptRecording,
    NotCovered,
    RecordingMissing,
    SomebodyIsAtIt,
    UnusableKey,
)
from recorder.files import sync_directory
from recorder.manifest import Part
from recorder.mend import measured
from recorder.plain import AGE, ZST, covered_path, lying_path, plain_path
from recorder.space import Marks

LEVEL: Final = 3
SLICE: Final = 64 * 1024
"""Bytes between two pauses."""

_WINDOW = 2**27


class Covering:
    """Covers recordings for `recipients`. It blocks; `pause` is called between two slices of it.

    It leaves the disk what live sessions need.
    """

    def __init__(
        self, recipients: Sequence[Recipient], marks: Marks, pause: Callable[[], object]
    ) -> None:
        self._recipients = recipients
        self._marks = marks
        self._pause = pause

    @contextmanager
    def alone_with(self, path: Path) -> Iterator[None]:
        """Nobody else writes, compacts, covers or takes away this recording meanwhile.

        Raises SomebodyIsAtIt, OSError.
        """
        try:
            descriptor = os.open(lying_path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except RecordingMissing:
            yield
            return
        with os.fdopen(descriptor, "rb") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SomebodyIsAtIt(f"somebody is at {path.name}") from None
            yield

    def cover(self, path: Path, sha256: str) -> Part:
        """Cover a recording whose plain content has this SHA-256 (hex).

        Gives the name, hash and size of the new file. Raises NotCovered, RecordingMissing,
        CorruptRecording: then nothing has changed.
        """
        aside = plain_path(path).with_suffix(f".new{AGE}")
        slices = _Slices(self._pause, self._marks)
        try:
            return _cover(lying_path(path), aside, sha256, self._recipients, slices)
        except OSError as error:
            raise NotCovered(f"it can't be encrypted: {error.strerror or error}") from error
        finally:
            aside.unlink(missing_ok=True)


def uncover(path: Path, covered: Part) -> None:
    """Take the plain file away: what covers it lies there as it was sealed.

    Raises NotCovered where it does not, OSError.
    """
    plain = plain_path(path)
    lying = [file for file in (plain, plain.with_name(plain.name + ZST)) if file.exists()]
    if not lying:
        return
    if measured(covered_path(path)) != (covered.size, covered.sha256):
        raise NotCovered(f"{covered.name} is not what was sealed: the plain file stays")
    for file in lying:
        file.unlink(missing_ok=True)
    sync_directory(plain.parent)


def _cover(
    lying: Path, aside: Path, sha256: str, recipients: Sequence[Recipient], slices: "_Slices"
) -> Part:
    own, identity = one_off()
    aside.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(aside, flags, 0o600), "w+b") as out, lying.open("rb") as file:
        os.fchmod(out.fileno(), 0o600)
        written = _Written(out, slices)
        hide_all(_packed(lying, file), written, [*recipients, own])
        out.flush()
        os.fsync(out.fileno())
        out.seek(0)
        content = _Content(slices)
        _read_back(out, content, identity)
    if content.sha256 != sha256:
        raise CorruptRecording("its content has another SHA-256 than its row")
    covered = covered_path(lying)
    aside.rename(covered)
    sync_directory(covered.parent)
    return Part(covered.name, written.sha256, written.size)


def _read_back(file: BinaryIO, content: "_Content", identity: Identity) -> None:
    try:
        reveal_all(file, content, identity)
    except (CorruptRecording, UnusableKey) as error:
        if content.broken:
            raise
        raise NotCovered("it does not read back as written: the disk may be failing") from error


def _packed(lying: Path, file: BinaryIO) -> Source:
    """The content as zstd: as it lies, or packed as it is read."""
    if lying.suffix == ZST:
        return file
    packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    return packer.stream_reader(file)


class _Slices:
    """Lets others work between two slices, and leaves the disk its room."""

    def __init__(self, pause: Callable[[], object], marks: Marks) -> None:
        self._pause = pause
        self._marks = marks
        self._done = SLICE

    def add(self, size: int, file: BinaryIO | None = None) -> None:
        """So many bytes more went by, on their way into `file`. Raises NotCovered."""
        self._done += size
        if self._done < SLICE:
            return
        self._done = 0
        self._pause()
        if file is not None:
            disk = os.fstatvfs(file.fileno())
            stays = self._marks.fitted(disk.f_blocks * disk.f_frsize).reserve
            if disk.f_bavail * disk.f_frsize < stays + SLICE:
                raise NotCovered("the disk has no room for it now")


class _Written:
    """Writes and hashes what is hidden."""

    def __init__(self, file: BinaryIO, slices: _Slices) -> None:
        self.size = 0
        self._file = file
        self._slices = slices
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        self._slices.add(len(data), self._file)
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)


class _Content:
    """Hashes the plain content of what is read back."""

    def __init__(self, slices: _Slices) -> None:
        self.broken = False
        self._slices = slices
        self._digest = hashlib.sha256()
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._unpacker = unpacker.decompressobj(read_across_frames=True)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        self._slices.add(len(data))
        try:
            self._digest.update(self._unpacker.decompress(data))
        except zstandard.ZstdError as error:
            self.broken = True
            raise CorruptRecording("it can't be decompressed") from error
