"""How fast files go: one large, many small, and one operation after another; judged and hashed.

`scp` and `sftp` of OpenSSH speak SFTP by each way to the same sshd, `scp -O` its older protocol.
The time is that of the whole command, so it contains the connecting.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench import processes
from tests.bench.bulk import GOAL, GOAL_FORCED, MEGABYTE, SAME, Payload
from tests.bench.figures import Pair, Row, at_least, at_most, below, row, within
from tests.bench.stage import Stage, Way

OPERATIONS = 500
"""Directories that one sftp makes, and removes."""


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where one large file goes to and fro."""

    stage: Stage
    payload: Payload
    place: Path
    rounds: int


_PROGRAMS = {"scp": ("scp", "-q"), "scp -O": ("scp", "-O", "-q")}
_WAYS = {"down": True, "up": False}


def measure(stage: Stage, payload: Payload, rounds: int, small: int) -> list[Row]:
    """`small` is how many files of a kilobyte there are."""
    place = stage.place / "files"
    place.mkdir()
    place.chmod(0o777)
    tree = _tree(stage.place / "tree", small)
    scene = _Scene(stage, payload, place, rounds)
    rows = []
    for name, program in _PROGRAMS.items():
        for way, down in _WAYS.items():
            rows += _bulk(scene, f"by {name} {way}", program, down=down)
    for way, down in _WAYS.items():
        rows += _bulk(scene, f"by scp {way}{SAME}", _PROGRAMS["scp"], down=down, forced=True)
    many = [Pair(*(_small(stage, way, tree, place) for way in stage.ways)) for _ in range(rounds)]
    single = [Pair(*(_operations(stage, way, place) for way in stage.ways)) for _ in range(rounds)]
    return [
        *rows,
        at_most(f"{small} files of 1 KB by scp -r up", "s", many, 1.5),
        within("an operation of sftp", "ms", single, 2.0),
        _memory(scene),
    ]


def _bulk(
    scene: _Scene, name: str, program: tuple[str, ...], *, down: bool, forced: bool = False
) -> list[Row]:
    speeds, costs, whole = [], [], scene.payload.size
    for _ in range(scene.rounds):
        runs = [_large(scene, way, program, down=down, forced=forced) for way in scene.stage.ways]
        speeds.append(Pair(*(whole / MEGABYTE / run[0] for run in runs)))
        costs.append(Pair(*(run[1] * 1e9 / whole for run in runs)))
    size = whole // MEGABYTE
    return [
        at_least(f"{size} MB {name}", "MB/s", speeds, GOAL_FORCED if forced else GOAL),
        row(f"processor time in the middle, {name}", "s/GB", costs),
    ]


def _memory(scene: _Scene) -> Row:
    """What the bastion needs more while a file goes through it, whatever its size."""
    pid = scene.stage.bastion.pid
    before = processes.resident(pid)
    processes.forget_peak(pid)
    for down in _WAYS.values():
        _large(scene, scene.stage.by_bastion, _PROGRAMS["scp"], down=down)
    grown = (processes.peak(pid) - before) / MEGABYTE
    size = scene.payload.size // MEGABYTE
    return below(f"memory while {size} MB go by scp, above before", "MB", None, grown, 32)


def _tree(top: Path, count: int) -> Path:
    top.mkdir()
    for number in range(count):
        (top / f"{number:05}").write_bytes(bytes(1000))
    return top


def _large(
    scene: _Scene, way: Way, program: tuple[str, ...], *, down: bool, forced: bool = False
) -> tuple[float, float]:
    stage, payload, place = scene.stage, scene.payload, scene.place
    there = place / "large"
    words = (f"{way.target}:{payload.file}", str(stage.place / "came"))
    if not down:
        words = (str(payload.file), f"{way.target}:{there}")
    stage.settle()
    with stage.metered(way) as meter:
        begun = time.perf_counter()
        stage.run(way.files(*program, *words, forced=forced))
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
