"""Export: asciinema, which is not ours, must be able to read whatever was recorded."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import Archive, Reader, Recording, Size, Stream, export
from recorder.asciicast import Code, Event
from recorder.asciicast3 import Intervals
from recorder.session import SessionInfo
from tests.recorder.places import Clock, exec_of, shell


def exported(recording: Recording) -> bytes:
    out = io.BytesIO()
    export.asciicast(Reader(recording.path), out)
    return out.getvalue()


def asciinema_cat(path: Path) -> bytes:
    """What asciinema shows of a file; it has no terminal of its own."""
    program = [sys.executable, "-m", "asciinema", "cat", str(path)]
    done = subprocess.run(program, capture_output=True, check=False, start_new_session=True)
    assert done.stderr == b""
    assert done.returncode == 0
    return done.stdout


async def record(
    archive: Archive, info: SessionInfo, *shown: bytes | tuple[bytes, Stream] | Size
) -> Recording:
    async with archive.record(info) as recording:
        recording.said("bastion: recorded\r\n")
        for data in shown:
            if isinstance(data, Size):
                recording.resized(data)
            elif isinstance(data, bytes):
                recording.shown(data)
            else:
                recording.shown(*data)
        recording.exited(0)
    return recording


async def test_asciinema_shows_what_was_shown(archive: Archive, tmp_path: Path) -> None:
    """Split characters are whole again, stderr is there, what is no text is U+FFFD."""
    recording = await record(
        archive,
        shell(Size(0, 0)),
        "grü".encode()[:-1],
        "ü".encode()[1:] + b"n\r\n",
        (b"oops\r\n", Stream.ERR),
        Size(60000, 60000),
        b"\xff\x1b[31mred\x1b[0m",
    )
    path = tmp_path / "S-1.cast"
    path.write_bytes(exported(recording))
    text = "bastion: recorded\r\ngrün\r\noops\r\n\ufffd\x1b[31mred\x1b[0m"
    assert asciinema_cat(path).decode() == text


async def test_asciinema_reads_the_recording_itself_too(archive: Archive) -> None:
    """The file in the archive is asciicast already: what it does not know it skips."""
    recording = await record(archive, shell(), b"hello\r\n", (b"oops\r\n", Stream.ERR), b"\xff")
    assert asciinema_cat(recording.path) == b"bastion: recorded\r\nhello\r\n"


async def test_a_torn_recording_is_exported_whole(archive: Archive, tmp_path: Path) -> None:
    """asciinema fails on a torn last line; an export has none."""
    recording = await record(archive, shell(), b"hello\r\n")
    recording.path.write_bytes(recording.path.read_bytes()[:-30])
    path = tmp_path / "S-1.cast"
    path.write_bytes(exported(recording))
    assert asciinema_cat(path) == b"bastion: recorded\r\nhello\r\n"


async def test_sizes_can_be_drawn(archive: Archive, clock: Clock) -> None:
    """0x0 and 60000x60000 occur; no player is asked to draw them."""
    recording = await record(archive, shell(Size(0, 60000)), Size(60000, 0), Size(132, 50))
    header, *events = [json.loads(line) for line in exported(recording).splitlines()]
    assert (header["width"], header["height"]) == (80, 1000)
    assert [event[2] for event in events if event[1] == "r"] == ["1000x24", "132x50"]
    assert header["bastion"]["session"] == 1


@pytest.mark.parametrize("cut", [["a\nb\r\nc\n"], ["a\nb\r", "\nc\n"], list("a\nb\r\nc\n")])
async def test_without_a_terminal_lines_start_at_the_left(archive: Archive, cut: list[str]) -> None:
    """A program without a pty writes bare newlines; the contractor's terminal added returns."""
    recording = await record(archive, exec_of(), *[part.encode() for part in cut])
    events = [json.loads(line) for line in exported(recording).splitlines()[1:]]
    shown = "".join(event[2] for event in events if event[1] == "o")
    assert shown == "bastion: recorded\r\na\r\nb\r\nc\r\n"
    raw = io.BytesIO()
    export.raw(Reader(recording.path), Stream.OUT, raw)
    assert raw.getvalue().decode() == "".join(cut)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.binary(max_size=30), st.text(max_size=20).map(str.encode)), max_size=8)
)
async def test_asciinema_reads_anything_that_was_shown(
    archive: Archive, tmp_path: Path, shown: list[bytes]
) -> None:
    """Hostile output makes no export that an outside reader stumbles over."""
    recording = await record(archive, shell(), *shown)
    path = tmp_path / "S.cast"
    path.write_bytes(exported(recording))
    text = b"bastion: recorded\r\n" + b"".join(shown).decode("utf-8", "replace").encode()
    assert asciinema_cat(path) == text


