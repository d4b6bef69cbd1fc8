"""The form of a compacted recording, `S-31.cast.zst`: zstd's seekable format, and points in it.

    frame            the header and the first events: half a mebibyte, cut at a line's end
    keyframe, frame  the screen as it stood there (skippable), and the events from there on
    …
    points           where each frame begins, and its first event's time (skippable)
    seek table       of all frames, for other programs (skippable)

Whoever knows zstd reads the plain content by `zstd -d`, which passes over what is skippable. Who
knows the seekable format finds a byte; we find a time. The points name the hash of each keyframe,
and the index of sessions knows theirs, so a screen that was not made here is not believed.

Values and bytes, and a file that is handed in; what can't be right is None or nothing, and its
reader begins at the beginning. Nothing here takes more than it says, whatever the file says.
Source: zstd's contrib/seekable_format/zstd_seekable_compression_format.md, RFC 8878
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import BinaryIO, Final

import orjson
import zstandard

from recorder.picture import Begun, Keyframe
from recorder.session import Size

FRAME: Final = 512 * 1024
"""Bytes of plain content in a frame, and as much more as a line takes."""

MOST_FRAMES: Final = 2**16

LARGEST_KEYFRAME: Final = 1024 * 1024
"""Bytes of a keyframe before it is compressed; a larger screen has none."""

_LARGEST_POINTS = 16 * 1024 * 1024
_LARGEST_TABLE = 16 * (MOST_FRAMES + 1)

_OURS = 0x184D2A5B
_TABLE = 0x184D2A5E
_TABLE_END = 0x8F92EAB1
_SKIPPABLE = struct.Struct("<II")
_LENGTHS = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")

_WINDOW = 2**24
_LARGEST = 2**63 - 1
_LONGEST_SEQUENCE = 1000


@dataclass(frozen=True, slots=True)
class Point:
    """Where reading can begin: a frame's place in the file.

    `plain` is how much plain content comes before it, `events` how many events, and `time` its
    first event's. Its keyframe lies directly before it, `length` bytes (0: there is none) with
    that SHA-256 in hex.
    """

    offset: int
    plain: int
    events: int
    time: float
    length: int = 0
    sha256: str = ""


# Skippable frames


def skippable(content: bytes, magic: int = _OURS) -> bytes:
    """A frame that `zstd` passes over."""
    return _SKIPPABLE.pack(magic, len(content)) + content


def _within(frame: bytes, magic: int = _OURS) -> bytes | None:
    """What a skippable frame of that kind holds; None where it is not whole, or another."""
    if len(frame) < _SKIPPABLE.size:
        return None
    found, length = _SKIPPABLE.unpack_from(frame)
    content = frame[_SKIPPABLE.size :]
    return content if found == magic and length == len(content) else None


def seek_table(lengths: Sequence[tuple[int, int]]) -> bytes:
    """The frame at the end: of each frame before it the compressed and the plain length."""
    entries = b"".join(_LENGTHS.pack(*each) for each in lengths)
    return skippable(entries + _FOOTER.pack(len(lengths), 0, _TABLE_END), _TABLE)


# Keyframes


def keyframe_frame(keyframe: Keyframe) -> bytes | None:
    """The frame that holds a keyframe; None for one that is too large."""
    size, begun = keyframe.size, keyframe.begun
    told = orjson.dumps(
        {
            "size": [size.columns, size.rows],
            "screen": keyframe.screen,
            "torn": [begun.out.hex(), begun.err.hex()],
            "ours": begun.ours,
            "after_return": begun.after_return,
            "sequence": begun.sequence,
            "in_string": begun.in_string,
        }
    )
    return None if len(told) > LARGEST_KEYFRAME else skippable(zstandard.compress(told))


def read_keyframe(frame: bytes) -> Keyframe | None:
    """The keyframe in a frame; None where there is none that can be right."""
    match _json(frame, LARGEST_KEYFRAME):
        case {
            "size": [int(columns), int(rows)],
            "screen": str(screen),
            "torn": [str(out), str(err)],
            "ours": bool(ours),
            "after_return": bool(after_return),
            "sequence": str(sequence),
            "in_string": bool(in_string),
        } if (
            min(columns, rows) >= 0
            and max(columns, rows) < 2**32
            and max(len(out), len(err)) <= 6
            and len(sequence) <= _LONGEST_SEQUENCE
        ):
            try:
                torn = bytes.fromhex(out), bytes.fromhex(err)
            except ValueError:
                return None
            begun = Begun(*torn, ours, after_return, sequence, in_string)
            return Keyframe(Size(columns, rows), screen, begun)
    return None


# Points


def points_frame(points: Sequence[Point]) -> bytes:
    """The frame that holds the points, in their order."""
    rows = [astuple(point) for point in points]
    return skippable(zstandard.compress(orjson.dumps({"version": 1, "points": rows})))


def sha256_of(frame: bytes) -> str:
    """A frame's SHA-256 in hex."""
    return hashlib.sha256(frame).hexdigest()


