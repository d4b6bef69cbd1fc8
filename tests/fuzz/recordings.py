"""What is fuzzed of recordings: their files, whole, and what the database has of them.

Whoever can write there is somebody else than we, or a disk. Each reader takes bytes, and raises
where a promise is broken; that something is refused is no failure.
"""

import io
import itertools
import math
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bastion.authority import read_public_key
from bastion.authority.sshsig import Fault, verify
from bastion.checkpoints import read_checkpoint
from bastion.inventory import PublicKey
from recorder import Index, Reader, RecorderError, Seals, Stream, export
from recorder.asciicast import LONGEST_LINE, header_line, header_of, parse_event, parse_header
from recorder.errors import CorruptRecording
from recorder.following import follow
from recorder.manifest import NAMESPACE, read_manifest, sha256_of
from recorder.mend import mend
from recorder.plain import CHUNK, plain_chunks
from recorder.playing import perform
from recorder.replay import Pace, frames, printed
from recorder.screen_filter import ScreenFilter
from recorder.sent_reader import bytes_sent, read_sent
from recorder.tombstone import read_tombstone
from tests.recorder.places import MORNING, Sqlite, exec_of

IDENTITY = "AGE-SECRET-KEY-10J42S9R6ESKUAD5RMJVUL4MHG6W4S7FSSY9HY908JR9YE8KXZU6QZ57WY3"
SEAL = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMaIDqteupgpa8/jSDaPfbeO06rDa1JtYlpZnZyv//ld"
HEADER = header_line(header_of(1, exec_of(), MORNING))
TIME = "2026-11-23 09:00:00.000000"
SHA256 = "5e" * 32

ROW = {
    "connection": 3,
    "user": "alice",
    "grant_id": 7,
    "host": "web-1",
    "login": "deploy",
    "kind": "exec",
    "command": "uname -a",
    "source": "192.0.2.7",
    "started_at": TIME,
    "ended_at": TIME,
    "end_reason": "closed",
    "path": "2026/11/23/S-2.cast",
    "sha256": SHA256,
    "size": 400,
    "events": 3,
    "sealed": 1,
}
SEALED = {"session": 2, "manifest": "{}", "signature": "", "sha256": SHA256, "at": TIME}


@cache
def _place() -> TemporaryDirectory[str]:
    """Where files lie, for as long as the process lasts."""
    memory = Path("/dev/shm")
    return TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None)


@cache
def _database() -> Sqlite:
    return Sqlite(Path(_place().name) / "index.db")


@cache
def _seal_key() -> PublicKey:
    return read_public_key(SEAL)


def _file(name: str, data: bytes) -> Path:
    path = Path(_place().name) / name
    path.write_bytes(data)
    return path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# Files


def cast(data: bytes) -> None:
    """A file that is none of ours is shown, exported and followed without harm, or is corrupt."""
    reader = Reader(_file("S-1.cast", data))
    with suppress(RecorderError):
        for shown in printed(reader, 0.0):
            assert ScreenFilter().feed(shown) == shown
    with suppress(RecorderError):
        assert all(event.time >= 0 for event in frames(reader.events(), Pace(start=2.0)))
    for stream in Stream:
        with suppress(RecorderError):
            export.raw(reader, stream, io.BytesIO())
    _exported(reader)
    _followed(reader)


def _exported(reader: Reader) -> None:
    """Whole lines that are asciicast, of a size that a player can draw."""
    out = io.BytesIO()
    with suppress(RecorderError):
        export.asciicast(reader, out)
    lines = out.getvalue().splitlines(keepends=True)
    if lines:
        header = parse_header(lines[0])
        assert 0 < header.width <= export.LARGEST_SIDE
        assert 0 < header.height <= export.LARGEST_SIDE
    for line in lines[1:]:
        assert line.endswith(b"\n")
        assert math.isfinite(parse_event(line).time)


def _followed(reader: Reader) -> None:
    """Nobody waits at the end of what is over, and a key ends a replay."""
    with suppress(RecorderError):
        follow(reader, len, over=lambda: True, wait=lambda: None)
    seconds, keys = itertools.count(0.0), itertools.count()
    with suppress(RecorderError):
        perform(
            reader,
            Pace(idle=1.0),
            len,
            key=lambda _: "q" if next(keys) > 100 else None,
            clock=lambda: next(seconds),
        )


