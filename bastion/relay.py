"""One session channel, both ways: record, then forward.

The client's channel ends here (`Relay`), and so does the one at the target (`FarSide`). What
comes in on the one is recorded and goes out on the other by its course (`courses`), in the order
in which it came, with its signals, its half-closes, its exit status and its back pressure. If the
pen breaks, the door closes.

A relay begins when the client asks for a start; `attend` then goes through door 3, connects,
opens the recording and comes back with `carry`, or with `refuse`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR

from bastion.courses import Course, Filed, Machine, Plain
from bastion.environment import permitted
from bastion.errors import Unavailable
from bastion.farside import FarSide
from bastion.policy import Ask, Mode
from bastion.starting import Starting
from bastion.upstream import Upstream
from bastion.wire.channels import SessionChannel, Start, Terminal, UpstreamChannel
from bastion.wire.packets import Turn
from recorder import EndReason, Recording, RecordingFailed, Size, Stream

log = logging.getLogger(__name__)

REFUSED = 254
"""The exit status of a run that was refused."""

CUT = 255
"""The exit status of a run that was ended before its time."""

GRACE = 0.5
"""Seconds that a client gets to take the last line, and a target to close."""

PATIENCE = 2.0
"""Seconds that a target gets to say how it ended, when the client has closed."""

_UNRECORDED = b"\r\nbastion: this session can't be recorded any more, so it is over.\r\n"
"""The one line that is shown and not recorded."""

Attend = Callable[["Relay", Ask], Coroutine[object, object, None]]


class Relay(Starting):
    """The client's side of one session channel.

    `attend` is awaited, as a task of the connection, for the one start request. One that is
    `prompted` carries a line of the guided prompt.
    """

    def __init__(self, attend: Attend, turn: Turn, *, prompted: bool = False):
        super().__init__()
        self.prompted = prompted
        self._attend = attend
        self._turn = turn
        self._answered = False
        self._held = False
        self._full = False
        self._far: FarSide | None = None
        self._recording: Recording | None = None
        self._course: Course = Plain(self)
        self._greeting: Sequence[str] = ()
        self._from_client: list[bytes] = []
        self._client_gone = False
        self._ended = False
        self._exit_passed = False
        self._over = asyncio.Event()
        self.was_cut = False

    # How it goes on: refused, or carried

    async def started(self, ask: Ask) -> None:
        """From the start request to the end of the session."""
        await self._attend(self, ask)

    def refuse(self, sentence: str) -> None:
        """Say why not, where the person hears it, and end the channel."""
        if self._ended:
            return
        self._chan.answer(True)
        self._tell(sentence)
        self._ended = True
        self._leave(REFUSED)

    @property
    def gone(self) -> bool:
        """Whether the client has left before anything was opened for it."""
        return self._client_gone

    def hand_over(self, session: asyncssh.SSHServerSession[bytes]) -> SessionChannel:
        """The client's channel, which `session` hears from now on in this one's place."""
        self._ended = True
        self._chan.hand_over(session)
        return self._chan

    def opened(
        self, recording: Recording, greeting: Sequence[str], machine: Machine | None = None
    ) -> None:
        """The recording is there: from now on everything goes through it, files by `machine`."""
        self._recording = recording
        self._greeting = greeting
        if machine is not None:
            self._course = Filed(self, machine)

    async def carry(self, upstream: Upstream, mode: Mode, command: bytes) -> None:
        """Start `command` as `mode` has it at the target, and carry the session to its end.

        Returns when both sides are over; the recording then knows how it ended.
        """
        if self._ended:
            return
        self._far = far = FarSide(self, self._turn)
        try:
            channel = await upstream.start(far, self._start(mode, command))
        except Unavailable as error:
            self._far = None
            self._end(EndReason.LOST)
            self.refuse(str(error))
            return
        self._through(channel, far)
        try:
            await self._over.wait()
            if not self.was_cut:
                await far.gone(GRACE)
        finally:
            self._course.over("the session ended")

    def _start(self, mode: Mode, command: bytes) -> Start:
        if mode is Mode.SUBSYSTEM:
            return Start(mode.encode(), command, None, {})
        env = permitted(self._chan.get_environment_bytes())
        return Start(mode.encode(), None if mode is Mode.SHELL else command, self._terminal, env)

    def _through(self, channel: UpstreamChannel, far: FarSide) -> None:
        if self._over.is_set():
            channel.abort()
            return
        for line in self._greeting:
            self._tell(line)
        self._chan.answer(True)
        self._answered = True
        self._course.begin()
        self.pace()
        channel.begin_reading()

    # From the client to the target

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Keep what came until the end of the turn, so that it is one event and one write."""
        self._from_client.append(data)
        if len(self._from_client) == 1:
            self._turn.later(self._forward)

    def _forward(self) -> None:
        if not self._from_client:
            return
        data = self._from_client[0] if len(self._from_client) == 1 else b"".join(self._from_client)
        self._from_client.clear()
        if self._far is not None:
            self._course.sent(data)

    def eof_received(self) -> bool:
        """The client will send no more; it still listens."""
        self._forward()
        if self._far is not None:
            self._course.sent_eof()
        return True

    def signal_received(self, signal: str) -> None:
        """RFC 4254 section 6.9."""
        self._forward()
        if self._far is not None:
            self._far.send_signal(signal)

    def break_received(self, msec: int) -> bool:
        """RFC 4335."""
        self._forward()
        return self._far is not None and self._far.send_break(msec)

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """RFC 4254 section 6.7."""
        self._forward()
        if self._terminal is None:
            return
        size = (width, height, pixwidth, pixheight)
        self._terminal = Terminal(self._terminal.term, size, self._terminal.modes)
        if self._far is not None and self.keep(lambda r: r.resized(Size(width, height))):
            self._far.resize(size)

    def eow_received(self) -> None:
        """The client reads no more."""
        if self._far is not None:
            self._far.send_eow()

    def close_received(self) -> bool:
        """The client closes; ours waits until the target's exit status has been passed on."""
        self._forward()
        if self._far is None or self._ended:
            return False
        self._far.close()
        asyncio.get_running_loop().call_later(PATIENCE, self._let_go)
        return True

    def _let_go(self) -> None:
        """The target has not said how it ended: the client has waited long enough."""
        if not self._ended:
            self._ended = True
            self._chan.finish_close()
        self._over.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client's channel is gone."""
        if self._far is not None:
            self._forward()
            self._far.close()
        self._client_gone = self._ended = True
        self._over.set()

    def pause_writing(self) -> None:
        """The client takes no more for now."""
        self._full = True
        if self._far is not None:
            self._far.pause()
            self.pace()

    def resume_writing(self) -> None:
        """It takes more again."""
        self._full = False
        if self._far is not None:
            self._far.resume()
            self.pace()

    # From the target to the client

    def show(self, data: bytes, datatype: int | None) -> None:
        """What the target wrote."""
        self._course.shown(data, datatype)

    def far_eof(self) -> None:
        """The target will send no more."""
        if not self._ended:
            self._chan.write_eof()

    def far_exit(self, status: int) -> None:
        """The program has exited."""
        status = self._course.exit_status(status)
        if self.keep(lambda recording: recording.exited(status)) and not self._ended:
            self._exit_passed = True
            self._chan.send_exit_status(status)

    def far_signal(self, name: str, core: bool, message: str, lang: str) -> None:
        """The program was ended by a signal."""
        if self.keep(lambda recording: recording.died(name)) and not self._ended:
            self._exit_passed = True
            self._chan.send_exit_signal(name, core, message, lang)

    def far_xon_xoff(self, client_can_do: bool) -> None:
        """RFC 4254 section 6.8."""
        self._chan.set_xon_xoff(client_can_do)

    def far_eow(self) -> None:
        """The program reads no more."""
        if not self._ended:
            self._chan.send_eow()

    def far_lost(self, error: Exception | None) -> None:
        """The target's channel is gone: cleanly, or with its connection."""
        if not self._ended:
            if error is not None and not self._exit_passed:
                self._end(EndReason.LOST)
                self._tell("the connection to the target was lost.")
                self._chan.send_exit_status(CUT)
            self._ended = True
            self._chan.finish_close()
        self._over.set()

    # What the course of the bytes is told to do

    def to_target(self, data: bytes) -> None:
        """Pass on what the client sent."""
        if self._far is not None:
            self._far.write(data)

    def end_input(self) -> None:
        """Tell the target that no more will come."""
        if self._far is not None:
            self._far.write_eof()

    def say(self, sentence: str) -> None:
        """Let the person know."""
        if not self._ended:
            self._tell(sentence)

    def give_up(self, sentence: str) -> None:
        """End the session: one side does not speak as it should."""
        self.cut(EndReason.LOST, sentence)

    def pace(self) -> None:
        """Read from the client while the target, and what is on the way, take more.

        Where answers are made on the way, the client has to take them too.
        """
        held = self._course.holding or (self._full and self._course.answers)
        held = held or (self._far is not None and self._far.blocked)
        if held is self._held:
            return
        self._held = held
        if held:
            self._chan.pause_reading()
        else:
            with self._turn:
                self._chan.resume_reading()

    # How it ends before its time

    def warn(self, sentence: str) -> None:
        """Tell the person what is about to happen."""
        if not self._ended and self._recording is not None:
            self._tell(sentence)

    def cut(self, reason: EndReason, sentence: str) -> None:
        """End both sides now, with a last line; a client that does not take it is cut off."""
        if self._ended or self._recording is None:
            return
        self.was_cut = True
        self._end(reason)
        self._tell(sentence)
        self._ended = True
        if self._far is not None:
            self._far.abort()
        self._leave(CUT)
        self._over.set()

    def _leave(self, status: int) -> None:
        if not self._client_gone:
            self._chan.send_exit_status(status)
            self._chan.finish_close()
            asyncio.get_running_loop().call_later(GRACE, self._abandon)

    def _abandon(self) -> None:
        if not self._client_gone:
            self._chan.abort()

    def _tell(self, sentence: str) -> None:
        """Our lines go to the pty, or else to stderr; never to stdout. They are recorded first."""
        if self._far is not None:
            self._far.show_all()
        stream, datatype = self._aside()
        line = f"bastion: {sentence}\r\n" if self._terminal else f"bastion: {sentence}\n"
        if self._terminal and self._answered:
            line = f"\r\n{line}"
        if self._recording is None or self.keep(lambda r: r.said(line, stream)):
            self.to_client(line.encode(), datatype)

    def _aside(self) -> tuple[Stream, int | None]:
        """Where our own lines go."""
        return (Stream.OUT, None) if self._terminal else (Stream.ERR, EXTENDED_DATA_STDERR)

    def to_client(self, data: bytes, datatype: int | None) -> None:
        """Let the client see `data`."""
        if self._ended and self._recording is not None:
            return
        try:
            self._chan.write(data, datatype)
        except BrokenPipeError:
            return  # the client is closing: it has seen all that it will see

    def _end(self, reason: EndReason) -> None:
        if self._recording is not None:
            self._recording.end(reason)

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

    def _unrecorded(self, error: RecordingFailed) -> None:
        if self._ended:
            return
        self._ended = True
        log.error("%s: %s", self._recording and self._recording.name, error)
        self._end(EndReason.RECORDING_FAILED)
        if self._far is not None:
            self._far.abort()
        if not self._client_gone:
            self._chan.write(_UNRECORDED, self._aside()[1])
        self._leave(CUT)
        self._over.set()
