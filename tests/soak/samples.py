"""What the processes of a bastion have, as Linux counts it in /proc, and the tasks as they say."""

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.soak.growth import DESCRIPTORS, PSS, RSS, TASKS, THREADS, USS, Sample

SUPERVISOR: Final = "supervisor"
_SAMPLE = re.compile(r'^(\w+)\{process="([^"]+)"([^}]*)\} (\S+)$', re.MULTILINE)
_PATIENCE = 5.0

Metrics = dict[tuple[str, str], float]
"""Sums over all other labels, by metric and process."""


def metrics(port: int) -> Metrics:
    """What `/metrics` says now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_PATIENCE) as answer:
        text = answer.read().decode()
    found: Metrics = {}
    for name, process, _, value in _SAMPLE.findall(text):
        found[name, process] = found.get((name, process), 0.0) + float(value)
    return found


def total(found: Metrics, name: str) -> float:
    """The sum over all processes."""
    return sum(value for (each, _), value in found.items() if each == name)


def processes(supervisor: int) -> dict[str, int]:
    """The pids of a bastion's processes, by their names."""
    found = {SUPERVISOR: supervisor}
    for pid in map(int, _read(supervisor, f"task/{supervisor}/children").split()):
        words = _read(pid, "cmdline").split("\0")
        if "cli.worker" in words:
            found[words[words.index("cli.worker") + 2]] = pid
    return found


def taken(supervisor: int, port: int, at: float, *, resting: bool) -> Iterator[Sample]:
    """One sample of each process that is there."""
    said = metrics(port)
    for process, pid in processes(supervisor).items():
        try:
            figures = _figures(pid)
        except (FileNotFoundError, ProcessLookupError, KeyError):
            continue  # it has ended meanwhile
        tasks = said.get(("bastion_process_tasks", process))
        if tasks is not None:
            figures[TASKS] = tasks
        yield Sample(at, process, pid, resting, figures)


def _figures(pid: int) -> dict[str, float]:
    rollup = _fields(pid, "smaps_rollup")
    own = rollup["Private_Clean"] + rollup["Private_Dirty"]
    return {
        USS: own * 1024,
        PSS: rollup["Pss"] * 1024,
        RSS: rollup["Rss"] * 1024,
        DESCRIPTORS: sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        THREADS: _fields(pid, "status")["Threads"],
    }


def _fields(pid: int, name: str) -> dict[str, int]:
    lines = (line.partition(":") for line in _read(pid, name).splitlines())
    return {
        key: int(value.split()[0])
        for key, _, value in lines
        if value.split()[:1] and value.split()[0].isdigit()
    }


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
