"""Compacting one recording: a smaller file of the same content takes the place of the plain one.

    S-31.cast          as it was written and sealed
    S-31.new.zst       aside: compressed, on disk, read back, and its content is what was sealed
    S-31.cast.zst      renamed, on disk
                       and only then the plain file is removed

Whatever ends this between two of them loses nothing: the plain file is there, or the whole other
one is, and the next run goes on. A file whose content is not what the index says is left alone.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from recorder.asciicast import LONGEST_LINE, Event, Header, parse_event, parse_header
from recorder.compacted import (
    FRAME,
    MOST_FRAMES,
    Point,
    keyframe_frame,
    points_frame,
    points_lie,
    seek_table,
    sha256_of,
)
from recorder.errors import CorruptRecording, NotCompacted, RecorderError, RecordingMissing
from recorder.files import sync_directory
from recorder.picture import Picture
from recorder.plain import ZST, plain_chunks, plain_measure
from recorder.session import Compaction

SMALLEST: Final = 4096
"""Bytes of a recording that stays as it is: a file takes no less on most disks."""

LEVEL: Final = 3
LARGE: Final = MOST_FRAMES // 2
"""So many frames at most does a recording have: in a large one they are larger."""

SYNCED_EVERY: Final = 8 * 1024 * 1024
"""Bytes that are written at once before the disk is waited for, so that others need not wait."""

LEAST_WORK: Final = 10.0
DRAWN: Final = 4 * 1024 * 1024
"""Seconds, and bytes a second: a recording that takes longer to draw has no more keyframes."""

KEYFRAMES_BEYOND: Final = 256 * 1024
"""Bytes that all keyframes of a file may take beyond what its content does."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recording that is to be compacted: its plain path, what was sealed, and how many bytes
    of the disk have to stay free meanwhile."""

    path: Path
    sha256: str
    size: int
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """What became of it: the new file's size and the hash of its points; or why it is corrupt."""

    compaction: Compaction
    size: int = 0
    points: str = ""
    sentence: str = ""