def mending(data: bytes) -> None:
    """What was mended can be read to its end; what is damaged is left as it was."""
    path = _file("S-2.cast", data)
    try:
        found = mend(path, HEADER)
    except CorruptRecording:
        assert path.read_bytes() == data
        return
    reader = Reader(path)
    reader.header()
    assert sum(1 for _ in reader.events()) == found.found.events
    assert found.size == path.stat().st_size


def packed(data: bytes) -> None:
    """A compressed file is unpacked piece by piece, or is corrupt."""
    length = 0
    with suppress(RecorderError):
        for chunk in plain_chunks(_file("S-3.cast.zst", data)):
            assert len(chunk) <= CHUNK
            length += len(chunk)
            if length > LONGEST_LINE:
                break


def sent_track(data: bytes) -> None:
    """A track gives what an auditor's key opens, or is corrupt."""
    path = _file("S-1.sent", data)
    with suppress(RecorderError):
        assert bytes_sent(path) >= 0
    with suppress(RecorderError):
        for chunk in read_sent(path, IDENTITY):
            assert math.isfinite(chunk.time)


# What is signed


def manifest(data: bytes) -> None:
    """A manifest is itself when it is written again, to the byte."""
    sha256_of(_text(data))
    with suppress(CorruptRecording):
        assert read_manifest(_text(data)).text() == _text(data)


def tombstone(data: bytes) -> None:
    """So is a tombstone."""
    with suppress(CorruptRecording):
        assert read_tombstone(_text(data)).text() == _text(data)


def checkpoint(data: bytes) -> None:
    """And a checkpoint of the log."""
    with suppress(ValueError):
        assert read_checkpoint(_text(data)).body() == _text(data)


def signature(data: bytes) -> None:
    """Nobody else than who has the key has signed."""
    found = verify(_text(data), NAMESPACE, b"text\n", [_seal_key()])
    assert isinstance(found, Fault) or found.blob == _seal_key().blob


# The database


def session_row(data: bytes) -> None:
    """Whatever stands in a row, it is a session or can't be read; and hides no other."""
    if not _write("sessions", "id", ROW, data):
        return
    index = Index(_database())
    read = index.read([1, 2])
    assert set(read) == set(index.present([1, 2])) == {1, 2}
    assert read[2] is not None
    assert [session.id for session in index.find()] == [2, 1] if read[1] else [2]


def seal_row(data: bytes) -> None:
    """So it is with seals, and the next one has its place."""
    if not _write("seals", "number", SEALED, data):
        return
    seals = Seals(_database())
    read = seals.read([1, 2])
    assert set(read) == {1, 2}
    assert read[2] is not None
    assert seals.place() == (3, SHA256)
    assert seals.of_all([1, 2])[2] is not None


def _write(table: str, key: str, good: dict[str, object], data: bytes) -> bool:
    """The first row holds what came, a field for each column; the second is as it should be.

    False where the database does not take the first.
    """
    came = [_field(field) for field in data.split(b"\x1f")][: len(good)]
    spoilt = [*came, *(("?", value) for value in list(good.values())[len(came) :])]
    taken = 0
    with _database().write() as connection:
        connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 (ours)
        for number, values in ((2, [("?", value) for value in good.values()]), (1, spoilt)):
            names = ", ".join(f'"{name}"' for name in (key, *good))
            marks = ", ".join(mark for mark, _ in values)
            insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES (?, {marks})"  # noqa: S608
            told = (number, *(value for _, value in values))
            taken = connection.exec_driver_sql(insert, told).rowcount
    return taken == 1


def _field(data: bytes) -> tuple[str, object]:
    """A value of one of the kinds that a database keeps, and how it is written."""
    kind, content = data[:1], data[1:]
    if kind == b"b":
        return "?", content
    if kind == b"i":
        return "?", int.from_bytes(content[:8], "big", signed=True)
    if kind == b"f":
        return "?", len(content) * 1e300
    return ("?", None) if kind == b"n" else ("CAST(? AS TEXT)", content)


READERS = (
    *(cast, mending, packed, sent_track),
    *(manifest, tombstone, checkpoint, signature),
    *(session_row, seal_row),
)
