"""Files in a recording: what became of each, as facts for programs and as a line for people."""

import io
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import (
    BEGUN,
    DONE,
    Archive,
    Direction,
    FileEvent,
    Index,
    Kind,
    Reader,
    Recording,
    SessionInfo,
    recording,
    shown,
)
from recorder import replay as replaying
from recorder.asciicast import Note, Word
from recorder.transfers import escaped, unescaped
from tests.recorder.places import Clock, exec_of

hostile = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"/var/log/app.log", b"/\xff", b"/a\\x1b", b"/\x1b[2J\r\n", b"", b"\0"]),
)
events = st.builds(
    FileEvent,
    operation=st.sampled_from(["get", "put", "mkdir", "rename", "remove"]),
    path=hostile,
    other=st.none() | hostile,
    direction=st.none() | st.sampled_from(Direction),
    bytes=st.integers(0, 2**63 - 1),
    sha256=st.none() | st.just("ab" * 32),
    result=st.sampled_from([DONE, BEGUN, "no such file"]),
    sequential=st.booleans(),
)


def sftp() -> SessionInfo:
    return replace(exec_of(), kind=Kind.SFTP, command=None)


def got(path: bytes = b"/var/log/app.log", length: int = 12345) -> FileEvent:
    return FileEvent("get", path, None, Direction.READ, length, "ab" * 32, DONE)


def told(recorded: Recording) -> list[FileEvent]:
    """The files that a recording tells of, read back."""
    notes = [Note.of(event) for event in Reader(recorded.path).events()]
    words = (Word.FILE, Word.BEGUN)
    return [FileEvent.of(note.facts) for note in notes if note is not None and note.word in words]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(events, max_size=10))
async def test_what_is_recorded_reads_back(archive: Archive, written: list[FileEvent]) -> None:
    """Every operation, byte for byte, whatever its names are."""
    async with archive.record(sftp()) as recorded:
        for event in written:
            recorded.file(event)
    assert told(recorded) == written


async def test_a_result_is_one_line_of_bounded_length(archive: Archive) -> None:
    """A target's words in a result can neither act on a terminal nor fill a disk."""
    async with archive.record(sftp()) as recorded:
        recorded.file(replace(got(), result="no\x1b[2J\n\udcff" + "x" * 10_000))
    [event] = told(recorded)
    assert event.result.startswith("no\\x1b[2J\\n\\xffxxx")
    assert len(event.result) < 300


async def test_replay_shows_a_line_for_each_file(archive: Archive, clock: Clock) -> None:
    """One line each, ours, in the terminal's way; what has only begun has none yet."""
    async with archive.record(sftp()) as recorded:
        recorded.file(replace(got(), bytes=0, sha256=None, result=BEGUN))
        clock.seconds += 2
        recorded.file(got())
    out = io.StringIO()
    replaying.play(Reader(recorded.path), replaying.Pace(), out)
    assert out.getvalue() == f"get /var/log/app.log 12 345 bytes sha256 {'ab' * 32}\r\n"
    assert recorded.bytes_out == 0, "our line is not the target's"


async def test_what_passed_is_counted_and_not_kept(archive: Archive, index: Index) -> None:
    """The row has how much went each way; the files have nothing of it."""
    async with archive.record(sftp()) as recorded:
        for _ in range(1000):
            recorded.passed(sent=7, shown=30_000)
    session = index.get(recorded.session)
    assert session is not None
    assert (session.bytes_in, session.bytes_out) == (7000, 30_000_000)
    assert session.recording.events == 1
    assert recorded.path.with_suffix(".sent").read_bytes().endswith((7000).to_bytes(8, "big"))


async def test_files_are_told_of_beyond_the_limit(
    index: Index, clock: Clock, recordings_at_one_byte: Archive
) -> None:
    """Up to a bound of their own; then their number is, at most once a second and at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "FILES_BEYOND", 10_000)
        async with recordings_at_one_byte.record(sftp()) as recorded:
            for number in range(1000):
                recorded.file(got(b"/%d" % number))
                clock.seconds += 0.01
    kept = told(recorded)
    assert [event.path for event in kept] == [b"/%d" % number for number in range(len(kept))]
    assert 15 < len(kept) < 40
    counts = [
        note.facts["count"]
        for event in Reader(recorded.path).events()
        if (note := Note.of(event)) is not None and note.word is Word.UNLISTED
    ]
    assert counts[0] == 1
    assert counts[-1] == 1000 - len(kept)
    assert len(counts) <= 12
    assert recorded.path.stat().st_size < 13_000


@pytest.fixture
def recordings_at_one_byte(archive: Archive, index: Index, clock: Clock) -> Archive:
    """An archive whose recordings are full from their first line on."""
    return Archive(archive._directory, index, recipients=[], limit=1, now=clock.now, clock=clock)


@given(hostile, hostile)
def test_a_path_as_text_has_one_meaning(one: bytes, two: bytes) -> None:
    """It prints, comes back as it was, and no other path has it."""
    assert escaped(one).isprintable()
    assert unescaped(escaped(one)) == one
    assert (escaped(one) == escaped(two)) is (one == two)
    assert shown(one).strip('"')[:1] == escaped(one)[:1] or b'"' in one


@pytest.mark.parametrize("text", ["\\", "\\q", "\\x41", "\n", "\\u0041", "\\Uffffffff", "\\ud800"])
def test_text_that_we_did_not_write_is_no_path(text: str) -> None:
    """Somebody made it up: a second way to write a path would have two meanings."""
    with pytest.raises(ValueError, match=r".+"):
        unescaped(text)


@given(
    st.dictionaries(
        st.sampled_from(list(got().facts())), st.none() | st.integers() | st.text() | st.booleans()
    )
)
def test_facts_that_we_did_not_write_are_refused(facts: dict[str, object]) -> None:
    """A ValueError, and no other."""
    try:
        FileEvent.of({**got().facts(), **facts})
        FileEvent.of(facts)
    except ValueError:
        pass
