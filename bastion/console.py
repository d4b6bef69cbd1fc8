"""A session channel on the outer connection: one verb of the control plane, and its answer.

It carries the words in and the output out, and what is typed at a terminal; it knows no verb.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR

from bastion import words
from bastion.control import Control
from bastion.conversation import Conversation, Question, Setting
from bastion.errors import BastionError
from bastion.keystrokes import Keystrokes, Line, State
from bastion.policy import Identity
from bastion.wire.channels import SessionChannel
from bastion.wire.connections import ServerConnection
from bastion.workers import Place, Workers

log = logging.getLogger(__name__)

LONGEST_LINE = 8192
"""Bytes of a command line of the control plane."""

SLICE = 256 * 1024
"""Bytes that are written before others get their turn."""

PULSE = 1.0
"""Seconds between an answer of a client and the next time that it is asked."""

INTERRUPTED = 130
"""The exit status after ctrl-c, as a shell has it."""

_INTERRUPTS = ("INT", "TERM", "HUP")
"""Signals (RFC 4254 section 6.9) that are as good as ctrl-c."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: how long an answer is waited for, and a reader who takes nothing at all."""

    answer: float = 300.0
    reader: float = 60.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Verbs:
    """What runs a verb. `still` says who somebody is by now, or None for nobody; it blocks."""

    control: Control
    workers: Workers
    still: Callable[[Identity], Identity | None]
    patience: Patience = PATIENCE


