"""asyncssh's log, for those who do not read it: it puts the words together before it looks whether
anybody wants them, several times for each packet and each step of a handshake.

A mixin for its connections and channels, and the logger that it gives to both. What is a warning is
still heard.
"""

from asyncssh.logging import SSHLogger
from asyncssh.packet import SSHPacketLogger


class Listened(SSHLogger):
    """Asks first whether anybody listens. Its children do as well."""

    @classmethod
    def instead(cls, other: SSHLogger) -> SSHLogger:
        """One with the name and the context of another."""
        return cls(other._logger, context=other._context)

    def log(self, level: int, msg: object, *args: object, **how: object) -> None:
        """Log, where the level is one that is kept."""
        if self.isEnabledFor(level):
            super().log(level, msg, *args, **how)


class Quiet(SSHPacketLogger):
    """Tells no log of single packets."""

    def _log_packet(self, *_: object) -> None:
        """asyncssh's own needs debug level 3, which nothing here ever sets."""
