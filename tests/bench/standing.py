"""What thousands of idle recorded sessions cost: memory of all processes, and processor time.

Two workers, their supervisor and the steward count, with everything they have. A page that several
of them share counts once (PSS). Each session is on a terminal of a target that does nothing.
"""

import time

from tests.bench import processes
from tests.bench.crowd import Crowd, crowd
from tests.bench.figures import Row, below, known
from tests.bench.house import house

MEGABYTE, KILOBYTE = 1_000_000, 1000
GOAL = 600.0
"""Megabytes, of all processes with the most sessions."""

FLAT = 1.25
"""So much more may the later ones cost than the first ones."""

LOOK = 5.0
"""Seconds for which processor time is looked at."""

EACH = 25
"""Sessions on one connection, where several share one."""

PATIENCE = 1200.0


def measure(few: int, many: int) -> list[Row]:
    """From `few` over half of the way to `many`; several on a connection, and one on each."""
    return [*_measured(few, many, EACH), *_measured(few, many, 1)]


def _measured(few: int, many: int, each: int) -> list[Row]:
    said = f"{many} idle sessions, {'one' if each == 1 else each} on each connection"
    with house(workers=2) as made:
        person = made.enrolled("alice")
        made.granted(person)
        pid = made.bastion.pid
        with crowd(made.way(person, each=each), 2) as people:
            begun = time.monotonic()
            steps = [(number, *_opened(people, pid, number)) for number in _more(few, many)]
            seconds = time.monotonic() - begun
            return _rows(said, steps, seconds / many)


def _more(few: int, many: int) -> list[int]:
    """How many more are opened at each step."""
    half = (many - few) // 2
    return [few, half, many - few - half]


def _opened(people: Crowd, pid: int, more: int) -> tuple[float, float]:
    """Bytes of all processes, and the part of a processor that they take, with so many more."""
    people.open(more, PATIENCE)
    time.sleep(2)
    before = processes.used_by_family(pid)
    time.sleep(LOOK)
    used = (processes.used_by_family(pid) - before) / LOOK
    return sum(map(processes.proportional, processes.family(pid))), used


def _rows(said: str, steps: list[tuple[int, float, float]], opening: float) -> list[Row]:
    (few, first, quiet), (half, middle, _), (rest, last, busy) = steps
    early, late = (middle - first) / half, (last - middle) / rest
    flat = below(f"{said}: the later half costs, by the first", "×", None, late / early, FLAT)
    return [
        below(f"{said}: memory of all processes, PSS", "MB", None, last / MEGABYTE, GOAL),
        known(f"{said}: with the first {few} of them", "MB", first / MEGABYTE),
        known(f"{said}: one more, PSS", "KB", (last - first) / (half + rest) / KILOBYTE),
        flat,
        known(f"{said}: of one processor, with the first {few}", "%", quiet * 100),
        known(f"{said}: of one processor, with all", "%", busy * 100),
        known(f"{said}: opened, each", "ms", opening * 1000),
    ]
