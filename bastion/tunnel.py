"""One forward, both ways: measure and hash, then pass on (RFC 4254, section 7.2).

The client's channel ends here (`Tunnel`), and so does the one at the target (`_FarEnd`), which its
sshd has connected to where the forward leads. The bytes are opaque: the recording knows how many
went which way, and their SHA-256. There is no terminal to speak to, so nothing is said in it.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import cast

import asyncssh
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_CONNECT_FAILED

from bastion.errors import Unavailable
from bastion.standstill import Standstill
from bastion.upstream import Upstream
from bastion.wire.channels import TunnelChannel
from bastion.wire.packets import Turn
from recorder import EndReason, Recording, RecordingFailed

log = logging.getLogger(__name__)


class Tunnel(asyncssh.SSHTCPSession[bytes]):
    """The client's side of a forward to `to`.

    Whoever opens it calls `carry` or `refuse`; `answered` is what the client waits for.
    """

    def __init__(self, to: tuple[str, int], turn: Turn):
        self.to = to
        self.was_cut = False
        self._turn = turn
        self._far = _FarEnd(self, turn)
        self._chan: asyncssh.SSHTCPChannel[bytes] | None = None
        self._recording: Recording | None = None
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._still = Standstill()
        self._client_full = False
        self._target_full = False
        self._over = asyncio.Event()

    async def answered(self) -> "Tunnel":
        """Itself, when the target has connected. Raises ChannelOpenError, with why not."""
        try:
            await self._answer
        except asyncio.CancelledError:
            self.finish(EndReason.CLOSED)
            raise
        return self

    def refuse(self, sentence: str, code: int = OPEN_ADMINISTRATIVELY_PROHIBITED) -> None:
        """Say why not: the client shows it as the reason why the channel could not be opened."""
        self._finish()
        if not self._answer.done():
            self._answer.set_exception(asyncssh.ChannelOpenError(code, f"bastion: {sentence}"))

    def opened(self, recording: Recording) -> None:
        """The recording is there."""
        self._recording = recording

    async def watched(self, sentence: str) -> bool:
        """Begin frozen, and wait until somebody watches. False if it ended before that.

        `sentence` is for the recording alone: there is nowhere else to say it.
        """
        self._still.begin()
        self._note(sentence)
        await self._still.over()
        return not self._over.is_set()

    async def carry(self, upstream: Upstream, recording: Recording) -> None:
        """Have the target connect, and carry the forward to its end."""
        await self._still.over()
        if self._over.is_set():
            return
        try:
            await upstream.forward(self._far, self.to)
        except Unavailable as error:
            recording.end(EndReason.LOST)
            self.refuse(str(error), OPEN_CONNECT_FAILED)
            return
        if not self._answer.done():
            self._answer.set_result(None)
        try:
            await self._over.wait()
        finally:
            self._far.close()

    # From the client

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        """The client's channel is open: from now on what the target sent can be passed on."""
        self._chan = chan
        if self._over.is_set():
            chan.abort()
        self._pace()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Measure, then pass on."""
        if self._keep(lambda recording: recording.sent(data)):
            self._pass(partial(self._far.write, data))

    def eof_received(self) -> bool:
        """The client sends no more; it still listens."""
        if self._keep(lambda recording: recording.sent_eof()):
            self._pass(self._far.write_eof)
        return True

    def pause_writing(self) -> None:
        """The client takes no more for now."""
        self._client_full = True
        self._pace()

    def resume_writing(self) -> None:
        """It takes more again."""
        self._client_full = False
        self._pace()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client's channel is gone."""
        self._chan = None
        self.finish(EndReason.CLOSED)

    # From the target

    def show(self, data: bytes) -> None:
        """What came from the other end."""
        if self._keep(lambda recording: recording.shown(data)):
            self._pass(partial(self._write, data))

    def far_eof(self) -> None:
        """The other end sends no more."""
        self._pass(self._write_eof)

    def far_lost(self, error: Exception | None) -> None:
        """The other end is gone."""
        self.finish(EndReason.CLOSED if error is None else EndReason.LOST)
        if self._chan is not None:
            self._chan.close()

    def target_full(self, full: bool) -> None:
        """The target takes no more for now, or takes more again."""
        self._target_full = full
        self._pace()

    def _write(self, data: bytes) -> None:
        if self._chan is not None:
            try:
                self._chan.write(data)
            except BrokenPipeError:
                return  # the client is closing

    def _write_eof(self) -> None:
        if self._chan is not None:
            self._chan.write_eof()

    def _pass(self, act: Callable[[], None]) -> None:
        """Let it through, now or when it goes on."""
        if not self._still.put_off(act):
            act()

    def _pace(self) -> None:
        """Read from each side while the other takes more, and it is not frozen.

        Nothing is read from the target before the client's channel is open.
        """
        if self._chan is None:
            return
        self._far.read(not (self._still.frozen or self._client_full))
        if self._still.frozen or self._target_full:
            self._chan.pause_reading()
        else:
            with self._turn:
                self._chan.resume_reading()

    # While nobody watches

    def freeze(self, sentence: str) -> None:
        """Let nothing pass, either way, until `go_on`. It is said in the recording alone."""
        if not self._over.is_set():
            self._note(sentence)
            self._still.begin()
            self._pace()

    def go_on(self, sentence: str) -> None:
        """Somebody watches: it goes on, or begins."""
        if not self._over.is_set():
            self._note(sentence)
            self._still.end()
            self._pace()

    # How it ends

    def warn(self, sentence: str) -> None:
        """A forward has nowhere to say it."""

    def _note(self, sentence: str) -> None:
        self._keep(lambda recording: recording.said(f"bastion: {sentence}\n"))

    def cut(self, reason: EndReason, sentence: str) -> None:
        """End both sides now; the recording says why, and so does a client that waits still."""
        self.was_cut = True
        if not self._over.is_set():
            self._note(sentence)
        self.finish(reason)
        self.refuse(sentence)
        self._far.abort()
        if self._chan is not None:
            self._chan.abort()

    def finish(self, reason: EndReason) -> None:
        """It is over; the first reason stays."""
        if self._recording is not None:
            self._recording.end(reason)
        self._finish()

    def _finish(self) -> None:
        self._over.set()
        self._still.give_up()

    def _keep(self, record: Callable[[Recording], None]) -> bool:
        """Record. False, and the end of the forward, where that fails or it is over."""
        if self._recording is None or self._over.is_set():
            return False
        try:
            record(self._recording)
        except RecordingFailed as error:
            log.error("%s: %s", self._recording.name, error)
            self._finish()
            self.cut(EndReason.RECORDING_FAILED, "it can't be recorded any more.")
            return False
        return True


