"""A session channel on the outer connection: one verb of the control plane, and its answer.

It carries the words in and the output out; it knows no verb.
"""

import asyncio
import logging
import shlex
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from typing import cast

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR

from bastion.control import Control, Voice
from bastion.policy import Identity
from bastion.wire.channels import SessionChannel

log = logging.getLogger(__name__)

LONGEST_LINE = 8192
"""Bytes of a command line of the control plane."""


class Console(asyncssh.SSHServerSession[bytes]):
    """One verb, and its answer.

    `admitted` says, when the verb is run, who the person is by now, or None for nobody; it blocks.
    """

    _chan: SessionChannel

    def __init__(self, control: Control, verbs: Executor, admitted: Callable[[], Identity | None]):
        self._control = control
        self._verbs = verbs
        self._admitted = admitted
        self._terminal = False
        self._width = 80
        self._begun = False
        self._gone = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._chan = cast(SessionChannel, chan)

    def connection_lost(self, exc: Exception | None) -> None:
        """The person has left; what the verb still says goes nowhere."""
        self._gone = True

    def eof_received(self) -> bool:
        """The person types no more, and still listens."""
        return True

    def pty_requested(self, term_type: str, term_size: tuple[int, ...], term_modes: object) -> bool:
        """A terminal gets colours and tables."""
        self._terminal = True
        self._width = min(max(term_size[0], 40), 500)
        return True

    def shell_requested(self) -> bool:
        """`ssh bastion` alone: who am I, what can I do next."""
        return self._begin([])

    def exec_requested(self, command: str) -> bool:
        """`ssh bastion VERB…`. The client has joined its words with blanks; quotes are kept."""
        if len(command) > LONGEST_LINE:
            return self._begin(None)
        try:
            return self._begin(shlex.split(command))
        except ValueError:
            return self._begin(command.split())

    def subsystem_requested(self, subsystem: str) -> bool:
        """There is no file transfer with the bastion itself."""
        return False

    def _begin(self, words: Sequence[str] | None) -> bool:
        if self._begun:
            return False
        self._begun = True
        self._run(self._answer(words))
        return True

    def _run(self, work: Coroutine[object, object, None]) -> None:
        self._chan.get_connection().create_task(work)

    async def _answer(self, words: Sequence[str] | None) -> None:
        status = 1
        if words is None:
            self._say(f"bastion: at most {LONGEST_LINE} characters are read.\n", True)
        else:
            status = await self._verb(words)
        if not self._gone:
            self._chan.exit(status)

    async def _verb(self, words: Sequence[str]) -> int:
        loop = asyncio.get_running_loop()
        voice = Voice(
            out=lambda text: _from_thread(loop, lambda: self._say(text, False)),
            err=lambda text: _from_thread(loop, lambda: self._say(text, True)),
            terminal=self._terminal,
            width=self._width,
        )
        try:
            return await loop.run_in_executor(self._verbs, self._act, words, voice)
        except Exception:
            log.exception("the verb %r failed", list(words)[:1])
            self._say("bastion: something went wrong; it has been logged.\n", True)
            return 1

    def _act(self, words: Sequence[str], voice: Voice) -> int:
        identity = self._admitted()
        if identity is None:
            voice.err("bastion: your account is closed.\n")
            return 1
        return self._control.run(identity, words, voice)

    def _say(self, text: str, to_stderr: bool) -> None:
        if self._gone:
            return
        if self._terminal:
            text, to_stderr = text.replace("\n", "\r\n"), False
        datatype = EXTENDED_DATA_STDERR if to_stderr else None
        try:
            self._chan.write(text.encode(errors="replace"), datatype)
        except BrokenPipeError:
            self._gone = True


def _from_thread(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(act)
