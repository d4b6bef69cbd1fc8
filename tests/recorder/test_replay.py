"""Replay: at a bearable pace, on a terminal that is as it was afterwards."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import Archive, Reader, Stream
from recorder.asciicast import Code, Event
from recorder.replay import Pace, capped, frames, play
from recorder.screen_filter import RESET
from recorder.session import SessionInfo, Size
from tests.recorder.places import Clock, exec_of, shell


def shown_at(*moments: tuple[float, str]) -> list[Event]:
    return [Event(time, Code.OUT, text) for time, text in moments]


def replayed(events: list[Event], pace: Pace) -> list[tuple[float, str]]:
    return [(event.time, event.data) for event in frames(events, pace)]


def test_pauses_are_capped() -> None:
    """A coffee break is over after two seconds."""
    events = shown_at((1.0, "a"), (601.0, "b"), (602.0, "c"))
    assert replayed(events, Pace(idle=2)) == [(1.0, "a"), (3.0, "b"), (4.0, "c")]


def test_speed_is_applied_after_the_cap() -> None:
    """Twice as fast, a capped pause is half as long."""
    events = shown_at((0.0, "a"), (100.0, "b"))
    assert replayed(events, Pace(speed=2, idle=3)) == [(0.0, "a"), (1.5, "b")]


def test_what_came_before_the_start_is_drawn_at_once() -> None:
    """The screen is as it was at that moment, without waiting for it."""
    events = shown_at((1.0, "a"), (50.0, "b"), (61.0, "c"))
    assert replayed(events, Pace(start=60)) == [(0.0, "a"), (0.0, "b"), (1.0, "c")]


def test_stderr_and_resizes_are_shown_and_notes_are_not() -> None:
    """What the person saw is what is replayed."""
    events = [
        Event(0.0, Code.NOTE, "bastion:said"),
        Event(0.0, Code.OUT, "bastion: recorded\r\n"),
        Event(1.0, Code.ERR, "oops"),
        Event(2.0, Code.RESIZE, "132x50"),
        Event(3.0, Code.EXIT, "1"),
    ]
    assert [(e.code.value, e.data) for e in frames(events, Pace())] == [
        ("o", "bastion: recorded\r\n"),
        ("o", "oops"),
        ("r", "132x50"),
    ]


def test_a_sequence_split_over_events_is_filtered() -> None:
    """A title in three pieces, over two streams, is still a title."""
    events = [
        Event(0.0, Code.OUT, "a\x1b]0;"),
        Event(1.0, Code.ERR, "evil"),
        Event(2.0, Code.OUT, "\x07b"),
    ]
    assert replayed(events, Pace()) == [(0.0, "a"), (2.0, "b")]


@given(
    st.lists(st.floats(0, 1e6), max_size=20).map(sorted),
    st.floats(0, 100),
    st.floats(0.01, 100),
    st.floats(0, 1e6),
)
def test_a_replay_never_goes_back_in_time(
    times: list[float], idle: float, speed: float, start: float
) -> None:
    """Whatever the pace, frames come in order, none is lost, and no pause is too long."""
    events = shown_at(*((time, "x") for time in times))
    paced = list(frames(events, Pace(speed=speed, idle=idle, start=start)))
    assert len(paced) == len(events)
    before = 0.0
    for event in paced:
        assert before - 1e-6 <= event.time <= before + idle / speed + 1e-6
        before = event.time


def test_nothing_is_capped_when_nothing_is_said() -> None:
    """Without a limit a pause is as long as it was."""
    events = shown_at((0.0, "a"), (5000.0, "b"))
    assert list(capped(events, None)) == events


@pytest.mark.parametrize(
    "wrong", [{"speed": 0.0}, {"speed": float("nan")}, {"idle": -1.0}, {"start": -1.0}]
)
def test_a_wrong_pace_cannot_be_built(wrong: dict[str, float]) -> None:
    """Nothing is divided by nothing."""
    with pytest.raises(ValueError, match=r"speed|pause|start"):
        Pace(**wrong)


async def recorded(archive: Archive, clock: Clock, info: SessionInfo) -> Path:
    async with archive.record(info) as recording:
        recording.said("bastion: recorded as S-1\r\n")
        clock.seconds += 5
        recording.shown("\x1b]0;title\x07\x1b[1mgrün\x1b[0m\n".encode())
        recording.shown(b"oops\n", Stream.ERR)
        recording.exited(1)
    return recording.path


async def test_without_a_terminal_all_is_printed_at_once(archive: Archive, clock: Clock) -> None:
    """A pipe gets the text, safe to look at, and nothing waits."""
    path = await recorded(archive, clock, exec_of())
    out = io.StringIO()
    play(Reader(path), Pace(speed=0.001), out)
    assert out.getvalue() == "bastion: recorded as S-1\r\n\x1b[1mgrün\x1b[0m\noops\n"
    late = io.StringIO()
    play(Reader(path), Pace(start=4), late)
    assert late.getvalue() == "\x1b[1mgrün\x1b[0m\noops\n"


def on_a_terminal(path: Path) -> str:
    """What a terminal is sent when `path` is played on it, fast."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tests.recorder.player", str(path), "100", "1.0"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ):
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:
            pass  # Linux says EIO when nobody holds the other end any more
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("info", [exec_of(), shell(Size(0, 0))])
async def test_on_a_terminal_asciinema_plays_it(
    archive: Archive, clock: Clock, info: SessionInfo
) -> None:
    """Paced, filtered, and the terminal is put back as it was."""
    path = await recorded(archive, clock, info)
    shown = on_a_terminal(path)
    assert shown.endswith(RESET)
    assert "title" not in shown
    lines = shown.removesuffix(RESET).split("\n")
    assert [line.rstrip("\r") for line in lines] == [
        "bastion: recorded as S-1",
        "\x1b[1mgrün\x1b[0m",
        "oops",
        "",
    ]


async def test_the_terminal_is_put_back_after_a_damaged_recording(
    archive: Archive, clock: Clock
) -> None:
    """Also when the replay ends with an error in the middle of a full-screen program."""
    path = await recorded(archive, clock, shell())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(
        b"".join([lines[0], b'[0.0,"o","\\u001b[?1049h"]\n', b"rubbish\n", *lines[1:]])
    )
    shown = on_a_terminal(path)
    assert RESET in shown
    assert "S-1.cast, line 3: a line is not JSON" in shown