# asciicast v3, text, gzip


def exported3(recording: Recording) -> tuple[dict[str, object], list[list[object]]]:
    out = io.BytesIO()
    export.asciicast(Reader(recording.path), out, version=3)
    header, *events = map(json.loads, out.getvalue().splitlines())
    return header, events


async def test_v3_has_intervals_and_a_term(archive: Archive, clock: Clock) -> None:
    """As https://docs.asciinema.org/manual/asciicast/v3/ has it; what is shown is the same."""
    async with archive.record(shell(Size(0, 0))) as recording:
        clock.seconds += 0.25
        recording.shown("grün".encode()[:3])
        clock.seconds += 1.5
        recording.shown("grün".encode()[3:])
        recording.resized(Size(60000, 50))
        clock.seconds += 2
        recording.shown(b"oops", Stream.ERR)
        recording.exited(3)
    header, events = exported3(recording)
    assert header["version"] == 3
    assert header["term"] == {"cols": 80, "rows": 24, "type": "xterm-256color"}
    assert isinstance(header["timestamp"], int)
    assert "width" not in header
    assert events[:-1] == [
        [0.25, "o", "gr"],
        [1.5, "o", "ü"],
        [0.0, "o", "n"],
        [0.0, "r", "1000x50"],
        [2.0, "o", "oops"],
        [0.0, "x", "3"],
    ]
    assert events[-1][1] == "m"


@given(st.lists(st.floats(0, 1e6), max_size=30).map(sorted))
def test_intervals_add_up_to_the_times(times: list[float]) -> None:
    """To the microsecond, however many there are; none is negative."""
    intervals, sum_ = Intervals(), 0.0
    for time in times:
        interval, code, data = json.loads(intervals.line(Event(time, Code.OUT, "x")))
        assert interval >= 0
        sum_ += interval
        assert sum_ == pytest.approx(time, abs=2e-6)
        assert (code, data) == ("o", "x")


@pytest.mark.parametrize(
    ("exited", "status"),
    [
        ("0", "0"),
        ("SIGTERM", "143"),
        ("SIGKILL", "137"),
        ("SIGNONE", "255"),
        ("4294967295", "2147483647"),
    ],
)
def test_an_exit_is_a_status(exited: str, status: str) -> None:
    """A signal as shells have it."""
    assert json.loads(Intervals().line(Event(0, Code.EXIT, exited))) == [0.0, "x", status]


async def test_text_is_what_can_be_read(archive: Archive) -> None:
    """Line by line as it ended up; nothing of it acts on a terminal."""
    recording = await record(
        archive,
        shell(),
        b"\x1b]0;title\x07\x1b[1;31mre",
        b"d\x1b[0m\r\n10%\r",
        b"100%\r\n\x07\tdone\r\n",
    )
    out = io.BytesIO()
    export.text(Reader(recording.path), out)
    assert out.getvalue().decode() == "bastion: recorded\nred\n100%\n        done\n"


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_gzip_reads_what_was_compressed(pieces: list[bytes]) -> None:
    """All of it, and it ends as it should."""
    out = io.BytesIO()
    packed = export.Gzipped(out)
    for piece in pieces:
        packed.write(piece)
    packed.end()
    assert gzip.decompress(out.getvalue()) == b"".join(pieces)
    judge = subprocess.run(["gzip", "-t"], input=out.getvalue(), capture_output=True, check=False)
    assert (judge.returncode, judge.stderr) == (0, b"")
