"""A recording: written first, whole lines, ours marked, and closed for good when the pen breaks."""

import hashlib
import io
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import (
    Archive,
    EndReason,
    Index,
    Reader,
    Recording,
    RecordingFailed,
    Size,
    Stream,
    export,
)
from recorder.asciicast import Code, Event, Note, Word
from tests.recorder.places import Clock, exec_of, shell


def events(recording: Recording) -> list[Event]:
    return list(Reader(recording.path).events())


def notes(recording: Recording, word: Word) -> list[dict[str, object]]:
    found = [Note.of(event) for event in events(recording)]
    return [note.facts for note in found if note is not None and note.word is word]


def exported(recording: Recording, stream: Stream = Stream.OUT) -> bytes:
    out = io.BytesIO()
    export.raw(Reader(recording.path), stream, out)
    return out.getvalue()


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A full disk that needs no mount: the kernel refuses what is beyond (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_what_was_shown_is_in_the_file_before_it_is_forwarded(archive: Archive) -> None:
    """When `shown` returns, another process can read it."""
    async with archive.record(shell()) as recording:
        recording.shown(b"$ ")
        assert [event.data for event in events(recording)] == ["$ "]
        recording.shown(b"ls\r\n")
        assert [event.data for event in events(recording)] == ["$ ", "ls\r\n"]


async def test_a_session_reads_like_what_happened(archive: Archive, clock: Clock) -> None:
    """Output, stderr, resizes, our own lines and the exit, each with its time and code."""
    async with archive.record(shell()) as recording:
        recording.said("bastion: recorded as S-1\r\n")
        clock.seconds += 0.25
        recording.shown(b"out")
        recording.shown(memoryview(b"err"), Stream.ERR)
        clock.seconds += 1
        recording.resized(Size(132, 50))
        recording.exited(3)
    assert [(event.time, event.code.value, event.data) for event in events(recording)][:-1] == [
        (0.0, "m", "bastion:said"),
        (0.0, "o", "bastion: recorded as S-1\r\n"),
        (0.25, "o", "out"),
        (0.25, "e", "err"),
        (1.25, "r", "132x50"),
        (1.25, "x", "3"),
    ]


async def test_a_signal_is_written_as_people_write_it(archive: Archive, index: Index) -> None:
    """SSH says TERM; the recording says SIGTERM, the index what SSH said."""
    async with archive.record(shell()) as recording:
        recording.died("TERM")
    assert [event.data for event in events(recording) if event.code is Code.EXIT] == ["SIGTERM"]
    session = index.get(recording.session)
    assert session is not None
    assert (session.exit_status, session.exit_signal) == (None, "TERM")


async def test_our_own_lines_are_not_the_targets(archive: Archive) -> None:
    """A target that prints what looks like our line is told from us, also within a character."""
    async with archive.record(exec_of()) as recording:
        recording.shown("bastion: fake ä".encode()[:-1])
        recording.said("bastion: real\r\n")
        recording.shown("ä\n".encode()[1:])
    assert exported(recording) == "bastion: fake ä\n".encode()
    assert recording.bytes_out == len("bastion: fake ä\n".encode())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(Stream), st.binary(max_size=50)), max_size=12))
async def test_raw_export_is_what_the_target_wrote(
    archive: Archive, written: list[tuple[Stream, bytes]]
) -> None:
    """Each stream comes back byte for byte, whatever it was and however it was cut."""
    async with archive.record(exec_of()) as recording:
        for stream, data in written:
            recording.shown(data, stream)
    for stream in Stream:
        assert exported(recording, stream) == b"".join(d for s, d in written if s is stream)


async def test_the_index_knows_the_file(archive: Archive, index: Index, recordings: Path) -> None:
    """Size, number of events and SHA-256 in the row are those of the file."""
    async with archive.record(exec_of()) as recording:
        recording.shown(b"a\xffb" * 1000)
        recording.shown(bytes(3_000_000))
    session = index.get(recording.session)
    assert session is not None
    content = (recordings / session.recording.path).read_bytes()
    assert session.recording.size == len(content)
    assert session.recording.sha256 == hashlib.sha256(content).hexdigest()
    assert session.recording.events == len(content.splitlines()) - 1
    assert session.bytes_out == 3_003_000


