"""Following a recording that grows: what was shown until now, and then what is shown as it is.

Only the file is read, so the session does not notice, however many follow it. Whoever can't keep
up, because a network is slow or the session prints more than anybody could read, is shown the
present screen again, and not all that came in between.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from recorder.asciicast import LONGEST_LINE, Code, Event, Note, Word, parse_event
from recorder.characters import as_terminal, as_text
from recorder.errors import CorruptRecording
from recorder.reader import SLICE, Reader
from recorder.replay import safe, shown
from recorder.screen import CLEAR, Screen, draw
from recorder.screen_filter import LEAVE
from recorder.session import Size

BEHIND = 256 * 1024
"""Bytes; who is further behind than this is shown the screen when it is caught up with."""

LONGEST = 8 * 1024 * 1024
"""Bytes; of a recording that is longer only the last of it is read at first: what stands on a
screen was drawn lately."""

FLOOD = 1024 * 1024
LAST = 128 * 1024
"""Bytes; where more than FLOOD came at once, only the last of it is read."""

LATE = 4.0
"""Seconds; who has not come to the end of what there is for so long goes on at the end: what costs
much to draw would hold her up for as long as somebody likes."""

CALM = 10
"""Waits between two screens in a flood: nobody can read more of them."""

_GAP = b""
"""Stands for lines that were left out."""


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
    terminal = header.session.get("terminal") is not False
    tail = Tail(reader, over, wait, lambda: show(CLEAR + screen.dump()))
    try:
        for events in tail.runs():
            for event in shown(safe(events if terminal else as_terminal(events))):
                draw(event, screen, reader.rest, tail.late)
                if tail.caught_up and event.code is Code.OUT:
                    show(event.data)
    finally:
        show(LEAVE)


def _more(note: Note) -> str:
    """What is known of what is not kept: a forward's bytes, and those beyond a session's limit."""
    return f"bastion: {note.facts.get('bytes')} bytes, which are not kept, have come by now.\r\n"


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
        self._most = self._kept = LONGEST
        self._read = SLICE  # so that it looks ahead at once
        self._flood: int | None = None
        self._torn = self._ended = self._told = False
        self._at_end = time.monotonic()
        self.caught_up = False

    def late(self) -> bool:
        """Whether it is too long ago that the end was come to."""
        return time.monotonic() - self._at_end > LATE

    def runs(self) -> Iterator[Iterator[Event]]:
        """The events as text, in their order, until the session is over.

        Where something was left out another run begins, in which nothing is half done.
        """
        with self._reader.opened() as file:
            lines = self._lines(file)
            next(lines)  # the header
            while not self._told:
                yield as_text(self._events(lines))

    def _events(self, lines: Iterator[bytes]) -> Iterator[Event]:
        for line in lines:
            if line == _GAP:
                return
            event = parse_event(line)
            note = Note.of(event)
            self._ended = note is not None and note.word is Word.ENDED
            yield event
            if note is not None and note.word is Word.DROPPED:
                yield Event(event.time, Code.OUT, _more(note))
        self._told = True

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        part, last = b"", False
        while True:
            part += file.readline(LONGEST_LINE + 1 - len(part))
            if part.endswith(b"\n"):
                if self._torn:
                    self._torn = False
                else:
                    yield part
                look = self._count(len(part))
                part = b""
            elif len(part) > LONGEST_LINE:
                raise CorruptRecording(f"a line is over {LONGEST_LINE} bytes")
            elif last:
                return
            else:
                last, look = self._pause(), True
            if look and self._leaves_out(file):
                yield _GAP
                part = b""

    def _count(self, size: int) -> bool:
        """So much was told: whether it is time to see how much there is ahead."""
        self._reader.rest()
        self._read += size
        if self.late():
            self.caught_up = False
            self._most = self._kept = LAST
            self._show_flood()
            return True
        if self._flood is not None:
            self._flood -= size
            if self._flood <= 0:
                self._show_flood()
                return True
        if self._read < SLICE:
            return False
        self._read = 0
        return self._flood is None

    def _leaves_out(self, file: BinaryIO) -> bool:
        """See how much is ahead; whether some of it was left out, as it is too much."""
        if not file.seekable():  # compacted meanwhile: it does not grow
            return False
        ahead = os.fstat(file.fileno()).st_size - file.tell()
        most, kept = self._most, self._kept
        self._most, self._kept = FLOOD, LAST
        if ahead > BEHIND:
            self.caught_up = False
        if ahead <= most:
            return False
        file.seek(ahead - kept, os.SEEK_CUR)
        self._flood, self._torn = kept, True
        return True

    def _show_flood(self) -> None:
        """What stands there now, for as long as somebody may want to look at it."""
        self._flood = None
        self._catch_up()
        for _ in range(CALM):
            self._wait()
        self._at_end = time.monotonic()

    def _pause(self) -> bool:
        """At the end of what there is: whether there will be no more than is there already."""
        self._flood = None
        self._catch_up()
        over = self._ended or self._over()
        if not over:
            self._wait()
        self._at_end = time.monotonic()
        return over

    def _catch_up(self) -> None:
        if not self.caught_up:
            self.caught_up = True
            self._present()
            self._reader.rest()
