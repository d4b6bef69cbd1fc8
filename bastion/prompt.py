"""The guided prompt: what a jump without a command begins where only commands are granted.

It is no shell, and says so. Each line is judged at door 3, run on a connection of its own and
recorded as a session of its own, by a relay like any other; `_LineChannel` stands between that and
the one channel that the client has.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR

from bastion.lines import INTERRUPT, Piped, Reader, Typed
from bastion.policy import Ask, Mode
from bastion.relay import Attend, Relay
from bastion.spoken import CUT
from bastion.wire.packets import Turn
from recorder import EndReason

HELP = frozenset({"help", "?"})
LEAVE = frozenset({"exit", "logout", "quit"})


class Prompt(asyncssh.SSHServerSession[bytes]):
    """Reads lines and runs them one after the other, until the client wants no more.

    `greeting` is said first and `granted`, the lines that may be run, after it and on `help`.
    `attend` carries one line, as it carries any start. Without a terminal lines are read from the
    client's input as they are, and nothing is said of what is asked for. `moved` is how many bytes
    went either way.
    """

    def __init__(
        self,
        relay: Relay,
        turn: Turn,
        attend: Attend,
        *,
        name: str,
        greeting: str,
        granted: Sequence[str],
    ):
        self._chan = relay.hand_over(self)
        self._terminal = relay.terminal is not None
        self._turn = turn
        self._attend = attend
        self._name = name
        self._greeting = greeting
        self._granted = granted
        self._reader: Reader = Typed(self._show) if self._terminal else Piped(self._chan)
        self._running: Relay | None = None
        self._over = False
        self._full = False
        self.moved = 0
        self.status = 0

    async def run(self) -> None:
        """From the first line to the last; then the channel closes."""
        self._chan.answer(True)
        self._tell(self._greeting)
        self._help()
        while (line := await self._next()) is not None:
            if line in HELP:
                self._help()
            elif line:
                await self._carry(line)
        if not self._over:
            self._over = True
            self._chan.send_exit_status(self.status)
            self._chan.finish_close()

    async def _next(self) -> str | None:
        """The next line, without blanks around it. None where there is none."""
        if self._terminal:
            self._show(f"{self._name}> ")
        line = await self._reader.line()
        return None if self._over or line in LEAVE else line

    async def _carry(self, line: str) -> None:
        relay = Relay(self._attend, self._turn, prompted=True)
        channel = _LineChannel(self, relay, terminal=self._terminal)
        relay.connection_made(cast("asyncssh.SSHServerChannel[bytes]", channel))
        self._running = relay
        if self._full:
            relay.pause_writing()
        try:
            await relay.attended(Ask(Mode.EXEC, line.encode("utf-8", "surrogateescape")))
        finally:
            self._running = None
        self.status = channel.status

    # What is said

    def _help(self) -> None:
        self._tell("what you may run here, each line by itself:")
        self._show("".join(f"  {line}\n" for line in self._granted))
        if any("{" in line for line in self._granted):
            self._tell("where braces stand, write a word of your choice that fits them.")
        if self._terminal:
            self._tell("help shows this again, exit ends.")

    def _tell(self, sentence: str) -> None:
        self._show(f"bastion: {sentence}\n")

    def _show(self, text: str) -> None:
        """Our own words: on a terminal, or else beside what the commands write."""
        data = text.replace("\n", "\r\n") if self._terminal else text
        self.write(data.encode(), None if self._terminal else EXTENDED_DATA_STDERR)

    def write(self, data: bytes, datatype: int | None) -> None:
        """Let the client see `data`."""
        if self._over:
            return
        self.moved += len(data)
        try:
            self._chan.write(data, datatype)
        except BrokenPipeError:
            return  # the client is closing

    # From the client

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """What is typed. While a line runs, ctrl-c ends it."""
        self.moved += len(data)
        if self._running is not None and self._terminal and INTERRUPT in data:
            self._interrupt()
        self._reader.data(data)

    def eof_received(self) -> bool:
        """The client types no more; what was typed is still run."""
        self._reader.end()
        return True

    def signal_received(self, signal: str) -> None:
        """Any signal ends the line that runs."""
        self._interrupt()

    def _interrupt(self) -> None:
        if self._running is not None:
            self._show("^C\n" if self._terminal else "")
            self._running.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._leave()

    def pause_writing(self) -> None:
        """The client takes no more for now."""
        self._full = True
        if self._running is not None:
            self._running.pause_writing()

    def resume_writing(self) -> None:
        """It takes more again."""
        self._full = False
        if self._running is not None:
            self._running.resume_writing()

    # How it ends before its time: as a session does, though it is none

    def warn(self, sentence: str) -> None:
        """Tell the person what is about to happen; the line that runs is told by itself."""
        if self._running is None:
            self._show("\n" if self._terminal else "")
            self._tell(sentence)

    def cut(self, reason: EndReason, sentence: str) -> None:
        """End it now, with a last line."""
        if self._over:
            return
        if self._running is not None:
            self._running.cut(reason, sentence)
        else:
            self._show("\n" if self._terminal else "")
            self._tell(sentence)
        self._chan.send_exit_status(CUT)
        self._leave()
        self._chan.finish_close()

    def _leave(self) -> None:
        self._over = True
        self._reader.end()
        if self._running is not None:
            self._running.connection_lost(None)


class _LineChannel:
    """What one line's relay takes for its client's channel. Its client sends nothing."""

    def __init__(self, prompt: Prompt, relay: Relay, *, terminal: bool) -> None:
        self._prompt = prompt
        self._relay = relay
        self._terminal = terminal
        self._returned = False
        self.status = 0

    def answer(self, started: bool) -> None:
        """It runs: there is no input for it."""
        asyncio.get_running_loop().call_soon(self._relay.eof_received)

    def get_environment_bytes(self) -> Mapping[bytes, bytes]:
        """None: the next line may be another program's."""
        return {}

    def write(self, data: bytes, datatype: int | None) -> None:
        """A program without a terminal ends its lines by LF, which a raw terminal does not."""
        if self._terminal:
            data, self._returned = _returning(data, after_return=self._returned)
            datatype = None
        self._prompt.write(data, datatype)

    def send_exit_status(self, status: int) -> None:
        """What the prompt exits with, if this is its last line."""
        self.status = status

    def send_exit_signal(self, name: str, core: bool, message: str, lang: str) -> None:
        """As a shell has it: no number of ours could say which."""
        self.status = CUT

    def write_eof(self) -> None:
        """The channel stays open for the next line."""

    def finish_close(self) -> None:
        """See `write_eof`."""

    def abort(self) -> None:
        """See `write_eof`."""

    def pause_reading(self) -> None:
        """Nothing is sent."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def send_eow(self) -> None:
        """See `pause_reading`."""

    def set_xon_xoff(self, client_can_do: bool) -> None:
        """See `pause_reading`."""


def _returning(data: bytes, *, after_return: bool) -> tuple[bytes, bool]:
    """Each LF as CR LF, but for those that have their CR; and whether `data` ends with a CR."""
    lead = b"\r" if after_return else b""
    whole = (lead + data).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return whole.removeprefix(lead) if after_return else whole, data.endswith(b"\r")
