"""A client's channel whose session is recorded, and in which we may speak.

What is recorded goes through here; so do our own lines, which are recorded first. If the pen
breaks, the door closes.
"""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable

from asyncssh.constants import EXTENDED_DATA_STDERR

from bastion.starting import Starting
from recorder import EndReason, Recording, RecordingFailed, Stream

log = logging.getLogger(__name__)

REFUSED = 254
"""The exit status of a run that was refused: nothing was started."""

CUT = 255
"""The exit status of a run that was ended before its time."""

GRACE = 0.5
"""Seconds that a client gets to take the last line, and a target to close."""

_UNRECORDED = b"\r\nbastion: this session can't be recorded any more, so it is over.\r\n"
"""The one line that is shown and not recorded."""


class Spoken(Starting):
    """The client's side, up to and from its recording. `_answered` once something runs there."""

    def __init__(self) -> None:
        super().__init__()
        self._recording: Recording | None = None
        self._answered = False
        self._client_gone = False
        self._ended = False

    @abstractmethod
    def show_all(self) -> None:
        """Hand on what has come from the target, before a line of ours."""

    @abstractmethod
    def close_far(self) -> None:
        """End the target's side at once, and whatever waits for the end."""

    @property
    def gone(self) -> bool:
        """Whether the client has left before anything was opened for it."""
        return self._client_gone

    def refuse(self, sentence: str) -> None:
        """Say why not, where the person hears it, and end the channel."""
        if self._ended:
            return
        self._chan.answer(True)
        self.tell(sentence)
        self._ended = True
        self.leave(REFUSED)

    def say(self, sentence: str) -> None:
        """Let the person know."""
        if not self._ended:
            self.tell(sentence)

    def warn(self, sentence: str) -> None:
        """Tell the person what is about to happen."""
        if not self._ended and self._recording is not None:
            self.tell(sentence)

    def tell(self, sentence: str) -> None:
        """Our lines go to the pty, or else to stderr; never to stdout. They are recorded first."""
        self.show_all()
        stream, datatype = self._aside()
        line = f"bastion: {sentence}\r\n" if self._terminal else f"bastion: {sentence}\n"
        if self._terminal and self._answered:
            line = f"\r\n{line}"
        if self._recording is None or self.keep(lambda r: r.said(line, stream)):
            self.write(line.encode(), datatype)

    def write(self, data: bytes, datatype: int | None) -> None:
        """Let the client see `data`."""
        if self._ended and self._recording is not None:
            return
        try:
            self._chan.write(data, datatype)
        except BrokenPipeError:
            return  # the client is closing: it has seen all that it will see

    def keep(self, record: Callable[[Recording], None]) -> bool:
        """Record. False, and the end of the session, where that fails."""
        if self._recording is None:
            return False
        try:
            record(self._recording)
        except RecordingFailed as error:
            self._unrecorded(error)
            return False
        return True

    def end(self, reason: EndReason) -> None:
        """Let the recording know why it is over; the first reason stays."""
        if self._recording is not None:
            self._recording.end(reason)

    def leave(self, status: int) -> None:
        """Close the client's channel, with what it exits with; one that does not go is cut off."""
        if not self._client_gone:
            self._chan.send_exit_status(status)
            self._chan.finish_close()
            asyncio.get_running_loop().call_later(GRACE, self._abandon)

    def _abandon(self) -> None:
        if not self._client_gone:
            self._chan.abort()

    def _aside(self) -> tuple[Stream, int | None]:
        """Where our own lines go."""
        return (Stream.OUT, None) if self._terminal else (Stream.ERR, EXTENDED_DATA_STDERR)

    def _unrecorded(self, error: RecordingFailed) -> None:
        if self._ended:
            return
        self._ended = True
        log.error("%s: %s", self._recording and self._recording.name, error)
        self.end(EndReason.RECORDING_FAILED)
        if not self._client_gone:
            self._chan.write(_UNRECORDED, self._aside()[1])
        self.leave(CUT)
        self.close_far()
