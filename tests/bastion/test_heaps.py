"""Heaps: threads share two, so that what each once took does not stay with it."""

import ctypes
import subprocess
import sys

import pytest

SHOWN = """
import ctypes, sys, threading
from bastion import heaps
if "shared" in sys.argv:
    assert heaps.share()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
barrier = threading.Barrier(12)
def work():
    libc.malloc(1000)
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
for each in threads: each.start()
for each in threads: each.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def heaps_of(*words: str) -> int:
    """How many there are when twelve threads have each asked for memory."""
    done = subprocess.run(
        [sys.executable, "-c", SHOWN, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="no glibc")
def test_threads_share_two() -> None:
    """Without that each has its own, up to eight for each core."""
    assert heaps_of("shared") == 2 < heaps_of()