class _FarEnd(asyncssh.SSHTCPSession[bytes]):
    """The target's side. Nothing is read from it before the client's channel is open."""

    def __init__(self, near: Tunnel, turn: Turn):
        self._near = near
        self._turn = turn
        self._chan: TunnelChannel | None = None

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        self._chan = cast(TunnelChannel, chan)
        chan.pause_reading()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._near.show(data)

    def eof_received(self) -> bool:
        self._near.far_eof()
        return True

    def pause_writing(self) -> None:
        self._near.target_full(True)

    def resume_writing(self) -> None:
        self._near.target_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._chan = None
        self._near.far_lost(exc)

    def write(self, data: bytes) -> None:
        """Pass on what the client sent."""
        if self._chan is not None:
            try:
                self._chan.write(data)
            except BrokenPipeError:
                return  # the other end is closing

    def write_eof(self) -> None:
        """The client sends no more."""
        if self._chan is not None:
            self._chan.write_eof()

    def read(self, more: bool) -> None:
        """Read on, or no more for now."""
        if self._chan is not None and more:
            with self._turn:
                self._chan.resume_reading()
        elif self._chan is not None:
            self._chan.pause_reading()

    def close(self) -> None:
        """Close when what is queued has gone out."""
        if self._chan is not None:
            self._chan.close()

    def abort(self) -> None:
        """Close at once."""
        if self._chan is not None:
            self._chan.abort()
