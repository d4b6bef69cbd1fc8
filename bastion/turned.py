"""Somebody who asked for a host that she was never told of, and hears so before any key is shown.

ssh would first ask her whether that host is authentic, and she could only answer wrongly. A
disconnect before the keys is told by the client in its own words, where it tells everything else.
"""

import asyncio

import asyncssh
from asyncssh.constants import DISC_HOST_NOT_ALLOWED_TO_CONNECT

from bastion.wire.connections import last_word

LINGER = 1.0
"""Seconds in which it can be read; what a client has not taken by then is dropped."""


class Turned(asyncssh.SSHTCPSession[bytes]):
    """A jump's channel on which nothing is said but `sentence`; what comes on it is dropped."""

    def __init__(self, sentence: str) -> None:
        self._said = last_word(f"bastion: {sentence}", DISC_HOST_NOT_ALLOWED_TO_CONNECT)
        self._chan: asyncssh.SSHTCPChannel[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        """The channel is open."""
        self._chan = chan

    def session_started(self) -> None:
        """The client listens."""
        if self._chan is not None:
            self._chan.write(self._said)
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._chan.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone; so is what was left to do."""
        self._chan = None
        if self._timer is not None:
            self._timer.cancel()
