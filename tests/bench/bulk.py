"""How fast much data goes through, each way, with everything recorded; and what that costs.

The client's own default algorithms are used; and then one cipher and one key exchange, forced on
both ways, since what a client takes by itself differs between them. The time is that of the whole
command, so it contains the connecting. After each run by way of the bastion its recording is looked
at: all of the data must be in there.
"""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Pair, Row, at_least, row
from tests.bench.stage import Stage, Way

MEGABYTE = 1_000_000
SAME = ", AES-GCM and curve25519 forced on both"
_WORDS = (
    "GET POST /api/v1/orders /var/log/app.log 200 404 500 error warning connection reset timeout "
    "user=alice user=bob id=4711 latency=12ms worker queue finished started \u2192 na\u00efve "
    '"quoted" C:\\path \x1b[32mok\x1b[0m retry=3 http://10.0.0.7:8080/health'
).split()


@dataclass(frozen=True, slots=True)
class Payload:
    """A file that both the contractor and the target can read."""

    name: str
    file: Path
    size: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one transfer took: wall clock, and processor time in the middle."""

    seconds: float
    processor: float


def payloads(place: Path, megabytes: int) -> list[Payload]:
    """Random bytes, and text such as a log has (colours, a few characters beyond ASCII)."""
    text = _text(4 * MEGABYTE)
    return [
        _written(place / "random", megabytes, lambda: os.urandom(MEGABYTE)),
        _written(place / "text", megabytes, lambda: text[:MEGABYTE]),
    ]


def _text(size: int) -> bytes:
    dice = random.Random(7)  # noqa: S311 the same text at every run, no secret
    lines: list[str] = []
    length = 0
    while length < size:
        lines.append(
            f"2026-11-23T18:00:00Z {' '.join(dice.choices(_WORDS, k=dice.randint(3, 16)))}"
        )
        length += len(lines[-1])
    return "\n".join(lines).encode()


def _written(file: Path, megabytes: int, piece: Callable[[], bytes]) -> Payload:
    """Writing it is what brings it into the page cache."""
    with file.open("wb") as out:
        for _ in range(megabytes):
            out.write(piece())
    file.chmod(0o644)
    return Payload(file.name, file, megabytes * MEGABYTE)


GOAL, GOAL_FORCED = 1.0, 0.8
"""How fast it has to be, ProxyJump's speed being 1."""


def measure(
    stage: Stage, payloads: list[Payload], rounds: int, *, forced: bool = False
) -> list[Row]:
    """Each payload down and up, `rounds` times by each way in turn."""
    kinds = [(payload, down) for down in (True, False) for payload in payloads]
    runs: dict[str, list[tuple[Run, Run]]] = {}
    for _ in range(rounds):
        for payload, down in kinds:
            name = f"{payload.name} {'down' if down else 'up'}{SAME if forced else ''}"
            pair = tuple(_carried(stage, way, payload, down, forced) for way in stage.ways)
            runs.setdefault(name, []).append((pair[0], pair[1]))
    size = payloads[0].size
    return [
        *(
            _speed(name, pairs, size, GOAL_FORCED if forced else GOAL)
            for name, pairs in runs.items()
        ),
        *(_cost(name, pairs, size) for name, pairs in runs.items()),
    ]


def _speed(name: str, runs: list[tuple[Run, Run]], size: int, goal: float) -> Row:
    speeds = [Pair(*(size / MEGABYTE / run.seconds for run in pair)) for pair in runs]
    return at_least(f"{size // MEGABYTE} MB of {name}", "MB/s", speeds, goal)


def _cost(name: str, runs: list[tuple[Run, Run]], size: int) -> Row:
    costs = [Pair(*(run.processor * 1e9 / size for run in pair)) for pair in runs]
    return row(f"processor time in the middle, {name}", "s/GB", costs)


def _carried(stage: Stage, way: Way, payload: Payload, down: bool, forced: bool) -> Run:
    stage.settle()
    with stage.metered(way) as meter:
        seconds = _timed(stage, way, payload, down, forced)
        stage.settle()
    _check(stage, way, payload, down)
    stage.forget()
    return Run(seconds, meter.seconds)


def _timed(stage: Stage, way: Way, payload: Payload, down: bool, forced: bool) -> float:
    begun = time.perf_counter()
    if down:
        stage.run(way.ssh(f"cat {payload.file}", forced=forced))
    else:
        stage.fed(way.ssh("cat >/dev/null", forced=forced), payload.file)
    return time.perf_counter() - begun


def _check(stage: Stage, way: Way, payload: Payload, down: bool) -> None:
    """Nothing that was not recorded counts."""
    recorded = stage.recorded("cast" if down else "sent")
    if way is stage.by_bastion and recorded < payload.size:
        raise RuntimeError(f"of {payload.size} bytes {recorded} were recorded")