def read_points(file: BinaryIO, sha256: str | None) -> tuple[Point, ...]:
    """The points of a compacted file; none where they can't be right, or have another hash.

    `sha256` is that of their frame, None where it is not known. Moves the file's position.
    """
    frame = points_lie(file)
    if frame is None or (sha256 is not None and sha256_of(frame) != sha256):
        return ()
    match _json(frame, _LARGEST_POINTS):
        case {"version": 1, "points": list(rows)} if len(rows) <= MOST_FRAMES:
            points = tuple(point for row in rows if (point := _point(row)) is not None)
            return points if len(points) == len(rows) else ()
    return ()


def scenes_hold(file: BinaryIO, sha256: str) -> bool:
    """Whether the points have that hash, and each keyframe the one that they name."""
    frame = points_lie(file)
    if frame is None or sha256_of(frame) != sha256:
        return False
    return all(
        sha256_of(keyframe_at(file, point)) == point.sha256
        for point in read_points(file, sha256)
        if point.length
    )


def keyframe_at(file: BinaryIO, point: Point) -> bytes:
    """The frame before a point, where there should be a keyframe; of one too large only a part."""
    file.seek(point.offset - point.length)
    return file.read(min(point.length, 2 * LARGEST_KEYFRAME))


def points_lie(file: BinaryIO) -> bytes | None:
    """The frame that should hold the points: the one before the seek table. None without either."""
    end = file.seek(0, 2)
    lengths = _read_table(file, end)
    if not lengths:
        return None
    table = _SKIPPABLE.size + _LENGTHS.size * len(lengths) + _FOOTER.size
    length, plain = lengths[-1]
    if plain or length > min(_LARGEST_POINTS, end - table):
        return None
    file.seek(end - table - length)
    return file.read(length)


def _read_table(file: BinaryIO, end: int) -> list[tuple[int, int]]:
    if end < _FOOTER.size:
        return []
    file.seek(end - _FOOTER.size)
    count, described, magic = _FOOTER.unpack(file.read(_FOOTER.size))
    length = _SKIPPABLE.size + _LENGTHS.size * count + _FOOTER.size
    if magic != _TABLE_END or described or length > min(end, _LARGEST_TABLE):
        return []
    file.seek(end - length)
    content = _within(file.read(length), _TABLE)
    return [] if content is None else list(_LENGTHS.iter_unpack(content[: -_FOOTER.size]))


def _point(row: object) -> Point | None:
    match row:
        case [int() as offset, int() as plain, int() as events, float() | int() as time,
              int() as length, str() as sha256]:  # fmt: skip
            numbers = offset, plain, events, length
            if all(0 <= number <= _LARGEST for number in numbers) and length <= offset:
                return Point(offset, plain, events, float(time), length, sha256)
    return None


def _json(frame: bytes, most: int) -> object:
    """What a frame of ours holds, at most `most` bytes of JSON; None where it is none."""
    content = _within(frame)
    if content is None:
        return None
    try:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        with decompressor.stream_reader(content) as reader:
            told = reader.read(most + 1)
        value: object = orjson.loads(told) if len(told) <= most else None
    except (zstandard.ZstdError, orjson.JSONDecodeError):
        return None
    return value
