"""Recovery: after a kill, what was acknowledged is there, and each recording stands alone."""

import hashlib
import io
import os
import random
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from recorder import Archive, EndReason, Index, Recovered, Session, Stream, export
from recorder.asciicast import Note, Word
from recorder.database import Database
from tests.recorder.places import MORNING, Clock, exec_of, name_of
from tests.recorder.writer import chunk


def raw(archive: Archive, session: Session) -> bytes:
    out = io.BytesIO()
    export.raw(archive.open(session), Stream.OUT, out)
    return out.getvalue()


def got(index: Index, session: int) -> Session:
    found = index.get(session)
    assert found is not None
    return found


async def abandoned(archive: Archive, *shown: bytes) -> Path:
    """A recording whose process is gone: the kernel has closed its files and locks."""
    recording = await archive.begin(exec_of())
    for data in shown:
        recording.shown(data)
    recording._cast.close()
    recording._track_pen.close()
    return recording.path


def kill_after(lines: int, index: str, recordings: Path) -> Counter[str]:
    """Start a writer, kill it once it has said so many lines; what it said, to the last."""
    program = [sys.executable, "-m", "tests.recorder.writer", index, str(recordings)]
    said: Counter[str] = Counter()
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as writer:
        for number, line in enumerate(writer.stdout or ()):
            said[line.split()[0]] += 1
            if number == lines:
                writer.kill()
    return said


@pytest.mark.parametrize("seed", range(6))
async def test_a_killed_writer_loses_nothing_that_it_acknowledged(
    archive: Archive, index: Index, database: Database, recordings: Path, seed: int
) -> None:
    """kill -9 at any moment: what was recorded before it was forwarded can be read back."""
    after = random.Random(seed).randrange(1, 3_000)  # noqa: S311
    acknowledged = kill_after(after, name_of(database), recordings)
    [recovered] = await archive.recover()
    assert recovered.problem is None
    session = got(index, recovered.session)
    assert session.end_reason is EndReason.INTERRUPTED
    shown, count = raw(archive, session), acknowledged["shown"]
    everything = b"".join(chunk(number) for number in range(count + 1))
    assert shown in (everything, everything[: -len(chunk(count))])
    assert session.bytes_out == len(shown)
    assert acknowledged["sent"] <= session.bytes_in <= acknowledged["sent"] + 1
    content = (recordings / session.recording.path).read_bytes()
    assert session.recording.sha256 == hashlib.sha256(content).hexdigest()
    assert session.recording.events == content.count(b"\n") - 1
    assert session.ended_at is not None
    assert session.ended_at > session.started_at
    assert await archive.recover() == []


async def test_a_torn_line_is_cut_and_the_recording_says_so(
    archive: Archive, index: Index, clock: Clock
) -> None:
    """The mark says how many bytes went; the end is the time of the last event."""
    clock.seconds += 2
    path = await abandoned(archive, b"one", b"two")
    with path.open("ab") as file:
        file.write(b'[2.5,"o","thr')
    assert await archive.recover() == [Recovered(1, cut=13)]
    events = list(archive.open(got(index, 1)).events())
    assert [event.data for event in events[:-1]] == ["one", "two"]
    assert Note.of(events[-1]) == Note(Word.INTERRUPTED, {"cut": 13})
    assert got(index, 1).ended_at == MORNING + timedelta(seconds=2)


async def test_a_header_that_was_not_written_is_written_from_the_index(
    archive: Archive, index: Index
) -> None:
    """Killed before its first line was whole, a recording still says whose it is."""
    path = await abandoned(archive)
    path.write_bytes(path.read_bytes()[:20])
    assert await archive.recover() == [Recovered(1, cut=20)]
    assert archive.open(got(index, 1)).header().session["user"] == "alice"