class Console(asyncssh.SSHServerSession[bytes]):
    """One verb for `identity`, and its answer."""

    _chan: SessionChannel
    _conversation: Conversation

    def __init__(self, verbs: Verbs, identity: Identity):
        self._verbs = verbs
        self._identity = identity
        self._terminal: str | None = None
        self._width = 80
        self._begun = False
        self._gone = False
        self._full = False
        self._asking = False
        self._stall: asyncio.TimerHandle | None = None
        self._moved = asyncio.Event()
        self._keystrokes = Keystrokes()
        self._asked: tuple[Question, Line] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open. Writing is to pause as soon as the client's window is full."""
        self._chan = cast(SessionChannel, chan)
        self._chan.set_write_buffer_limits(0, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """The person has left."""
        self._leave()

    # What the client asks for

    def pty_requested(self, term_type: str, term_size: tuple[int, ...], term_modes: object) -> bool:
        """A terminal gets colours, tables and questions."""
        if self._begun:
            return False
        self._terminal, self._width = term_type, term_size[0]
        return True

    def shell_requested(self) -> bool:
        """`ssh bastion` alone: who am I, what can I do next."""
        return self._begin("")

    def exec_requested(self, command: str) -> bool:
        """`ssh bastion VERB…`. The client has joined its words with blanks."""
        return self._begin(command)

    def subsystem_requested(self, subsystem: str) -> bool:
        """There is no file transfer with the bastion itself."""
        return False

    def _begin(self, line: str) -> bool:
        if self._begun:
            return False
        self._begun = True
        colour = self._terminal not in (None, "", "dumb")
        patience = self._verbs.patience.answer
        setting = Setting(line, self._terminal is not None, colour, patience)
        self._conversation = Conversation(setting, self._width, self._wake())
        self._conversation.held(self._full)
        self._chan.get_connection().create_task(self._answer(line))
        return True

    def _wake(self) -> Callable[[], None]:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has ended, and everything with it
                loop.call_soon_threadsafe(self._attend)

        return wake

    # The verb

    async def _answer(self, line: str) -> None:
        status = await self._status(line)
        self._attend()
        while not self._gone and (self._full or self._conversation.unsent):
            self._moved.clear()
            await self._moved.wait()
        if not self._gone:
            self._chan.exit(status)

    async def _status(self, line: str) -> int:
        said = self._conversation
        try:
            size = len(line.encode())
        except UnicodeEncodeError:
            said.remark("what you typed is not UTF-8 text.")
            return 2
        if size > LONGEST_LINE:
            said.remark(f"at most {LONGEST_LINE} bytes are read.")
            return 2
        split = words.split(line)

        def act(place: Place) -> int:
            return self._act(split, place)

        try:
            return await self._verbs.workers.run(self._identity.user.name, act, said.leave)
        except BastionError as error:
            said.remark(str(error))
        except Exception:
            log.exception("the verb %r failed", split[:1])
            said.remark("something went wrong; it has been logged.")
        return 1

    def _act(self, split: Sequence[str], place: Place) -> int:
        """Run the verb, in a thread. Nothing that ends a process may come out of it."""
        said = self._conversation
        said.begin(place)
        if said.gone():  # while it had to wait for its turn
            return INTERRUPTED
        try:
            identity = self._verbs.still(self._identity)
            if identity is None:
                said.err("bastion: your account is closed.\n")
                return 1
            return self._verbs.control.run(identity, split, said)
        except BrokenPipeError:
            return 1
        except (KeyboardInterrupt, SystemExit):
            return INTERRUPTED

    # Out: as fast as the client reads

    def _attend(self) -> None:
        """See what the verb has said, and what it asks."""
        self._conversation.attended()
        self._see_question()
        self._hand_keys()
        self._ask_client()
        written = 0
        while not (self._full or self._gone) and (piece := self._conversation.take()):
            self._write(*piece)
            written += len(piece[0])
            if written >= SLICE:
                asyncio.get_running_loop().call_soon(self._attend)
                break
        self._moved.set()

    def _ask_client(self) -> None:
        if self._conversation.asks and not (self._asking or self._gone):
            self._asking = True
            self._chan.get_connection().create_task(self._pulse())

    async def _pulse(self) -> None:
        """Ask the client again and again whether it is there. One that is not, does not answer."""
        connection = cast(ServerConnection, self._chan.get_connection())
        while not self._gone:
            await connection.answer()
            self._conversation.answered()
            await asyncio.sleep(PULSE)

    def _write(self, data: bytes, aside: bool) -> None:
        try:
            self._chan.write(data, EXTENDED_DATA_STDERR if aside else None)
        except BrokenPipeError:
            self._leave()

    def _leave(self) -> None:
        """Nobody is there any more: the verb hears of it where it speaks or waits."""
        self._gone = True
        self._settle()
        if self._begun:
            self._conversation.leave()

    def pause_writing(self) -> None:
        """The client takes no more for now; for how long is watched."""
        self._hold(True)
        self._settle()
        self._watch()

    def resume_writing(self) -> None:
        """It takes more again."""
        self._hold(False)
        self._settle()
        if self._begun:
            self._attend()

    def _hold(self, full: bool) -> None:
        self._full = full
        if self._begun:
            self._conversation.held(full)

    def eow_received(self) -> None:
        """The program that read the answer has ended, as `head` does."""
        if self._begun:
            self._conversation.leave()

    def _watch(self) -> None:
        seconds = self._verbs.patience.reader
        loop, unsent = asyncio.get_running_loop(), self._chan.get_write_buffer_size()
        self._stall = loop.call_later(seconds, self._look_after, unsent)

    def _settle(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._moved.set()

    def _look_after(self, unsent: int) -> None:
        """End what nobody reads."""
        if self._chan.get_write_buffer_size() < unsent:
            self._watch()
            return
        who, seconds = self._identity.user.name, self._verbs.patience.reader
        log.warning("%s has read nothing of an answer for %d s; it is ended", who, seconds)
        self._chan.abort()
        self._leave()

    # In: what is typed at a terminal

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """RFC 4254 section 6.7."""
        self._width = width
        if self._begun:
            self._conversation.resized(width)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """What is typed is for questions; without a terminal nothing is asked."""
        if self._terminal is None:
            return
        shown = self._keystrokes.typed(data)
        if self._begun:
            self._typed(shown)

    def eof_received(self) -> bool:
        """The person types no more, and still listens."""
        self._keystrokes.end()
        if self._begun:
            self._typed("")
        return True

    def signal_received(self, signal: str) -> None:
        """RFC 4254 section 6.9."""
        if self._begun and signal in _INTERRUPTS:
            self._conversation.interrupt()
            self._attend()

    def _typed(self, shown: str) -> None:
        if self._keystrokes.interrupted():
            self._conversation.interrupt()
            shown = "^C\n"
        self._conversation.echo(shown)
        self._attend()

    def _hand_keys(self) -> None:
        """Where keys are wanted, whatever was typed and is part of no line."""
        if self._conversation.listening and (keys := self._keystrokes.ahead()):
            self._conversation.press(keys)

    def _see_question(self) -> None:
        """Open a line for a new question, close one that is withdrawn, give back what is there."""
        question = self._conversation.question
        if self._asked is not None and self._asked[0] is not question:
            self._keystrokes.withdraw()
            self._asked = None
        if self._asked is None and question is not None and not question.answered:
            line, shown = self._keystrokes.ask()
            self._asked = question, line
            self._conversation.echo(shown)
        if self._asked is not None and self._asked[1].state is not State.OPEN:
            question, line = self._asked
            text = line.text if line.state is State.ENTERED else None
            self._conversation.answer(question, text)
