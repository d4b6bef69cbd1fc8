"""Replay: a recording shown again, at a bearable pace and without harm.

Pipes: each takes events and gives events. `frames` puts them together; `play` runs asciinema
as a program when it is shown on a terminal, and prints at once where there is none.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Final, TextIO

from recorder.asciicast import STREAM_OF, Code, Event, Header, event_line, header_line
from recorder.characters import as_text
from recorder.export import displayable
from recorder.picture import Drawing
from recorder.reader import Reader
from recorder.scene import scene_at
from recorder.screen_filter import RESET, ScreenFilter

NOT_WHOLE: Final = (
    "The screen that it began with was drawn from what was shown shortly before: what had stood "
    "there for longer may be missing."
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: `speed` times as fast, no pause longer than `idle` seconds, from `start` on.

    `start` is in seconds of the recording; what was shown before is drawn at once.
    """

    speed: float = 1.0
    idle: float | None = None
    start: float = 0.0

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise ValueError("the speed must be above 0")
        if self.idle is not None and not self.idle >= 0:
            raise ValueError("the longest pause cannot be below 0")
        if not self.start >= 0:
            raise ValueError("the start cannot be below 0")


def frames(events: Iterable[Event], pace: Pace) -> Iterator[Event]:
    """What to show and when: text ("o", stderr too) and resizes ("r"), safe for a terminal.

    `time` is in seconds from the beginning of the replay.
    """
    return paced(shown(safe(as_text(events))), pace)


def paced(events: Iterable[Event], pace: Pace) -> Iterator[Event]:
    """The same events at the times of a replay."""
    return sped(capped(started(events, pace.start), pace.idle), pace.speed)


def shown(events: Iterable[Event]) -> Iterator[Event]:
    """Only what changes the screen; stdout and stderr as one."""
    for event in events:
        if event.code in STREAM_OF:
            yield Event(event.time, Code.OUT, event.data)
        elif event.code is Code.RESIZE:
            yield event


def safe(events: Iterable[Event]) -> Iterator[Event]:
    """Text without the sequences that could harm a terminal, as `ScreenFilter` has it."""
    screen = ScreenFilter()
    for event in events:
        if event.code not in STREAM_OF:
            yield event
        elif text := screen.feed(event.data):
            yield Event(event.time, event.code, text)


def started(events: Iterable[Event], start: float) -> Iterator[Event]:
    """Times count from `start`; what came before happens at 0."""
    for event in events:
        yield Event(max(0.0, event.time - start), event.code, event.data)


def capped(events: Iterable[Event], idle: float | None) -> Iterator[Event]:
    """No pause longer than `idle` seconds."""
    before = saved = 0.0
    for event in events:
        if idle is not None:
            saved += max(0.0, event.time - before - idle)
        before = event.time
        yield Event(event.time - saved, event.code, event.data)


def sped(events: Iterable[Event], speed: float) -> Iterator[Event]:
    """`speed` times as fast."""
    for event in events:
        yield Event(event.time / speed, event.code, event.data)


def play(
    reader: Reader, pace: Pace, out: TextIO, note: Callable[[str], object] = lambda _: None
) -> None:
    """Show a recording on `out`: paced on a terminal (asciinema's keys work), else at once.

    On a terminal it begins with the screen as it stood at `start`; elsewhere what was shown before
    is left out. `note` is told a sentence where that screen may not be whole. Raises
    RecordingMissing, CorruptRecording, after what could be shown.
    """
    if out.isatty():
        scene = scene_at(reader, pace.start)
        on_terminal(scene.header, paced(scene.drawn(), pace), out)
        if not scene.whole:
            note(NOT_WHOLE)
        return
    for text in printed(reader, pace.start):
        out.write(text)
    out.flush()


def printed(reader: Reader, start: float) -> Iterator[str]:
    """What was shown from `start` on (seconds), safe for a terminal. Raises CorruptRecording."""
    scene = scene_at(reader, start)
    drawing = Drawing(terminal=True, begun=scene.picture.drawing.begun)
    for event in drawing.all(scene.events):
        if event.code is Code.OUT:
            yield event.data


def on_terminal(header: Header, events: Iterable[Event], out: TextIO) -> None:
    """Have asciinema show frames on a terminal, which is put back as it was afterwards."""
    try:
        with tempfile.TemporaryDirectory() as nowhere:
            _through_asciinema(header_line(displayable(header)), events, out, nowhere)
    finally:
        out.write(RESET)
        out.flush()


def _through_asciinema(header: bytes, events: Iterable[Event], out: TextIO, config: str) -> None:
    """asciinema reads from a pipe, so it starts at once and nothing plain lies in a file."""
    program = [sys.executable, "-m", "asciinema", "play", "-"]
    environment = {**os.environ, "ASCIINEMA_CONFIG_HOME": config, "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=out.fileno(), env=environment
    ) as player:
        if player.stdin is not None:
            _feed(player.stdin, header, events)


def _feed(pipe: IO[bytes], header: bytes, events: Iterable[Event]) -> None:
    with contextlib.suppress(BrokenPipeError), pipe:  # broken: the reviewer left
        pipe.write(header)
        for event in events:
            pipe.write(event_line(event.time, event.code.value, event.data))
            pipe.flush()
