"""How long `ssh -J … true` takes, from the command line to the prompt."""

import time

from tests.bench.figures import Pair, Row, at_most, row
from tests.bench.stage import Stage, Way


def measure(stage: Stage, times: int) -> list[Row]:
    """The same key exchange on both ways, then what the client does by itself."""
    for way in stage.ways:
        stage.run(way.ssh("true"))  # the first one pays for what is loaded once
    same = _pairs(stage, times, same_kex=True)
    defaults = _pairs(stage, max(2, times // 2), same_kex=False)
    return [
        at_most("`ssh … true`, curve25519", "ms", same, 1.0),
        row("`ssh … true`, client's own key exchange", "ms", defaults),
        row("processor time in the middle, one connection", "ms", _costs(stage, times)),
    ]


def _pairs(stage: Stage, times: int, *, same_kex: bool) -> list[Pair]:
    return [
        Pair(*(_milliseconds(stage, way, same_kex) for way in stage.ways)) for _ in range(times)
    ]


def _milliseconds(stage: Stage, way: Way, same_kex: bool) -> float:
    begun = time.perf_counter()
    stage.run(way.ssh("true", same_kex=same_kex))
    return (time.perf_counter() - begun) * 1000


def _costs(stage: Stage, times: int) -> list[Pair]:
    """One pair only: processor time is counted in hundredths of a second, so many are needed."""
    used = []
    for way in stage.ways:
        stage.settle()
        with stage.metered(way) as meter:
            for _ in range(times):
                stage.run(way.ssh("true", same_kex=True))
            stage.settle()
        used.append(meter.seconds * 1000 / times)
    return [Pair(*used)]
