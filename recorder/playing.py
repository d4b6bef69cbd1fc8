"""Playing: a replay on somebody's terminal at its own pace, with a few keys to hold it.

    space    pauses, and goes on
    .        shows the next thing while it is paused
    q        ends it, as ctrl-c does

Whoever calls has the terminal: text goes out and keys come in by what is handed in. A terminal
that is slow holds the replay up, which then catches up with the clock; nothing is gathered.
"""

from collections.abc import Callable, Iterable

from recorder.asciicast import Code, Event
from recorder.reader import Reader
from recorder.replay import NOT_WHOLE, Pace, paced
from recorder.scene import scene_at
from recorder.screen_filter import LEAVE

PAUSE, STEP, QUIT = " ", ".", frozenset("qQ\x03\x04")

LONGEST_WAIT = 1.0
"""Seconds that a key is waited for at once."""

GLANCE = 0.05
"""Seconds after which keys are looked at while there is something to show all the time."""


def perform(
    reader: Reader,
    pace: Pace,
    show: Callable[[str], object],
    *,
    key: Callable[[float], str | None],
    clock: Callable[[], float],
    note: Callable[[str], object] = lambda _: None,
) -> None:
    """Show a recording at its pace. It begins with the screen as it stood at `pace.start`.

    `key` waits so many seconds for a key, `clock` gives seconds that only grow; what either or
    `show` raises ends it. `note` is told a sentence where that screen may not be whole. What is
    shown is safe for a terminal. Raises RecordingMissing, CorruptRecording.
    """
    scene = scene_at(reader, pace.start)
    player = _Player(show, key, clock)
    try:
        player.play(event for event in paced(scene.drawn(), pace) if event.code is Code.OUT)
    finally:
        show(LEAVE)
    if not scene.whole:
        note(NOT_WHOLE)


class _Player:
    """One replay. `_origin` is when it would have begun, had it never been paused."""

    def __init__(
        self,
        show: Callable[[str], object],
        key: Callable[[float], str | None],
        clock: Callable[[], float],
    ) -> None:
        self._show = show
        self._key = key
        self._clock = clock
        self._origin = self._looked = clock()
        self._paused: float | None = None

    def play(self, events: Iterable[Event]) -> None:
        """All of them, each at its time, or until a key ends it."""
        for event in events:
            if not self._came(event.time):
                return
            self._show(event.data)

    def _came(self, time: float) -> bool:
        """Wait until it is `time`, or is stepped to; whether anybody wants to see more."""
        while (left := self._left(time)) > 0 or self._clock() - self._looked >= GLANCE:
            key = self._key(min(max(left, 0.0), LONGEST_WAIT))
            self._looked = self._clock()
            if key is None:
                continue
            if key in QUIT:
                return False
            if key == PAUSE:
                self._pause()
            elif key == STEP and self._paused is not None:
                self._paused = max(self._paused, time)
                return True
        return True

    def _left(self, time: float) -> float:
        """Seconds until it is `time`; while it is paused, as long as one likes."""
        if self._paused is not None:
            return LONGEST_WAIT
        return self._origin + time - self._clock()

    def _pause(self) -> None:
        now = self._clock()
        if self._paused is None:
            self._paused = now - self._origin
        else:
            self._origin, self._paused = now - self._paused, None
