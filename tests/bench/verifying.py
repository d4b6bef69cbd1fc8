"""How fast all recordings are verified: a few large ones, plain and compressed, many small ones.

The files are in memory already, as the disk is not what is measured; half of what the large ones
show is random, half is text.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from bastion.addresses import Endpoint
from bastion.app import Services, opened
from bastion.home import create
from bastion.sealing import judged_by
from recorder import Kind, SessionInfo
from recorder.rounds import Progress, Rounds
from tests.bench.figures import Row, above, known

GOAL = 300
LARGE = 8
"""Recordings, of 8 MB for each of the sizes that are asked for."""

_INFO = SessionInfo(1, "alice", 1, "web-1", "deploy", Kind.EXEC, "192.0.2.7", "true")
_TEXT = (b"drwxr-xr-x 2 root root 4096 Nov 23 09:00 \x1b[01;34mconf.d\x1b[0m\r\n" * 8000)[:500_000]


def measure(megabytes: int, small: int) -> list[Row]:
    """So many megabytes in all, and so many recordings of a few hundred bytes."""
    with _home() as services:
        asyncio.run(_record(services, LARGE, megabytes // LARGE))
        plain, plain_cpu = _megabytes_a_second(services)
        _compress(services)
        packed, packed_cpu = _megabytes_a_second(services)
    with _home() as services:
        asyncio.run(_record(services, small, 0))
        seconds, _ = _verified(services)
    return [
        above("recordings verified (verify --all)", "MB/s", plain, GOAL),
        known("the same in a second of processor time", "MB/s", plain_cpu),
        above("recordings verified, compressed with zstd", "MB/s", packed, GOAL),
        known("the same in a second of processor time", "MB/s", packed_cpu),
        known("small recordings verified a second", "/s", small / seconds),
    ]


async def _record(services: Services, count: int, megabytes: int) -> None:
    for _ in range(count):
        async with services.archive.record(_INFO) as recording:
            for _ in range(megabytes):
                recording.shown(os.urandom(375_000))  # as base64 these are 500 KB
                recording.shown(_TEXT)


def _compress(services: Services) -> None:
    for cast in services.settings.recordings(services.home).rglob("*.cast"):
        packed = zstandard.ZstdCompressor(level=3).compress(cast.read_bytes())
        cast.with_suffix(".cast.zst").write_bytes(packed)
        cast.unlink()


def _megabytes_a_second(services: Services) -> tuple[float, float]:
    """By the clock, and of processor time, which others on the machine have no part in."""
    before = time.process_time()
    seconds, hashed = _verified(services)
    return hashed / 1e6 / seconds, hashed / 1e6 / (time.process_time() - before)


def _verified(services: Services) -> tuple[float, int]:
    """How long it took, and how many bytes were hashed."""
    heard = [Progress("", 0, 0)]
    rounds = Rounds(
        services.inspection,
        services.index,
        services.seals,
        judged_by(services.authority.seal_keys),
        services.clock.now,
        begun=services.journal.sessions_begun,
        threads=len(os.sched_getaffinity(0)),
    )
    begun = time.perf_counter()
    found = list(rounds.findings(heard.append))
    assert not found, found[:3]
    return time.perf_counter() - begun, heard[-1].hashed


@contextmanager
def _home() -> Iterator[Services]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="bench-", dir=memory if memory.is_dir() else None) as place:
        listen = Endpoint("127.0.0.1", 61_022)  # where nobody listens
        made = create(Path(place) / "home", listen, ("bastion",), "machine", datetime.now(UTC))
        with opened(made.home) as services:
            yield services
