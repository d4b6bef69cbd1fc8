"""Heaps: from how many of them the C library gives memory to a process's threads.

glibc gives each thread one of its own, up to eight for each core, and keeps there what the thread
has given back. Work that wanders through a pool of threads, as ours does, so leaves in each of them
as much as it ever took at once. As Python lets one thread work at a time, little is won by that.
"""

import ctypes
from typing import Final

FEW: Final = 2
"""The first thread's, and one for all others."""

_ARENA_MAX: Final = -8
"""M_ARENA_MAX of glibc's malloc.h."""


def share() -> bool:
    """Have threads share these from now on; whether the C library knows of that."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False  # another C library has its own ways
    return bool(mallopt(_ARENA_MAX, FEW))
