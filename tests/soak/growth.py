"""Growth: what processes had at the beginning and at the end, and whether that is a leak. Pure.

What is judged was measured at rest: no session, no connection, the load over for a moment. So
nothing that somebody still uses is in it, and what has grown has been kept for nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

MEGABYTE: Final = 1_000_000

USS, PSS, RSS = "memory of its own", "share of memory", "resident memory"
DESCRIPTORS, THREADS, TASKS = "descriptors", "threads", "tasks"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process had: `at` in seconds, memory in bytes. `tasks` is None where none tells."""

    at: float
    process: str
    pid: int
    resting: bool
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Bound:
    """How much more there may be in the end: so much, or a part of what there was; and `always`, in
    all."""

    more: float
    part: float = 0.0
    always: float = 0.0

    def most(self, before: float) -> float:
        """What there may be where there was that."""
        return max(before + max(self.more, self.part * before), self.always)


BOUNDS: Final[Mapping[str, Bound]] = {
    USS: Bound(6 * MEGABYTE, 0.08),
    PSS: Bound(6 * MEGABYTE, 0.08),
    RSS: Bound(6 * MEGABYTE, 0.08),
    DESCRIPTORS: Bound(4),
    THREADS: Bound(4, always=64),
    TASKS: Bound(2),
}
"""Memory is given back by the page, and what was free lies about. A pool has as many threads as
ever had something to do at once, and a worker's pools may have some sixty together; SQLite keeps a
descriptor of each reader that there was at once. The rush at the beginning fills most of that."""

WARM: Final = 0.2
"""The part of the time after which caches and threads are what they will be."""

CACHES: Final = 180.0
"""Seconds that it takes at least, as SQLite's caches grow with the database; a run that is not
twice as long can't wait for that."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of one process, early and late. `judged` where it was at rest."""

    process: str
    what: str
    resting: bool
    early: float
    late: float
    most: float

    @property
    def grown(self) -> bool:
        """Whether it is more than it may be."""
        return self.resting and self.late > self.most

    def cells(self) -> tuple[str, ...]:
        """The line as texts, in the order of `HEADINGS`."""
        shown = [_shown(self.what, figure) for figure in (self.early, self.late, self.most)]
        if not self.resting:
            return self.process, self.what, shown[0], shown[1], "", ""
        return self.process, self.what, *shown, "GROWN" if self.grown else "ok"


HEADINGS = ("process", "what", "first quarter", "last quarter", "at most", "")


def compared(samples: Sequence[Sample], until: float) -> list[Line]:
    """The medians of the first quarter after the warm-up, and of the last, of `until` seconds.

    A process that was started again is left out: a new one begins from nothing.
    """
    begun = max(until * WARM, CACHES if until >= 2 * CACHES else 0.0)
    quarter = (until - begun) / 4
    lines = []
    for process in dict.fromkeys(sample.process for sample in samples):
        own = [sample for sample in samples if sample.process == process and sample.at >= begun]
        if len({sample.pid for sample in own}) != 1:
            continue
        for resting in (True, False):
            some = [sample for sample in own if sample.resting is resting]
            early = [sample for sample in some if sample.at <= begun + quarter]
            late = [sample for sample in some if sample.at >= until - quarter]
            lines += _lines(process, resting, early, late)
    return lines


def _lines(
    process: str, resting: bool, early: Sequence[Sample], late: Sequence[Sample]
) -> list[Line]:
    found = []
    for what, bound in BOUNDS.items():
        before = [sample.figures[what] for sample in early if what in sample.figures]
        after = [sample.figures[what] for sample in late if what in sample.figures]
        if before and after:
            first, last = median(before), median(after)
            found.append(Line(process, what, resting, first, last, bound.most(first)))
    return found


def started_again(samples: Sequence[Sample]) -> dict[str, int]:
    """How often each process was."""
    lives: dict[str, set[int]] = {}
    for sample in samples:
        lives.setdefault(sample.process, set()).add(sample.pid)
    return {process: len(pids) - 1 for process, pids in lives.items()}


def table(lines: Sequence[Line]) -> str:
    """The lines as a table of Markdown, its columns below each other."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    shown = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in rows
    ]
    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join([shown[0], rule, *shown[1:]])


def _shown(what: str, figure: float) -> str:
    return f"{figure / MEGABYTE:.1f} MB" if "memory" in what else f"{figure:g}"
