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
from functools import partial

import asyncssh

from bastion.courses import Course, Filed, Machine, Plain
from bastion.environment import permitted
from bastion.errors import Unavailable
from bastion.farside import FarSide
from bastion.latch import Latch
from bastion.policy import Ask, Mode
from bastion.spoken import CUT, GRACE, REFUSED, Spoken
from bastion.standstill import Standstill
from bastion.upstream import Upstream
from bastion.wire.channels import SessionChannel, Start, Terminal, UpstreamChannel
from bastion.wire.packets import Turn
from recorder import EndReason, Recording, Size

log = logging.getLogger(__name__)

INTERRUPTED = 130
"""The exit status of one that nobody waited for any more, as a shell has it."""

PATIENCE = 2.0
"""Seconds that a target gets to say how it ended, when the client has closed."""

_INTERRUPT = b"\x03"

Attend = Callable[["Relay", Ask], Coroutine[object, object, None]]


class Relay(Spoken):
    """The client's side of one session channel.

    `attend` is awaited, as a task of the connection, for the one start request. One that is
    `prompted` carries a line of the guided prompt.
    """

    def __init__(self, attend: Attend, turn: Turn, *, prompted: bool = False):
        super().__init__()
        self.prompted = prompted
        self._attend = attend
        self._turn = turn
        self._held = False
        self._full = False
        self._far: FarSide | None = None
        self._course: Course = Plain(self)
        self._greeting: Sequence[str] = ()
        self._from_client: list[bytes] = []
        self._attending = False
        self._input_ended = False
        self._exit_passed = False
        self._still = Standstill()
        self._over = Latch()
        self.was_cut = False

    # How it goes on: refused, or carried

    async def started(self, ask: Ask) -> None:
        """From the start request to the end of the session."""
        await self._attend(self, ask)

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

    async def watched(self, sentence: str) -> bool:
        """Begin frozen, and wait until somebody watches; `sentence` says so. False if it ended.

        What is typed meanwhile goes nowhere, and ctrl-c ends it; what is piped waits at the client.
        """
        self._still.begin()
        self.tell(sentence)
        if self._terminal is not None:
            self._attending = True
            self._chan.answer(True)  # or nothing would be read from the terminal
        await self._still.over()
        return not self._ended

    async def carry(self, upstream: Upstream, mode: Mode, command: bytes) -> None:
        """Start `command` as `mode` has it at the target, and carry the session to its end.

        Returns when both sides are over; the recording then knows how it ended.
        """
        await self._still.over()
        if self._ended:
            return
        self._far = far = FarSide(self, self._turn)
        try:
            channel = await upstream.start(far, self._start(mode, command))
        except Unavailable as error:
            self._far = None
            self.end(EndReason.LOST)
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
            self.tell(line)
        self._attending, self._answered = False, True
        self._chan.answer(True)
        self._course.begin()
        if self._input_ended:
            self.eof_received()
        self.pace()
        channel.begin_reading()

    # From the client to the target

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Keep what came until the end of the turn, so that it is one event and one write.

        What is typed before anything runs is for nobody.
        """
        if not self._answered:
            self._typed_ahead(data)
            return
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

    def _typed_ahead(self, data: bytes) -> None:
        if _INTERRUPT in data:
            self._give_up_waiting()

    def _give_up_waiting(self) -> None:
        if self._attending and not self._ended:
            self._attending, self._ended = False, True
            self.leave(INTERRUPTED)
            self._finish()

    def eof_received(self) -> bool:
        """The client will send no more; it still listens."""
        self._forward()
        if not self._answered:
            self._input_ended = True
        elif not self._still.put_off(self._course.sent_eof, "eof"):
            self._course.sent_eof()
        return True

    def signal_received(self, signal: str) -> None:
        """RFC 4254 section 6.9. Nothing passes while it is frozen, not even this."""
        self._forward()
        if not self._answered:
            self._give_up_waiting()
        elif self._far is not None and not self._still.frozen:
            self._far.send_signal(signal)

    def break_received(self, msec: int) -> bool:
        """RFC 4335."""
        self._forward()
        return self._far is not None and not self._still.frozen and self._far.send_break(msec)

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """RFC 4254 section 6.7."""
        self._forward()
        if self._terminal is None:
            return
        size = (width, height, pixwidth, pixheight)
        self._terminal = Terminal(self._terminal.term, size, self._terminal.modes)
        if self._far is not None and self.keep(lambda r: r.resized(Size(width, height))):
            resize = partial(self._far.resize, size)
            if not self._still.put_off(resize, "size"):
                resize()

    def eow_received(self) -> None:
        """The client reads no more."""
        if self._far is not None and not self._still.put_off(self._far.send_eow, "eow"):
            self._far.send_eow()

    def close_received(self) -> bool:
        """The client closes; ours waits until the target's exit status has been passed on."""
        self._forward()
        if self._ended or (self._far is None and self._recording is None):
            return False
        if self._far is None:  # it has waited long enough for somebody who watches
            self._ended = True
            self._finish()
            asyncio.get_running_loop().call_soon(self._chan.finish_close)
            return True
        self._far.close()
        asyncio.get_running_loop().call_later(PATIENCE, self._let_go)
        return True

    def _let_go(self) -> None:
        """The target has not said how it ended: the client has waited long enough."""
        if not self._ended:
            self._ended = True
            self._chan.finish_close()
        self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client's channel is gone."""
        if self._far is not None:
            self._forward()
            self._far.close()
        self._client_gone = self._ended = True
        self._finish()

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
                self.end(EndReason.LOST)
                self.tell("the connection to the target was lost.")
                self._chan.send_exit_status(CUT)
            self._ended = True
            self._chan.finish_close()
        self._finish()

    # What the course of the bytes is told to do

    def to_target(self, data: bytes) -> None:
        """Pass on what the client sent."""
        if self._far is not None and not self._still.put_off(partial(self._far.write, data)):
            self._far.write(data)

    def end_input(self) -> None:
        """Tell the target that no more will come."""
        if self._far is not None and not self._still.put_off(self._far.write_eof):
            self._far.write_eof()

    def to_client(self, data: bytes, datatype: int | None) -> None:
        """Let the client see `data`."""
        if not self._still.put_off(partial(self.write, data, datatype)):
            self.write(data, datatype)

    def give_up(self, sentence: str) -> None:
        """End the session: one side does not speak as it should."""
        self.cut(EndReason.LOST, sentence)

    def pace(self) -> None:
        """Read from the client while the target, and what is on the way, take more.

        Where answers are made on the way, the client has to take them too.
        """
        if not self._answered:
            return  # nothing is read yet but what is typed while one waits
        held = self._still.frozen or self._course.holding or (self._full and self._course.answers)
        held = held or (self._far is not None and self._far.blocked)
        if held is self._held:
            return
        self._held = held
        if held:
            self._chan.pause_reading()
        else:
            with self._turn:
                self._chan.resume_reading()

    # While nobody watches

    def freeze(self, sentence: str) -> None:
        """Let nothing pass, either way, until `go_on`; what is read stays with who sends it."""
        if self._ended:
            return
        self.tell(sentence)
        self._still.begin()
        if self._far is not None:
            self._far.freeze()
        self.pace()

    def go_on(self, sentence: str) -> None:
        """Somebody watches: it goes on, or begins."""
        if self._ended:
            return
        self.tell(sentence)
        self._still.end()
        if self._far is not None:
            self._far.go_on()
        self.pace()

    # How it ends before its time

    def cut(self, reason: EndReason, sentence: str) -> None:
        """End both sides now, with a last line; a client that does not take it is cut off."""
        if self._ended or self._recording is None:
            return
        self.was_cut, self._attending = True, False
        self.end(reason)
        if self._far is None:
            self._chan.answer(True)
        self.tell(sentence)
        self._ended = True
        self.leave(REFUSED if self._far is None else CUT)
        self.close_far()

    def show_all(self) -> None:
        """Hand on what has come from the target."""
        if self._far is not None:
            self._far.show_all()

    def close_far(self) -> None:
        """End the target's side at once; nothing is carried any more."""
        if self._far is not None:
            self._far.abort()
        self._finish()

    def _finish(self) -> None:
        self._over.set()
        self._still.give_up()
