"""How fast files go: one large, many small, and one operation after another; judged and hashed.

`scp` and `sftp` of OpenSSH speak SFTP by each way to the same sshd. The time is that of the whole
command, so it contains the connecting.
"""

import shutil
import subprocess
import time
from pathlib import Path

from tests.bench.bulk import MEGABYTE, Payload
from tests.bench.figures import Pair, Row, at_least, at_most, row, within
from tests.bench.stage import Stage, Way

OPERATIONS = 500
"""Directories that one sftp makes, and removes."""


def measure(stage: Stage, payload: Payload, rounds: int, small: int) -> list[Row]:
    """`small` is how many files of a kilobyte there are."""
    place = stage.place / "files"
    place.mkdir()
    place.chmod(0o777)
    tree = _tree(stage.place / "tree", small)
    speeds: dict[bool, list[Pair]] = {True: [], False: []}
    costs: dict[bool, list[Pair]] = {True: [], False: []}
    for _ in range(rounds):
        for down in (True, False):
            runs = [_large(stage, way, payload, place, down=down) for way in stage.ways]
            speeds[down].append(Pair(*(payload.size / MEGABYTE / run[0] for run in runs)))
            costs[down].append(Pair(*(run[1] * 1e9 / payload.size for run in runs)))
    many = [Pair(*(_small(stage, way, tree, place) for way in stage.ways)) for _ in range(rounds)]
    single = [Pair(*(_operations(stage, way, place) for way in stage.ways)) for _ in range(rounds)]
    size = payload.size // MEGABYTE
    return [
        at_least(f"{size} MB by scp down", "MB/s", speeds[True], 0.6),
        at_least(f"{size} MB by scp up", "MB/s", speeds[False], 0.6),
        row("processor time in the middle, scp down", "s/GB", costs[True]),
        row("processor time in the middle, scp up", "s/GB", costs[False]),
        at_most(f"{small} files of 1 KB by scp -r up", "s", many, 1.5),
        within("an operation of sftp", "ms", single, 2.0),
    ]


def _tree(top: Path, count: int) -> Path:
    top.mkdir()
    for number in range(count):
        (top / f"{number:05}").write_bytes(bytes(1000))
    return top


def _large(
    stage: Stage, way: Way, payload: Payload, place: Path, *, down: bool
) -> tuple[float, float]:
    there = place / "large"
    words = (f"{way.target}:{payload.file}", str(stage.place / "came"))
    if not down:
        words = (str(payload.file), f"{way.target}:{there}")
    stage.settle()
    with stage.metered(way) as meter:
        begun = time.perf_counter()
        stage.run(way.files("scp", "-q", *words))
        seconds = time.perf_counter() - begun
        stage.settle()
    came = stage.place / "came" if down else there
    if came.stat().st_size != payload.size:
        raise RuntimeError(f"{came.stat().st_size} bytes came instead of {payload.size}")
    came.unlink()
    stage.forget()
    return seconds, meter.seconds


def _small(stage: Stage, way: Way, tree: Path, place: Path) -> float:
    begun = time.perf_counter()
    stage.run(way.files("scp", "-qr", str(tree), f"{way.target}:{place}"), 300)
    seconds = time.perf_counter() - begun
    stage.settle()
    shutil.rmtree(place / tree.name)
    stage.forget()
    return seconds


def _operations(stage: Stage, way: Way, place: Path) -> float:
    """Milliseconds for one, the connecting taken off."""
    lines = "".join(f"mkdir {place}/d{n}\nrmdir {place}/d{n}\n" for n in range(OPERATIONS))
    return (_batch(stage, way, lines) - _batch(stage, way, "pwd\n")) / (2 * OPERATIONS) * 1000


def _batch(stage: Stage, way: Way, lines: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        way.files("sftp", "-q", "-b", "-", way.target),
        input=lines.encode(),
        env=stage.contractor.env,
        capture_output=True,
        check=True,
        timeout=120,
    )
    return time.perf_counter() - begun
