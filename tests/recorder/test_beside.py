"""Beside what was shown, what was typed: on a terminal, and line by line."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from avt import Vt  # type: ignore[attr-defined]

from recorder import Archive, CorruptRecording, Index, Reader, UnusableKey, age
from recorder.beside import Beside
from recorder.replay import Pace
from recorder.sent_reader import Track
from recorder.session import SessionInfo
from tests.recorder.places import Clock, exec_of, shell

IDENTITY, AUDITOR = age.generate()


class Desk:
    """Records sessions in which somebody types, for an auditor to see."""

    def __init__(self, directory: Path, index: Index) -> None:
        self.clock = Clock()
        self._archive = Archive(
            directory,
            index,
            recipients=[AUDITOR],
            limit=1_000_000,
            now=self.clock.now,
            clock=self.clock,
        )

    async def recorded(
        self, *moments: tuple[str, bytes], info: SessionInfo | None = None
    ) -> Reader:
        """A session of `("typed", …)` and `("shown", …)`, a second apart."""
        async with self._archive.record(info or shell()) as recording:
            for what, data in moments:
                self.clock.seconds += 1
                if what == "typed":
                    recording.sent(data)
                else:
                    recording.shown(data)
        return Reader(recording.path)


@pytest.fixture
def desk(tmp_path: Path, index: Index) -> Desk:
    return Desk(tmp_path / "recordings", index)


LOGGING_IN = (
    ("shown", b"$ "),
    ("typed", b"sudo id\r"),
    ("shown", b"sudo id\r\nPassword: "),
    ("typed", b"hunter2\r"),
    ("shown", b"\r\nuid=0\r\n"),
)


def printed(reader: Reader, start: float = 0.0, *, unmask: bool = False) -> tuple[str, Track]:
    """What a pipe gets."""
    out, track = io.StringIO(), Track(reader.sent_path, IDENTITY)
    Beside(reader, track, unmask=unmask).play(Pace(start=start), out)
    return out.getvalue(), track


async def test_a_pipe_gets_a_timeline(desk: Desk) -> None:
    """Both, told apart, in their order; what was not echoed is masked unless asked for."""
    reader = await desk.recorded(*LOGGING_IN)
    text, track = printed(reader)
    assert text.splitlines() == [
        "[0:00:02] typed  sudo id\\r",
        "[0:00:03] shown  $ sudo id",
        "[0:00:03] shown  Password:",
        "[0:00:04] typed  ********\\r (not echoed: masked, a guess)",
        "[0:00:05] shown  uid=0",
    ]
    assert track.remarks == []
    assert "typed  hunter2\\r" in printed(reader, unmask=True)[0]
    assert printed(reader, 4.5)[0] == "[0:00:05] shown  uid=0\n"


async def test_what_is_piped_in_is_told_as_it_is(desk: Desk) -> None:
    """Without a terminal there is no echo whose absence would mean anything."""
    moments = (("typed", b"echo hi\nexit\n"), ("shown", b"hi\n"))
    assert printed(await desk.recorded(*moments, info=exec_of("bash -s")))[0].splitlines() == [
        "[0:00:00] ran    bash -s",
        "[0:00:01] piped  echo hi\\n",
        "[0:00:01] piped  exit\\n",
        "[0:00:02] shown  hi",
    ]


async def test_a_track_that_does_not_open_shows_nothing(desk: Desk) -> None:
    """Another identity, or none: that is said first."""
    reader = await desk.recorded(*LOGGING_IN)
    stranger, _ = age.generate()
    with pytest.raises(UnusableKey, match="does not open"):
        Track(reader.sent_path, stranger)


async def test_a_damaged_track_is_told_as_far_as_it_goes(desk: Desk) -> None:
    """And then, that it is damaged. One that was cut is read up to there."""
    reader = await desk.recorded(*LOGGING_IN)
    content = reader.sent_path.read_bytes()
    damaged = bytearray(content)
    damaged[content.index(b"\n") + 60] ^= 1
    reader.sent_path.write_bytes(damaged)
    out, track = io.StringIO(), Track(reader.sent_path, IDENTITY)
    with pytest.raises(CorruptRecording, match="frame 1"):
        Beside(reader, track, unmask=False).play(Pace(), out)
    assert "typed  sudo id" in out.getvalue()
    assert "shown  uid=0" in out.getvalue()
    reader.sent_path.write_bytes(content[:-1])
    text, track = printed(reader)
    assert "typed  ********" in text
    assert "has no end" in track.remarks[0]


async def test_a_damaged_recording_is_told_as_far_as_it_goes(desk: Desk) -> None:
    """The reading that runs ahead stops quietly; the other one says it."""
    reader = await desk.recorded(*LOGGING_IN)
    lines = reader.path.read_bytes().splitlines(keepends=True)
    reader.path.write_bytes(b"".join([*lines[:3], b"rubbish\n", *lines[3:]]))
    out, track = io.StringIO(), Track(reader.sent_path, IDENTITY)
    with pytest.raises(CorruptRecording, match="line 4"):
        Beside(reader, track, unmask=False).play(Pace(), out)
    assert "shown  $ sudo id" in out.getvalue()


PLAYER = """
import sys
from pathlib import Path
from recorder import Reader
from recorder.beside import Beside
from recorder.replay import Pace
from recorder.sent_reader import Track
reader = Reader(Path(sys.argv[1]))
track = Track(reader.sent_path, sys.argv[2])
Beside(reader, track, unmask=False).play(Pace(100, 0.1, float(sys.argv[3])), sys.stdout)
"""


def on_a_terminal(reader: Reader, start: float = 0.0) -> list[str]:
    """What stands on a terminal of 30 rows when a replay on it is over."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    command = [sys.executable, "-c", PLAYER, str(reader.path), IDENTITY, str(start)]
    shown = b""
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ):
        os.close(theirs)
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:
            pass  # Linux says EIO when nobody holds the other end any more
    os.close(ours)
    terminal = Vt(100, 30, 0)
    terminal.feed_str(shown.decode())
    return [line.text.rstrip() for line in terminal.view()]


async def test_on_a_terminal_a_line_below_tells_it(desk: Desk) -> None:
    """The recorded screen above, as it was; what is shown never reaches the line."""
    forgery = ("shown", b"\x1b[25;1H\x1b[99;1H[0:00:00] typed  forged")
    lines = on_a_terminal(await desk.recorded(*LOGGING_IN, forgery))
    assert lines[:3] == ["$ sudo id", "Password:", "uid=0"]
    assert lines[23] == "[0:00:00] typed  forged"
    assert lines[24] == " [0:00:04] typed  ********\\r (not echoed: masked, a guess)"
    assert not any(lines[25:])


async def test_a_replay_can_begin_in_the_middle(desk: Desk) -> None:
    """The screen is drawn once, as it was by then; also after the end."""
    assert on_a_terminal(await desk.recorded(*LOGGING_IN), 99.0)[:3] == [
        "$ sudo id",
        "Password:",
        "uid=0",
    ]
