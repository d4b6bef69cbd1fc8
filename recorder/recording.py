"""A recording: what one session showed and what was sent to it, written before it is forwarded.

The relay calls `shown` or `sent` first and forwards when that has returned: by then the bytes
are in the kernel's hands. Each call is one write(2) of whole lines, inline, and never waits for
another thread. If the pen breaks, every call raises RecordingFailed from then on, and the relay
closes the door. Times come from the clock that is handed in; who opens and closes the files is
the archive.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from recorder.asciicast import Code, Data, Note, Stream, Word, event_line, output_lines, pieces
from recorder.errors import RecordingFailed
from recorder.pen import Pen
from recorder.remainder import Remainder
from recorder.sent import SentTrack
from recorder.session import (
    LONGEST_SIGNAL,
    Ending,
    EndReason,
    Size,
    Stored,
    session_name,
    storable,
)
from recorder.transfers import BEGUN, FileEvent

Clock = Callable[[], float]

FILES_BEYOND = 64 * 1024 * 1024
"""Bytes that files may be told of in beyond the limit: some hundred thousand of them."""

UNLISTED_EVERY = 1.0
"""Seconds between two notes on how many more there were."""


class Recording:
    """One growing recording, made by `Archive.begin`.

    `cast` is what was shown: an asciicast, its header already written. `track` is what was sent.
    `row` is the session as the archive has last written it into the index.
    `limit` is how many bytes the asciicast may have; beyond it only length and SHA-256 of each
    stream are kept, and the recording says so. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        session: int,
        started_at: datetime,
        cast: Pen,
        track_pen: Pen,
        track: SentTrack,
        *,
        limit: int,
        clock: Clock,
    ) -> None:
        self.session = session
        self.started_at = started_at
        self.path = cast.path
        self.bytes_in = 0
        self.bytes_out = 0
        self.events = 0
        self.reason: EndReason | None = None
        self.exit_status: int | None = None
        self.exit_signal: str | None = None
        self.tells_files = False
        self._cast = cast
        self._track_pen = track_pen
        self._track = track
        self._limit = limit
        self._clock = clock
        self._start = clock()
        self._full = False
        self._claimed = False
        self._rests = {stream: Remainder() for stream in Stream}
        self._beyond = 0
        self._unlisted = 0
        self._unlisted_at = 0.0

    @property
    def name(self) -> str:
        """The session as people say it: `S-31`."""
        return session_name(self.session)

    @property
    def pens(self) -> tuple[Pen, Pen]:
        """What it is written with."""
        return self._cast, self._track_pen

    @property
    def broken(self) -> bool:
        """Whether writing failed, or is over: nothing can be recorded any more."""
        return self._cast.failure is not None or self._track_pen.failure is not None

    @property
    def full(self) -> bool:
        """Whether the limit was reached: what is shown is only measured and hashed."""
        return self._full

    @property
    def hides(self) -> bool:
        """Whether something is not told in it any more, so that who follows it misses that."""
        return self._full or self._unlisted > 0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return round(self._clock() - self._start, 6)

    def shown(self, data: Data, stream: Stream = Stream.OUT) -> None:
        """Record what the target wrote. Raises RecordingFailed: then do not forward it."""
        self._check()
        self.bytes_out += len(data)
        time = self.elapsed
        for piece in pieces(data):
            if self._full or not self._keep(output_lines(time, stream, piece)):
                self._measure(time, stream, piece)

    def said(self, text: str, stream: Stream = Stream.OUT) -> None:
        """Record a line of our own, marked as ours. Kept beyond the limit too."""
        self._check()
        time = self.elapsed
        said = event_line(time, Code.NOTE, Note(Word.SAID).label())
        self._write(said + event_line(time, stream, text), 2)

    def sent(self, data: Data) -> None:
        """Record what the contractor sent. Raises RecordingFailed: then do not forward it."""
        self._check()
        self._track.sent(self.elapsed, data)
        self.bytes_in += len(data)

    def file(self, event: FileEvent) -> None:
        """Record what became of a file, and show it in a line of ours unless it has only begun.

        Kept beyond the limit too, up to FILES_BEYOND; of what comes then only the number is.
        """
        self._check()
        time = self.elapsed
        self.tells_files = True
        word = Word.BEGUN if event.result == BEGUN else Word.FILE
        lines = event_line(time, Code.NOTE, Note(word, event.facts()).label())
        if word is Word.FILE:
            lines += event_line(time, Stream.OUT, f"{event.line()}\r\n")
        if self._room_for_file(len(lines)):
            self._write(lines, 1 if word is Word.BEGUN else 2)
        elif word is Word.FILE:
            self._leave_out(time)

    def passed(self, *, sent: int = 0, shown: int = 0) -> None:
        """Count bytes that went each way, of which nothing is kept: files tell of themselves."""
        self._check()
        self._track.passed(sent)
        self.bytes_in += sent
        self.bytes_out += shown

    def sent_eof(self) -> None:
        """Record that the contractor will send no more."""
        self._check()
        self._track.eof(self.elapsed)

    def resized(self, size: Size) -> None:
        """Record that the terminal has another size."""
        self._check()
        if not self._full:
            self._keep([event_line(self.elapsed, Code.RESIZE, f"{size.columns}x{size.rows}")])

    def exited(self, status: int) -> None:
        """Record the exit status, as SSH has it: 0 to 2**32 - 1."""
        self._check()
        self.exit_status = status
        self._write(event_line(self.elapsed, Code.EXIT, str(status)), 1)

    def died(self, signal: str) -> None:
        """Record the signal that ended it, named as in RFC 4254, section 6.10: without SIG."""
        self._check()
        self.exit_signal = storable(signal)[:LONGEST_SIGNAL]
        self._write(event_line(self.elapsed, Code.EXIT, f"SIG{self.exit_signal}"), 1)

    def end(self, reason: EndReason) -> None:
        """Say why the session ends. The first reason stays."""
        self.reason = self.reason or reason

    def claim_end(self) -> bool:
        """True for the first who asks: that one closes. From now on nothing is recorded."""
        claimed, self._claimed = self._claimed, True
        return not claimed

    def close(self) -> None:
        """Write the last lines and sync both files. For the archive. Raises RecordingFailed."""
        self._claimed = True
        try:
            self._track.end(self.elapsed)
            self._track_pen.sync()
            self._sum_up_all()
            if self._unlisted:
                self._note(Word.UNLISTED, {"count": self._unlisted})
            self._note(Word.ENDED, self._totals())
            self._cast.sync()
        finally:
            self._track_pen.close()
            self._cast.close()

    def discard(self) -> None:
        """Remove both files: the session did not begin."""
        self._track_pen.discard()
        self._cast.discard()

    def failed(self) -> None:
        """Let the reason be that recording failed, whatever was said before."""
        self.reason = EndReason.RECORDING_FAILED

    def ending(self, at: datetime) -> Ending:
        """How the session ended, for the index."""
        return Ending(
            reason=self.reason or EndReason.CLOSED,
            at=at,
            exit_status=self.exit_status,
            exit_signal=self.exit_signal,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
        )

    def stored(self, directory: Path) -> Stored:
        """The file, as the index keeps it; its path is relative to `directory`."""
        path = str(self.path.relative_to(directory))
        return Stored(path, self._cast.sha256, self._cast.size, self.events)

    def _check(self) -> None:
        if self._claimed:
            raise RecordingFailed(f"the recording of {self.name} is closed")
        self._cast.check()
        self._track_pen.check()

    def _write(self, lines: bytes, events: int) -> None:
        self._cast.write(lines)
        self.events += events

    def _note(self, word: Word, facts: dict[str, object]) -> None:
        self._write(event_line(self.elapsed, Code.NOTE, Note(word, facts).label()), 1)

    def _keep(self, lines: list[bytes]) -> bool:
        """Write what the limit has room for; the first time it has not, say so."""
        whole = lines[0] if len(lines) == 1 else b"".join(lines)
        if self._cast.size + len(whole) <= self._limit:
            self._write(whole, len(lines))
            return True
        self._full = True
        self._note(Word.LIMIT, {"limit": self._limit})
        return False

    def _room_for_file(self, length: int) -> bool:
        if self._unlisted:
            return False
        if self._cast.size + length > self._limit:
            self._beyond += length
        return self._beyond <= FILES_BEYOND

    def _leave_out(self, time: float) -> None:
        self._unlisted += 1
        if self._unlisted == 1 or time - self._unlisted_at >= UNLISTED_EVERY:
            self._unlisted_at = time
            self._note(Word.UNLISTED, {"count": self._unlisted})

    def _measure(self, time: float, stream: Stream, data: Data) -> None:
        if self._rests[stream].add(time, data):
            self._sum_up(stream)

    def _sum_up(self, stream: Stream) -> None:
        rest = self._rests[stream]
        facts: dict[str, object] = {
            "stream": stream.value,
            "bytes": rest.length,
            "sha256": rest.sha256.hex(),
        }
        self._note(Word.DROPPED, facts)
        rest.said(self.elapsed)

    def _sum_up_all(self) -> None:
        for stream, rest in self._rests.items():
            if rest.length:
                self._sum_up(stream)

    def _totals(self) -> dict[str, object]:
        return {
            "reason": (self.reason or EndReason.CLOSED).value,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "sent": {"size": self._track_pen.size, "sha256": self._track_pen.sha256},
        }
