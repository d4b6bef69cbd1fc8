"""Descriptors: how many files and sockets the process may have open, and whether that is enough.

One that has no more of them turns connections away and refuses sessions; those that are live go on.
"""

import logging
import resource
from typing import Final

log = logging.getLogger(__name__)

EACH: Final = 4
"""Of a connection with one session: two sockets, and the two files of its recording."""

BESIDE: Final = 200
"""What the process has beside them: the database, pipes, whoever looks at recordings."""


def take_all(connections: int) -> None:
    """As many as the system lets us have, from now on; the log hears where they are few for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    short = shortage(hard, connections)
    if short is not None:
        log.warning("%s", short)


def shortage(most: int, connections: int) -> str | None:
    """What is to be said where so many descriptors are few for so many connections."""
    enough = (most - BESIDE) // EACH
    if most == resource.RLIM_INFINITY or enough >= connections:
        return None
    return (
        f"this process may have {most} files open, enough for about {max(0, enough)} sessions, and "
        f"takes up to {connections} connections: raise the hard limit (LimitNOFILE= of systemd, "
        "ulimit -Hn), or lower [limits] connections"
    )