async def test_beyond_the_limit_length_and_hash_are_kept(index: Index, tmp_path: Path) -> None:
    """The file stops growing, says so at once, and what it lacks can be checked."""
    clock = Clock()
    archive = Archive(tmp_path / "r", index, recipients=[], limit=10_000, clock=clock)
    flood = [bytes([65 + number % 26]) * 1000 for number in range(500)]
    async with archive.record(exec_of()) as recording:
        for chunk in flood:
            recording.shown(chunk)
            clock.seconds += 0.01
        assert recording.full
        recording.shown(b"late", Stream.ERR)
        recording.resized(Size(1, 1))
        recording.said("bastion: over\r\n")
        recording.exited(0)
    [limit] = notes(recording, Word.LIMIT)
    assert limit == {"limit": 10_000}
    kept, everything = exported(recording), b"".join(flood)
    dropped = notes(recording, Word.DROPPED)
    assert everything.startswith(kept)
    assert dropped[-2] == {
        "stream": "o",
        "bytes": len(everything) - len(kept),
        "sha256": hashlib.sha256(everything[len(kept) :]).hexdigest(),
    }
    assert dropped[-1] == {
        "stream": "e",
        "bytes": 4,
        "sha256": hashlib.sha256(b"late").hexdigest(),
    }
    assert 5 <= len(dropped) <= 7, "one a second, and the last of each stream"
    assert recording.bytes_out == len(everything) + 4
    assert recording.path.stat().st_size < 12_000
    codes = [event.code for event in events(recording)]
    assert Code.EXIT in codes
    assert Code.RESIZE not in codes


async def test_a_full_disk_closes_the_door(
    archive: Archive, index: Index, recordings: Path
) -> None:
    """The first write that fails raises, and so does each one after it, room or not."""
    recording = await archive.begin(exec_of())
    kept = b""
    with files_no_larger_than(50_000), suppress(RecordingFailed):
        while True:
            recording.shown(b"x" * 1000)
            kept += b"x" * 1000
    with pytest.raises(RecordingFailed, match=r"^S-1\.cast cannot be written: File too large$"):
        await archive.finish(recording)
    assert recording.broken
    calls: list[Callable[[], None]] = [
        lambda: recording.shown(b"y"),
        lambda: recording.sent(b"y"),
        lambda: recording.said("y"),
        lambda: recording.resized(Size(1, 1)),
        lambda: recording.exited(0),
        recording.sent_eof,
    ]
    for call in calls:
        with pytest.raises(RecordingFailed):
            call()
    session = index.get(recording.session)
    assert session is not None
    assert session.end_reason is EndReason.RECORDING_FAILED
    assert exported(recording) == kept, "the torn line was cut, nothing that was forwarded is lost"
    content = (recordings / session.recording.path).read_bytes()
    assert session.recording.sha256 == hashlib.sha256(content).hexdigest()
    assert notes(recording, Word.INTERRUPTED)[0]["cut"] != 0


async def test_if_the_sent_track_breaks_nothing_is_shown_either(archive: Archive) -> None:
    """A recording is whole or broken: one pen that fails stops both directions."""
    recording = await archive.begin(exec_of())
    with files_no_larger_than(2_000), suppress(RecordingFailed):
        while True:
            recording.sent(b"x")
    with pytest.raises(RecordingFailed, match=r"^S-1\.sent cannot be written"):
        recording.shown(b"y")
    with pytest.raises(RecordingFailed):
        await archive.finish(recording)


async def test_a_million_resizes_stop_at_the_limit(index: Index, tmp_path: Path) -> None:
    """A client that resizes for ever fills no disk."""
    archive = Archive(tmp_path / "r", index, recipients=[], limit=5_000)
    async with archive.record(shell(Size(0, 0))) as recording:
        for number in range(2_000):
            recording.resized(Size(60000, number))
    assert recording.path.stat().st_size < 6_000
