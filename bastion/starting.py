"""What a client may ask for on a session channel before something is started there.

A terminal, and then one start (RFC 4254, sections 6.2 and 6.5). What is started, and whether, is
decided elsewhere and takes its time: the answer comes later.
"""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from typing import cast

import asyncssh

from bastion.environment import is_terminal_type
from bastion.policy import Ask, Mode
from bastion.wire.channels import SessionChannel, Terminal

log = logging.getLogger(__name__)


class Starting(asyncssh.SSHServerSession[bytes]):
    """A session channel up to its start."""

    _chan: SessionChannel

    def __init__(self) -> None:
        self._begun = False
        self._terminal: Terminal | None = None

    @property
    def terminal(self) -> Terminal | None:
        """The pty that the client has, if any."""
        return self._terminal

    @abstractmethod
    async def started(self, ask: Ask) -> None:
        """From the start request to the end of the session."""

    @abstractmethod
    def refuse(self, sentence: str) -> None:
        """Say why not, and end the channel."""

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._chan = cast(SessionChannel, chan)

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Mapping[int, int]
    ) -> bool:
        """Taken for now: whether there may be a terminal is judged, and refused, at the start."""
        if self._begun or not is_terminal_type(term_type):
            return False
        self._terminal = Terminal(term_type, term_size, dict(term_modes))
        return True

    def shell_requested(self) -> bool:
        """RFC 4254 section 6.5."""
        return self._begin(Mode.SHELL, b"")

    def exec_requested(self, command: str) -> bool:
        """RFC 4254 section 6.5; the command's bytes are as they came."""
        return self._begin(Mode.EXEC, command.encode("utf-8", "surrogateescape"))

    def subsystem_requested(self, subsystem: str) -> bool:
        """RFC 4254 section 6.5."""
        return self._begin(Mode.SUBSYSTEM, subsystem.encode())

    def _begin(self, mode: Mode, command: bytes) -> bool:
        """Begin the one start of this channel. None, asyncssh's word for "later", is returned."""
        if self._begun:
            return False
        self._begun = True
        ask = Ask(mode, command, self._terminal is not None)
        self._chan.get_connection().create_task(self.attended(ask))
        return None  # type: ignore[return-value]

    async def attended(self, ask: Ask) -> None:
        """From the start to the end, whatever goes wrong."""
        try:
            await self.started(ask)
        except Exception:
            log.exception("a session ended by an error of ours")
            self.refuse("something went wrong inside the bastion; it has been logged.")
