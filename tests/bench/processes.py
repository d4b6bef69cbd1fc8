"""What processes cost: processor time and memory, as Linux counts them in /proc (proc(5))."""

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 20.0
EVERY = 0.005
"""Seconds between two looks at processes that come and go."""

_TICK = os.sysconf("SC_CLK_TCK")


class Meter:
    """Processor time that was used while it ran, in `seconds`."""

    seconds = 0.0


@contextmanager
def metered(pid: int) -> Iterator[Meter]:
    """Measures one process, with all of its threads, until the end of the block."""
    meter, before = Meter(), processor_seconds(pid)
    yield meter
    meter.seconds = processor_seconds(pid) - before


@contextmanager
def metered_family(pid: int) -> Iterator[Meter]:
    """The same for a process and those that it has started, all of which stay."""
    meter, before = Meter(), used_by_family(pid)
    yield meter
    meter.seconds = used_by_family(pid) - before


@contextmanager
def metered_below(pid: int) -> Iterator[Meter]:
    """Measures the processes that `pid` starts until the end of the block, and theirs.

    sshd does not wait for all of its children, so what they used is not added up anywhere: they
    are looked at while they live. The last few milliseconds of each escape.
    """
    meter, over = Meter(), threading.Event()
    seen: dict[int, int] = {}

    def watch() -> None:
        while not over.wait(EVERY):
            for child in descendants(pid):
                seen[child] = _nanoseconds(child) or seen.get(child, 0)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        over.set()
        thread.join()
    meter.seconds = sum(seen.values()) / 1e9


def processor_seconds(pid: int) -> float:
    """What all threads of a process have used, in the kernel and outside of it."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICK


def _nanoseconds(pid: int) -> int:
    """The same for a process of one thread, exactly; 0 where it has gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def resident(pid: int) -> int:
    """VmRSS in bytes: all pages that are in memory."""
    return _kilobytes(Path(f"/proc/{pid}/status"), "VmRSS:")


def forget_peak(pid: int | None = None) -> None:
    """A process's memory, or our own, is at its highest now: what was before does not count."""
    Path(f"/proc/{pid or 'self'}/clear_refs").write_text("5")


def peak(pid: int | None = None) -> int:
    """VmHWM in bytes: the most that a process, or ours, has had resident since `forget_peak`."""
    return _kilobytes(Path(f"/proc/{pid or 'self'}/status"), "VmHWM:")


def proportional(pid: int) -> int:
    """PSS in bytes: a page that n processes share counts for one nth."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def _kilobytes(file: Path, name: str) -> int:
    line = next(line for line in file.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    try:
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants(pid: int) -> Iterator[int]:
    """Its children, and theirs."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def writes_below(pid: int, directory: Path) -> bool:
    """Whether it has a file below `directory` open."""
    inside = f"{directory}/"
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(entry.readlink()).startswith(inside):
                return True
        except FileNotFoundError:  # closed while we looked
            continue
    return False


def watch_until(what: str, happened: Callable[[], bool]) -> None:
    """Looks until it has happened. Raises TimeoutError that names `what`."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE:.0f} s until {what}")
        time.sleep(0.005)


def family(pid: int) -> list[int]:
    """A process, and all that it and they have started."""
    return [pid, *descendants(pid)]


def descriptors_raised() -> None:
    """As many open files as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def used_by_family(pid: int) -> float:
    """Seconds of processor time that all of them have used, those that have ended left out."""
    return sum(map(processor_seconds, family(pid)))
