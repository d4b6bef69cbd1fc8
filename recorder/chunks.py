"""Chunks: some lines of a transcript together, as a text index keeps them. Pure."""

from collections.abc import Iterable, Iterator, Sequence

import orjson
import zstandard

from recorder.errors import CorruptRecording
from recorder.lines import Line, Place

CHUNK = 4000
"""Characters of a chunk's lines together; the last of them may go beyond."""

_LARGEST = 1024 * 1024
"""Bytes of a chunk's body at most."""

Chunk = Sequence[Line]


def filled(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """The lines in chunks; the last one may have room for more."""
    chunk: list[Line] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line.text)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def is_full(chunk: Chunk) -> bool:
    """Whether there is no room for another line."""
    return sum(len(line.text) for line in chunk) >= CHUNK


def packed(chunk: Chunk) -> bytes:
    """A chunk as bytes: JSON, compressed."""
    rows = [(line.time, line.place.value, line.text) for line in chunk]
    return zstandard.ZstdCompressor(level=3).compress(orjson.dumps(rows))


def unpacked(body: bytes) -> list[Line]:
    """What `packed` has made. Raises CorruptRecording for anything else."""
    return [line_of(row) for row in rows_of(body)]


Row = tuple[float, str, str]
"""Time, place and text of a line."""


def rows_of(body: bytes) -> list[Row]:
    """The lines as they lie in a chunk's body. Raises CorruptRecording."""
    try:
        rows = zstandard.ZstdDecompressor().decompress(body, max_output_size=_LARGEST)
        return [(time, place, text) for time, place, text in orjson.loads(rows)]
    except (zstandard.ZstdError, ValueError, TypeError) as error:
        raise CorruptRecording("a part of the text index is damaged") from error


def line_of(row: Row) -> Line:
    """The line that a row is. Raises CorruptRecording."""
    try:
        return Line(row[0], row[2], Place(row[1]))
    except ValueError as error:
        raise CorruptRecording("a part of the text index is damaged") from error