async def test_one_bad_recording_does_not_keep_the_others(archive: Archive, index: Index) -> None:
    """Missing, damaged, empty: each is reported with a sentence, and the rest is mended."""
    missing, damaged, good, untracked = [await abandoned(archive, b"a", b"b") for _ in range(4)]
    missing.unlink()
    content = damaged.read_bytes().replace(b'"a"]', b'"a"}')
    damaged.write_bytes(content)
    untracked.with_suffix(".sent").unlink()
    results = {result.session: result.problem for result in await archive.recover()}
    assert results[1] == "S-1.cast is missing"
    assert results[2] is not None
    assert results[2].startswith("S-2.cast is damaged: there is a bad line at byte")
    assert results[3] is None
    assert results[4] is not None
    assert "S-4.sent" in results[4]
    assert {session.end_reason for session in index.find()} == {EndReason.INTERRUPTED}
    assert damaged.read_bytes() == content, "what is damaged is evidence"
    assert got(index, 2).recording.sha256 == hashlib.sha256(content).hexdigest()
    assert good.read_bytes().endswith(b'"bastion:interrupted {\\"cut\\":0}"]\n')


async def test_a_live_recording_is_left_alone(archive: Archive, index: Index) -> None:
    """Another process, or this one, still writes it."""
    async with archive.record(exec_of()) as recording:
        recording.shown(b"x")
        assert await archive.recover() == []
        assert got(index, 1).live
        recording.shown(b"y")
    assert got(index, 1).end_reason is EndReason.CLOSED


async def test_a_recording_that_was_closed_keeps_its_own_end(
    archive: Archive, index: Index
) -> None:
    """Killed between the last line and the row: the recording knows how it ended."""
    recording = await archive.begin(exec_of())
    recording.shown(b"bye")
    recording.sent(b"exit\n")
    recording.died("HUP")
    recording.end(EndReason.EXPIRED)
    recording.close()
    before = recording.path.read_bytes()
    assert await archive.recover() == [Recovered(1)]
    session = got(index, 1)
    assert session.end_reason is EndReason.EXPIRED
    assert (session.exit_status, session.exit_signal) == (None, "HUP")
    assert (session.bytes_in, session.bytes_out) == (5, 3)
    assert recording.path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        b'[1e300,"o","x"]\n',
        b'[1.0,"x","' + b"9" * 5000 + b'"]\n',
        b'[1.0,"m","bastion:ended {\\"reason\\":\\"bored\\"}"]\n',
        b'[1.0,"m","bastion:ended {\\"reason\\":[]}"]\n',
        b'[1.0,"m","bastion:dropped {\\"stream\\":\\"o\\",\\"bytes\\":18446744073709551615}"]\n',
    ],
)
async def test_what_no_recorder_wrote_is_reported(
    archive: Archive, index: Index, line: bytes
) -> None:
    """A file that somebody made up does not stop the others from being recovered."""
    path = await abandoned(archive)
    await abandoned(archive)
    with path.open("ab") as file:
        file.write(line)
    results = {result.session: result.problem for result in await archive.recover()}
    assert results[1] is not None
    assert results[1].startswith("the recording's end cannot be right")
    assert results[2] is None
    assert got(index, 1).end_reason is EndReason.INTERRUPTED


async def test_more_sessions_than_a_page_are_recovered(archive: Archive, index: Index) -> None:
    """A busy bastion that is killed leaves many."""
    for _ in range(120):
        await abandoned(archive)
    assert len(await archive.recover()) == 120
    assert index.find() != []
    assert not [session for session in index.find(limit=1000) if session.live]


async def test_the_directory_is_there_from_the_first_start_on(
    archive: Archive, recordings: Path
) -> None:
    """Else whoever asks how much room there is would be told that there is none."""
    assert await archive.recover() == []
    assert os.access(recordings, os.R_OK)


async def test_a_row_that_cannot_be_read_keeps_no_other(
    archive: Archive, index: Index, database: Database
) -> None:
    """Nor from the lists, nor from the next start."""
    for _ in range(4):
        await abandoned(archive, b"a")
    with database.write() as connection:
        connection.execute(text("UPDATE sessions SET kind = 'unheard-of' WHERE id IN (2, 4)"))
    assert [session.id for session in index.find(limit=1)] == [3]
    assert [session.id for session in index.find(limit=1, before=3)] == [1]
    assert [recovered.session for recovered in await archive.recover()] == [3, 1]
    assert {session.end_reason for session in index.find()} == {EndReason.INTERRUPTED}