def compact(
    wanted: Wanted,
    pause: Callable[[], object],
    frame: int = FRAME,
    clock: Callable[[], float] = time.process_time,
) -> Done:
    """Compact a recording, in frames of so many bytes. `clock` gives seconds of work.

    `pause` is called again and again; what it raises ends it, and nothing has changed. Raises
    NotCompacted, OSError where it can't be done now: then neither.
    """
    try:
        descriptor = os.open(wanted.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _compacted_before(wanted)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not _only_ours(file):
            raise NotCompacted(f"somebody else holds {wanted.path.name}")
        aside = aside_of(wanted.path)
        blocks = _blocks_of(file, max(frame, wanted.size // LARGE))
        try:
            done = _prepared(wanted, file, blocks, _Scenes(wanted.size, clock), pause)
            if done.compaction is Compaction.COMPACTED:
                _put_in_place(wanted.path, aside, file)
        finally:
            aside.unlink(missing_ok=True)
        return done


def aside_of(path: Path) -> Path:
    """Where the new file is written, before it takes the plain one's place."""
    return path.with_suffix(f".new{ZST}")


def _only_ours(file: BinaryIO) -> bool:
    """Whether nobody else is at it: one that writes, or another who compacts or has done so."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file.fileno()).st_nlink > 0


def _prepared(
    wanted: Wanted,
    file: BinaryIO,
    blocks: Iterable[bytes],
    scenes: "_Scenes",
    pause: Callable[[], object],
) -> Done:
    """What would become of it; if that is smaller, the new file is whole, aside, and on disk."""
    size, aside = os.fstat(file.fileno()).st_size, aside_of(wanted.path)
    if size != wanted.size:
        return _corrupt(f"it has {size} bytes, and its row says {wanted.size}")
    aside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(aside, flags, 0o600), "wb", buffering=0) as out:
        os.fchmod(out.fileno(), 0o600)
        writer = _Writer(out, size, wanted.floor)
        if (sha256 := _written(blocks, writer, scenes, pause)) is None:
            return Done(Compaction.KEPT)
        os.fsync(out.fileno())
    if sha256 != wanted.sha256:
        return _corrupt("its content has another SHA-256 than its row")
    if _blocks(writer.size) >= _blocks(size):
        return Done(Compaction.KEPT)
    _read_back(aside, wanted, pause)
    return Done(Compaction.COMPACTED, writer.size, writer.sha256)


def _corrupt(sentence: str) -> Done:
    return Done(Compaction.CORRUPT, sentence=sentence)


def _blocks(size: int) -> int:
    return -(-size // SMALLEST)


def _written(
    blocks: Iterable[bytes], writer: "_Writer", scenes: "_Scenes", pause: Callable[[], object]
) -> str | None:
    """The SHA-256 of the plain content that was written; None where it would be no smaller."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
        place, keyframe = scenes.place, scenes.keyframe()
        first = scenes.take(block)
        if not writer.add(block, None if first is None else Point(0, *place, first), keyframe):
            return None
        pause()
    return digest.hexdigest() if writer.finish() else None


def _blocks_of(file: BinaryIO, length: int) -> Iterator[bytes]:
    """The content in pieces that end where a line does, if lines are no longer than ours."""
    with open(file.fileno(), "rb", closefd=False) as lines:
        while block := lines.read(length):
            yield block + lines.readline(LONGEST_LINE + 1)


def _read_back(aside: Path, wanted: Wanted, pause: Callable[[], object]) -> None:
    digest = hashlib.sha256()
    try:
        for chunk in plain_chunks(aside):
            digest.update(chunk)
            pause()
    except CorruptRecording as error:
        raise NotCompacted(str(error)) from error
    if digest.hexdigest() != wanted.sha256:
        raise NotCompacted(f"{aside.name} does not read back as written: the disk may be failing")


def _put_in_place(path: Path, aside: Path, file: BinaryIO) -> None:
    kept = os.fstat(file.fileno())
    os.utime(aside, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    aside.rename(path.with_name(path.name + ZST))
    sync_directory(path.parent)
    path.unlink()
    sync_directory(path.parent)


def _compacted_before(wanted: Wanted) -> Done:
    """The plain file is gone: it was compacted, and the row could not be told."""
    packed = wanted.path.with_name(wanted.path.name + ZST)
    aside_of(wanted.path).unlink(missing_ok=True)
    try:
        _, sha256 = plain_measure(packed, wanted.size)
        with packed.open("rb") as file:
            points = points_lie(file)
            length = file.seek(0, os.SEEK_END)
    except RecordingMissing:
        return _corrupt("it is missing")
    except RecorderError as error:
        return _corrupt(str(error))
    if sha256 != wanted.sha256:
        return _corrupt("its content has another SHA-256 than its row")
    return Done(Compaction.COMPACTED, length, "" if points is None else sha256_of(points))


class _Writer:
    """Writes frames and what finds them: at most `most` bytes, with `floor` bytes of disk left."""

    def __init__(self, out: BinaryIO, most: int, floor: int) -> None:
        self._out = out
        self._most = most
        self._floor = floor
        self._packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        self._lengths: list[tuple[int, int]] = []
        self._points: list[Point] = []
        self._content = self._keyframes = self._synced = 0
        self.size = 0
        self.sha256 = ""

    def add(self, block: bytes, point: Point | None, keyframe: bytes | None) -> bool:
        """A frame, and where it begins; False where that makes too much.

        Raises NotCompacted when there is no room for it on the disk.
        """
        packed = self._packer.compress(block)
        self._content += len(packed)
        length, sha256 = 0, ""
        if keyframe is not None and self._worth(keyframe):
            self._keyframes += len(keyframe)
            length, sha256 = len(keyframe), sha256_of(keyframe)
            if not self._write(keyframe, 0):
                return False
        if point is not None:
            place = self.size, point.plain, point.events, point.time
            self._points.append(Point(*place, length, sha256))
        return self._write(packed, len(block))

    def finish(self) -> bool:
        """The points and the seek table."""
        points = points_frame(self._points)
        self.sha256 = sha256_of(points)
        return self._write(points, 0) and self._write(seek_table(self._lengths), None)

    def _worth(self, keyframe: bytes) -> bool:
        """All keyframes together take no more than the content, and a little."""
        return self._keyframes + len(keyframe) <= self._content + KEYFRAMES_BEYOND

    def _write(self, frame: bytes, plain: int | None) -> bool:
        if self.size + len(frame) > self._most:
            return False
        disk = os.fstatvfs(self._out.fileno())
        if disk.f_bavail * disk.f_frsize < self._floor + len(frame):
            raise NotCompacted("the disk has no room for it now")
        rest = memoryview(frame)
        while rest:
            rest = rest[self._out.write(rest) :]
        self.size += len(frame)
        if plain is not None:
            self._lengths.append((len(frame), plain))
        if self.size - self._synced >= SYNCED_EVERY:
            os.fdatasync(self._out.fileno())
            self._synced = self.size
        return True


class _Scenes:
    """Looks at a recording as it goes by: where it has come to, and what stands on the screen.

    From a line on that the recorder has not written it knows nothing more. Who makes a terminal
    work too hard has no more keyframes: `clock` gives seconds of work.
    """

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = clock() + LEAST_WORK + size / DRAWN
        self._header: Header | None = None
        self._picture: Picture | None = None
        self._plain = 0
        self._events = 0
        self._damaged = False

    @property
    def place(self) -> tuple[int, int]:
        """How much plain content and how many events have gone by."""
        return self._plain, self._events

    def keyframe(self) -> bytes | None:
        """What stands on the screen now, as a frame."""
        if self._picture is None or self._damaged:
            return None
        return keyframe_frame(self._picture.keyframe())

    def take(self, block: bytes) -> float | None:
        """Look at a block; the time of its first event, None where that is not known."""
        first = None
        self._plain += len(block)
        try:
            for line in () if self._damaged else block.split(b"\n")[:-1]:
                event = self._event(line)
                if event is not None and first is None:
                    first = event.time
        except CorruptRecording:
            self._damaged = True
        return first

    def _event(self, line: bytes) -> Event | None:
        if self._header is None:
            self._header = parse_header(line)
            self._picture = Picture.first(self._header)
            return None
        event = parse_event(line)
        self._events += 1
        if self._picture is not None:
            self._picture.draw(event)
            if self._clock() > self._until:
                self._picture = None
        return event
