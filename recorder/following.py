"""Following a recording that grows: what was shown until now, and then what is shown as it is.

Only the file is read, so the session does not notice, however many follow it.
"""

from collections.abc import Callable, Iterator

from recorder.asciicast import LONGEST_LINE, Code, Event, parse_event
from recorder.characters import as_terminal, as_text
from recorder.errors import CorruptRecording
from recorder.reader import Reader
from recorder.replay import safe, shown
from recorder.screen import Screen
from recorder.screen_filter import RESET
from recorder.session import Size

CLEAR = "\x1b[0m\x1b[H\x1b[2J"


def follow(
    reader: Reader,
    show: Callable[[str], object],
    *,
    over: Callable[[], bool],
    wait: Callable[[], object],
) -> None:
    """Show the screen as it stands, then what comes, until the session is over.

    `over` says whether it is, `wait` lets a moment pass; what `wait` raises ends it. What is shown
    is safe for a terminal. Raises RecordingMissing, CorruptRecording.
    """
    header = reader.header()
    screen = Screen(Size(header.width, header.height))
    tail = Tail(reader, over, wait, lambda: show(CLEAR + screen.dump()))
    events: Iterator[Event] = as_text(tail.events())
    if header.session.get("terminal") is False:
        events = as_terminal(events)
    try:
        for event in shown(safe(events)):
            if tail.caught_up:
                show(event.data if event.code is Code.OUT else "")
            elif event.code is Code.OUT:
                screen.show(event.data)
            else:
                screen.resize(_size(event.data))
    finally:
        show(RESET)


def _size(text: str) -> Size:
    columns, _, rows = text.partition("x")
    try:
        return Size(int(columns), int(rows))
    except ValueError as error:
        raise CorruptRecording(f"{text[:40]!a} is no size") from error


class Tail:
    """The events of a growing recording. `present` is called where what there was is all told."""

    def __init__(
        self,
        reader: Reader,
        over: Callable[[], bool],
        wait: Callable[[], object],
        present: Callable[[], object],
    ) -> None:
        self._reader = reader
        self._over = over
        self._wait = wait
        self._present = present
        self.caught_up = False

    def events(self) -> Iterator[Event]:
        """All of them, in their order, until the session is over."""
        lines = self._lines()
        next(lines)  # the header
        for line in lines:
            yield parse_event(line)

    def _lines(self) -> Iterator[bytes]:
        part, last = b"", False
        with self._reader.opened() as file:
            while True:
                part += file.readline(LONGEST_LINE + 1 - len(part))
                if part.endswith(b"\n"):
                    yield part
                    part = b""
                elif len(part) > LONGEST_LINE:
                    raise CorruptRecording(f"a line is over {LONGEST_LINE} bytes")
                elif last:
                    return
                else:
                    last = self._pause()

    def _pause(self) -> bool:
        """At the end of what there is: whether there will be no more than is there already."""
        if not self.caught_up:
            self.caught_up = True
            self._present()
        over = self._over()
        if not over:
            self._wait()
        return over
