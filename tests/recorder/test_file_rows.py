"""Rows of files: read back from the recording when it is over, also after a crash."""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import (
    BEGUN,
    DONE,
    Archive,
    Direction,
    FileEvent,
    Index,
    Kind,
    SessionInfo,
    WantedFiles,
)
from recorder.asciicast import Code, Event, Note, Word
from recorder.told import files_told
from tests.recorder.places import MORNING, Clock, exec_of

DIGEST = "ab" * 32


def sftp(user: str = "alice") -> SessionInfo:
    return replace(exec_of(), kind=Kind.SFTP, command=None, user=user)


def got(path: bytes, result: str = DONE) -> FileEvent:
    if result == BEGUN:
        return FileEvent("get", path, None, None, 0, None, BEGUN)
    return FileEvent("get", path, None, Direction.READ, 12345, DIGEST, result)


async def test_a_session_that_is_over_has_its_rows(
    archive: Archive, index: Index, clock: Clock
) -> None:
    """In their order, with their times; what was only begun is there as such."""
    renamed = FileEvent("rename", b"/a\xff", b"/b c", None, 0, None, "permission denied")
    async with archive.record(sftp()) as recording:
        recording.file(got(b"/x", BEGUN))
        clock.seconds += 5
        recording.file(got(b"/x"))
        recording.file(renamed)
        recording.file(got(b"/y", BEGUN))
    newest_first = index.files.find()
    assert [row.event for row in newest_first] == [got(b"/y", BEGUN), renamed, got(b"/x")]
    assert [row.number for row in newest_first] == [3, 2, 1]
    assert newest_first[-1].at == MORNING + timedelta(seconds=5)
    assert {row.session.id for row in newest_first} == {recording.session}


async def test_files_are_found_by_what_is_known_of_them(archive: Archive, index: Index) -> None:
    """By person, path of either side, contents, time and session."""
    session = 0
    moved = {"alice": (b"/var/log/a_b", b"/var/log/axb"), "bob": (b"/srv/100%",)}
    for user, names in moved.items():
        async with archive.record(sftp(user)) as recording:
            for path in names:
                recording.file(got(path))
            recording.file(FileEvent("rename", b"/old", b"/new", None, 0, None, DONE))
        session = recording.session

    def paths(**wanted: object) -> list[bytes]:
        found = index.files.find(WantedFiles(**wanted))  # type: ignore[arg-type]
        return [row.event.path for row in reversed(found)]

    assert paths(user="bob") == [b"/srv/100%", b"/old"]
    assert paths(path="/var/log/a_b") == [b"/var/log/a_b"]
    assert paths(path="/var/log/a?b") == [b"/var/log/a_b", b"/var/log/axb"]
    assert paths(path="*100%") == [b"/srv/100%"]
    assert paths(path="/new", user="alice") == [b"/old"]
    assert paths(sha256=DIGEST, session=session) == [b"/srv/100%"]
    assert paths(sha256="00" * 32) == []
    assert paths(since=MORNING + timedelta(seconds=1)) == []
    assert len(paths(until=MORNING + timedelta(seconds=1))) == 5
    assert len(index.files.find(limit=2)) == 2


async def test_all_files_of_a_session_are_read_page_by_page(archive: Archive, index: Index) -> None:
    """More than a page, in their order, and no other session's."""
    many = [got(b"/%d" % number) for number in range(1203)]
    for files in (many, [got(b"/other")]):
        async with archive.record(sftp()) as recording:
            for event in files:
                recording.file(event)
    session = index.get(1)
    assert session is not None
    found = list(index.files.of(session))
    assert [row.event.path for row in found] == [event.path for event in many]
    assert [row.number for row in found] == list(range(1, 1204))


async def test_twice_is_the_same_as_once(archive: Archive, index: Index) -> None:
    """Rows are read back from the recording, however often."""
    async with archive.record(sftp()) as recording:
        recording.file(got(b"/x"))
    session = index.get(recording.session)
    assert session is not None
    before = index.files.find()
    index.files.keep(session.id, files_told(archive.open(session).events(), session.started_at))
    assert index.files.find() == before


async def test_a_crash_loses_no_row(archive: Archive, index: Index) -> None:
    """What a killed bastion had told of is read back when its session is recovered."""
    recording = await archive.begin(sftp())
    recording.file(got(b"/x", BEGUN))
    recording.file(got(b"/x"))
    recording.file(got(b"/y", BEGUN))
    assert index.files.find() == []
    recording._cast.close()  # as the end of its process does
    (recovered,) = await archive.recover()
    assert recovered.session == recording.session
    assert [row.event for row in index.files.find()] == [got(b"/y", BEGUN), got(b"/x")]


async def test_rows_that_can_not_be_written_leave_the_session_open(
    archive: Archive, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the next start writes them."""
    recording = await archive.begin(sftp())
    recording.file(got(b"/x"))

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(index.files, "keep", fails)
        with pytest.raises(sqlite3.OperationalError):
            await archive.finish(recording)
    session = index.get(recording.session)
    assert session is not None
    assert session.ended_at is None
    await archive.recover()
    assert [row.event for row in index.files.find()] == [got(b"/x")]


def noted(event: FileEvent, word: Word = Word.FILE) -> Event:
    return Event(1.0, Code.NOTE, Note(word, event.facts()).label())


def test_what_is_damaged_ends_the_list_and_no_more() -> None:
    """Facts that no recorder wrote; what came before them counts."""
    broken = Event(2.0, Code.NOTE, 'bastion:file {"operation":1}')
    told = list(files_told([noted(got(b"/x")), broken, noted(got(b"/y"))], MORNING))
    assert [each.event.path for each in told] == [b"/x"]


@given(st.lists(st.tuples(st.sampled_from([b"/a", b"/b"]), st.booleans()), max_size=30))
def test_each_end_is_told_and_no_beginning_that_has_one(steps: list[tuple[bytes, bool]]) -> None:
    """All that is over, and of each path at most one that is not."""
    events = [
        noted(got(path, BEGUN if begins else DONE), Word.BEGUN if begins else Word.FILE)
        for path, begins in steps
    ]
    told = [each.event for each in files_told(events, MORNING)]
    over = [path for path, begins in steps if not begins]
    assert [event.path for event in told if event.result == DONE] == over
    open_now = [event.path for event in told if event.result == BEGUN]
    for path in (b"/a", b"/b"):
        depth = 0
        for each, begins in steps:
            if each == path:
                depth = depth + 1 if begins else max(0, depth - 1)
        assert open_now.count(path) == (1 if depth else 0)
