"""Scenes: a recording from a time on, while it lies there as it was written."""

import io
from pathlib import Path

import pytest

from recorder import CorruptRecording, Reader, Size
from recorder.asciicast import event_line, header_line, header_of
from recorder.replay import Pace, play
from recorder.scene import BEFORE, scene_at
from tests.recorder.places import MORNING, exec_of, shell


def cast(path: Path, *told: tuple[float, str, str], terminal: bool = True) -> Reader:
    header = header_of(1, shell(Size(20, 4)) if terminal else exec_of(), MORNING)
    path.write_bytes(header_line(header) + b"".join(event_line(*each) for each in told))
    return Reader(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "S-1.cast"


@pytest.fixture
def flood(path: Path) -> Reader:
    """Three times as much as is drawn for a scene, at an uneven pace."""
    text = "x" * 5000
    told = [
        (n * n / 1000, "o", f"{text}\x1b[2J\x1b[Hline {n:03d}") for n in range(3 * BEFORE // 5000)
    ]
    return cast(path, (0, "o", "\x1b]0;title\x07\x1b[31m"), *told)


def test_the_screen_is_as_it_stood(path: Path) -> None:
    """What comes at that very moment is still to come; its size is that of the moment."""
    reader = cast(
        path,
        (1, "o", "one\r\n"),
        (2, "r", "30x6"),
        (3, "e", "two\r\n"),
        (3, "m", "bastion:said"),
        (4, "o", "three\r\n"),
        (5, "x", "0"),
    )
    scene = scene_at(reader, 4)
    assert scene.picture.size == Size(30, 6)
    first, *rest = scene.drawn()
    assert (first.time, rest[0].time, rest[0].data) == (4, 4, "three\r\n")
    assert "one" in first.data
    assert "two" in first.data
    assert "three" not in first.data
    assert len(rest) == 1
    assert scene.whole


def test_after_the_end_the_last_screen_stands_there(path: Path) -> None:
    """Alone; and at the beginning an empty one."""
    reader = cast(path, (1, "o", "one"))
    [last] = scene_at(reader, 1e9).drawn()
    assert "one" in last.data
    empty, one = scene_at(reader, 0.5).drawn()
    assert "one" not in empty.data
    assert one.data == "one"


def test_of_a_long_one_only_the_last_is_drawn_and_it_says_so(flood: Reader) -> None:
    """Wherever that is, it begins with the right event, and the colour from long ago is missing."""
    for number in (0, 1, 40, 90, 130, 200, 313):
        scene = scene_at(flood, number * number / 1000 + 0.0001)
        assert f"line {number:03d}" in scene.picture.shown()
        following = next(iter(scene.events), None)
        assert following is None or f"line {number + 1:03d}" in following.data
        assert scene.whole == (number <= 90)
        assert ("\x1b[0;31m" in scene.picture.shown()) == scene.whole


def test_a_damaged_line_is_reached_and_said(flood: Reader) -> None:
    """A search that falls on it goes on before it; a torn last line is not there."""
    content = flood.path.read_bytes()
    lines = content.splitlines(keepends=True)
    lines[200] = b"rubbish" * 800 + b"\n"
    flood.path.write_bytes(b"".join(lines))
    assert "line 150" in scene_at(flood, 150 * 150 / 1000 + 0.0001).picture.shown()
    with pytest.raises(CorruptRecording, match="is not JSON"):
        list(scene_at(flood, 150 * 150 / 1000).drawn())
    flood.path.write_bytes(content[:-700])
    assert "line 312" in scene_at(flood, 1e6).picture.shown()


def test_into_a_pipe_goes_what_was_shown_from_then_on(path: Path) -> None:
    """Without the screen, and without what a title from before swallows."""
    reader = cast(
        path,
        (1, "o", "one\n"),
        (2, "o", "\x1b]0;a ti"),
        (3, "ob", "4g=="),
        (4, "o", "tle\x07two\n"),
        terminal=False,
    )
    out = io.StringIO()
    play(reader, Pace(start=3.5), out)
    assert out.getvalue() == "two\n"
