"""Mending: whatever was cut or appended at the end, a prefix is left that can be read."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recorder.asciicast import (
    LONGEST_LINE,
    Code,
    Note,
    Stream,
    Word,
    event_line,
    header_line,
    header_of,
    output_lines,
)
from recorder.errors import CorruptRecording, RecordingMissing
from recorder.mend import mend
from recorder.reader import Reader
from tests.recorder.places import MORNING, exec_of

HEADER = header_line(header_of(1, exec_of(), MORNING))
LINES = [
    *output_lines(0.5, Stream.OUT, "grüße\n".encode()),
    event_line(1.0, Code.RESIZE, "0x0"),
    *output_lines(1.5, Stream.ERR, b"\xff\xfe"),
    event_line(2.0, Code.EXIT, "0"),
]
WHOLE = HEADER + b"".join(LINES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(WHOLE)), st.one_of(st.just(b""), st.just(bytes(512)), st.binary()))
@example(len(WHOLE), b"\n\n\n")
@example(0, b"")
def test_a_file_cut_anywhere_is_mended(tmp_path: Path, at: int, rubbish: bytes) -> None:
    """Cut at any byte, and with zeros or rubbish after it as a power cut leaves them."""
    path = tmp_path / "S-1.cast"
    path.write_bytes(WHOLE[:at] + b"\xff" + rubbish)
    mended = mend(path, HEADER)
    whole = [line for n, line in enumerate(LINES) if len(HEADER + b"".join(LINES[: n + 1])) <= at]
    assert path.read_bytes().startswith(HEADER + b"".join(whole))
    events = list(Reader(path).events())
    assert len(events) == len(whole) + 1 == mended.found.events
    assert events[-1].data == f'bastion:interrupted {{"cut":{mended.cut}}}'
    assert mended.size == path.stat().st_size
    assert Reader(path).header().session["user"] == "alice"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(WHOLE)))
def test_a_torn_recording_can_be_read_without_mending(tmp_path: Path, at: int) -> None:
    """A live recording is read up to its last whole line."""
    path = tmp_path / "S-1.cast"
    path.write_bytes(WHOLE[:at])
    count = WHOLE[len(HEADER) : at].count(b"\n")
    assert len(list(Reader(path).events())) == count


def test_a_bad_line_in_the_middle_is_named(tmp_path: Path) -> None:
    """What is damaged is not read past; the sentence says where."""
    path = tmp_path / "S-1.cast"
    path.write_bytes(HEADER + LINES[0] + b"rubbish\n" + LINES[1])
    with pytest.raises(CorruptRecording, match=r"^S-1\.cast, line 3: a line is not JSON$"):
        list(Reader(path).events())
    with pytest.raises(CorruptRecording, match="bad line at byte"):
        mend(path, HEADER)


def test_a_line_without_end_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """A line of 100 MB is an error, not 100 MB of memory."""
    path = tmp_path / "S-1.cast"
    with path.open("wb") as file:
        file.write(HEADER + b'[0.5,"o","')
        file.truncate(file.tell() + 100_000_000)
    with pytest.raises(CorruptRecording, match=f"a line over {LONGEST_LINE} bytes"):
        list(Reader(path).events())
    assert mend(path, HEADER).cut > 100_000_000


def test_no_file_is_missing(tmp_path: Path) -> None:
    """Not there is said as such."""
    with pytest.raises(RecordingMissing):
        mend(tmp_path / "S-1.cast", HEADER)
    with pytest.raises(RecordingMissing):
        Reader(tmp_path / "S-1.cast").header()


def test_an_empty_file_has_no_header(tmp_path: Path) -> None:
    """A recording that was not begun is corrupt, and says so."""
    path = tmp_path / "S-1.cast"
    path.touch()
    with pytest.raises(CorruptRecording, match="has no header"):
        Reader(path).header()


def test_what_stands_behind_the_last_line_is_cut(tmp_path: Path) -> None:
    """A recording that was closed is as it was closed: without a word on an interruption."""
    ended = event_line(3.0, Code.NOTE, Note(Word.ENDED, {"reason": "closed"}).label())
    path = tmp_path / "S-1.cast"
    path.write_bytes(WHOLE + ended + bytes(512))
    mended = mend(path, HEADER)
    assert path.read_bytes() == WHOLE + ended
    assert (mended.cut, mended.found.ended) == (512, {"reason": "closed"})
