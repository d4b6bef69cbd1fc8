"""How many connections a second come and go: whole jumps with a session each, one after the other.

    ProxyJump   an sshd that forwards, to the same target
    bastion     two workers; each session is recorded
    asyncssh    the same three handshakes by the library alone (`bare`), in one process

The clients are processes of their own, and with the target they take more of two processors than
what stands in the middle. So the goal is about what is left of a second of processor time there:
what one core could do if it had nothing else to do.
"""

from contextlib import ExitStack
from statistics import median

from tests.bench import processes
from tests.bench.bare import bare
from tests.bench.crowd import Way, crowd
from tests.bench.figures import Pair, Row, known, percentile, row
from tests.bench.house import house
from tests.e2e.sshd import Sshd

GOAL = 100.0
"""Connections a second, of one core."""

AT_ONCE = 4
CLIENTS = 2


def measure(seconds: float, rounds: int) -> list[Row]:
    """Both ways in turn, `rounds` times."""
    with ExitStack() as stack:
        jump = Sshd()
        stack.callback(jump.stop)
        made = stack.enter_context(house(workers=2))
        person = made.enrolled("alice")
        made.granted(person)
        by_sshd, by_bastion = made.way_by(jump), made.way(person, at_once=AT_ONCE)
        floor, by_floor = stack.enter_context(bare(made, by_bastion))
        runs = [
            (
                _by_sshd(by_sshd, jump, seconds),
                _by(by_bastion, made.bastion.pid, seconds),
                _by(by_floor, floor, seconds),
            )
            for _ in range(rounds)
        ]
    pairs = [run[:2] for run in runs]
    return [
        row("connections a second, by the clock", "/s", [Pair(a.rate, b.rate) for a, b in pairs]),
        row(
            "processor time in the middle, one of many connections",
            "ms",
            [Pair(a.cost * 1000, b.cost * 1000) for a, b in pairs],
        ),
        known(
            "processor time of the same three handshakes, by the library alone",
            "ms",
            median(run[2].cost * 1000 for run in runs),
        ),
        _of_a_core([Pair(1 / a.cost, 1 / b.cost) for a, b in pairs]),
        *_latencies([b for _, b in pairs]),
    ]


def _of_a_core(pairs: list[Pair]) -> Row:
    found = row("connections that a core can carry in a second", "/s", pairs)
    met = found.bastion >= GOAL
    return Row(
        found.what, found.unit, found.proxyjump, found.bastion, found.ratio, f"≥ {GOAL:g} /s", met
    )


def _latencies(runs: "list[_Run]") -> list[Row]:
    waits = [wait * 1000 for run in runs for wait in run.latencies]
    at_once = AT_ONCE * CLIENTS
    return [
        known(
            f"a connection beside {at_once - 1} others, p{number}", "ms", percentile(waits, number)
        )
        for number in (50, 99)
    ]


class _Run:
    """One way for a while. `rate` is by the clock, `cost` in seconds of processor time each."""

    def __init__(self, latencies: list[float], failed: int, seconds: float, used: float) -> None:
        if failed or len(latencies) < 2:
            raise RuntimeError(f"{failed} connections failed, {len(latencies)} did not")
        self.latencies = latencies
        self.rate = len(latencies) / seconds
        self.cost = used / len(latencies)


def _by_sshd(way: Way, jump: Sshd, seconds: float) -> _Run:
    with crowd(way, CLIENTS) as people:
        people.rate(0.5)
        with processes.metered_below(jump._process.pid) as meter:
            came = people.rate(seconds)
    return _Run(*came, seconds, meter.seconds)


def _by(way: Way, pid: int, seconds: float) -> _Run:
    """One of which all processes stay."""
    with crowd(way, CLIENTS) as people:
        people.rate(0.5)
        before = processes.used_by_family(pid)
        came = people.rate(seconds)
        used = processes.used_by_family(pid) - before
    return _Run(*came, seconds, used)
