"""`python -m tests.bench`: the figures of docs/performance.md, beside OpenSSH's, in one run.

    --quick          small sizes, under a minute: to see that all of it works
    --megabytes N    how much a bulk transfer carries
    --only PART…     some parts only: connecting keystrokes bulk files idle auditing signing
                     years ending asking templates recordings verifying searching
                     rates standing crowded
    --json FILE      the figures for a program

It listens on loopback only, ends by itself, and leaves nothing behind. It never fails for a goal
that was not met: other work on the machine may be the reason, and the table says it anyway.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.bench import (
    asking,
    auditing,
    bulk,
    connecting,
    ending,
    files,
    idle,
    keystrokes,
    questions,
    rates,
    recordings,
    searching,
    signing,
    standing,
    templates,
    verifying,
)
from tests.bench.figures import Row, document, table
from tests.bench.stage import Stage, stage
from tests.bench.years import Years

LONGEST = 90 * 60
"""Seconds after which it gives up."""

SESSIONS = 5
"""Of each of the people whose grants end."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    connections: int
    keys: int
    megabytes: int
    rounds: int
    small: int
    few: int
    many: int
    signing: float
    doors: int
    years: Years
    people: int
    asked: int
    recorded: int
    searched: int
    live: int
    coming: float
    standing: int
    beside: int
    revoked: int


FULL = Sizes(
    connections=20,
    keys=1000,
    megabytes=500,
    rounds=3,
    small=10_000,
    few=50,
    many=250,
    signing=3,
    doors=2000,
    years=Years(
        users=1000,
        hosts=500,
        requests=20_000,
        grants=100_000,
        certificates=200_000,
        events=1_000_000,
    ),
    people=100,
    asked=20,
    recorded=1000,
    searched=10_000,
    live=1000,
    coming=20,
    standing=5000,
    beside=500,
    revoked=1000,
)
QUICK = Sizes(
    connections=5,
    keys=200,
    megabytes=50,
    rounds=1,
    small=500,
    few=10,
    many=40,
    signing=0.5,
    doors=200,
    years=Years(
        users=100,
        hosts=50,
        requests=1000,
        grants=5000,
        certificates=10_000,
        events=20_000,
    ),
    people=8,
    asked=4,
    recorded=20,
    searched=100,
    live=20,
    coming=2,
    standing=150,
    beside=20,
    revoked=40,
)


def _ending(sizes: Sizes) -> list[Row]:
    return [*ending.measure(sizes.people, SESSIONS), *ending.measure_by_one(sizes.revoked)]


def _asking(sizes: Sizes) -> list[Row]:
    few = min(sizes.years.events, 20_000)  # nothing here looks at more of them
    return asking.measure(replace(sizes.years, events=few), sizes.asked)


def _crowded(sizes: Sizes) -> list[Row]:
    with stage(workers=2) as made:
        return keystrokes.measure_beside_others(made, sizes.keys, sizes.beside)


BY_ITSELF: dict[str, Callable[[Sizes], list[Row]]] = {
    "signing": lambda sizes: signing.measure(sizes.signing),
    "years": lambda sizes: questions.measure(sizes.years, sizes.doors),
    "ending": _ending,
    "asking": _asking,
    "templates": lambda sizes: templates.measure(sizes.doors),
    "recordings": lambda sizes: recordings.measure(sizes.recorded),
    "verifying": lambda sizes: verifying.measure(2 * sizes.megabytes, sizes.small // 10),
    "searching": lambda sizes: searching.measure(sizes.searched, sizes.live),
    "rates": lambda sizes: rates.measure(sizes.coming, sizes.rounds),
    "standing": lambda sizes: standing.measure(min(100, sizes.standing // 3), sizes.standing),
    "crowded": _crowded,
}
"""What makes its own bastion."""

PARTS = ("connecting", "keystrokes", "bulk", "files", "idle", "auditing", *BY_ITSELF)


def main(words: list[str]) -> int:
    """Measures what was asked for, and shows it."""
    asked = _arguments(words)
    sizes = QUICK if asked.quick else FULL
    megabytes = asked.megabytes or sizes.megabytes
    _bounded()
    begun = time.monotonic()
    machine = _machine()
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    found: dict[str, list[Row]] = {}
    for part, measured in _everything(sizes, megabytes, asked.only or PARTS):
        print(f"{time.monotonic() - begun:4.0f} s  {part}", file=sys.stderr, flush=True)
        found.setdefault(part, []).extend(measured)
    rows = [row for part in PARTS for row in found.get(part, [])]
    print(f"\n{table(rows)}")
    if asked.json is not None:
        content = {**machine, "megabytes": megabytes, "rows": document(rows)}
        asked.json.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return 0


Found = Iterator[tuple[str, list[Row]]]


def _everything(sizes: Sizes, megabytes: int, parts: Sequence[str]) -> Found:
    """Each part when it is done."""
    if set(parts) - set(BY_ITSELF):
        with stage() as made:
            yield from _measured(made, sizes, megabytes, parts)
    for part, measure in BY_ITSELF.items():
        if part in parts:
            yield part, measure(sizes)


def _measured(made: Stage, sizes: Sizes, megabytes: int, parts: Sequence[str]) -> Found:
    """On the stage. Memory comes first: the process has not grown by others yet."""
    if "idle" in parts:
        yield "idle", idle.measure(made, sizes.few, sizes.many)
    if "connecting" in parts:
        yield "connecting", connecting.measure(made, sizes.connections)
    if "keystrokes" in parts:
        yield "keystrokes", keystrokes.measure(made, sizes.keys)
    payloads = (
        bulk.payloads(made.place, megabytes) if {"bulk", "files", "auditing"} & set(parts) else []
    )
    if "files" in parts:
        yield "files", files.measure(made, payloads[0], sizes.rounds, sizes.small)
    if "bulk" in parts:
        yield "bulk", bulk.measure(made, payloads, sizes.rounds)
        yield "bulk", bulk.measure(made, payloads, sizes.rounds, forced=True)
        beside = keystrokes.measure_beside_bulk(made, sizes.keys // 3, payloads[1].file)
        yield "keystrokes", beside
    if "auditing" in parts:
        yield "auditing", auditing.measure(made, payloads[1].file, sizes.keys // 3)


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--megabytes", type=_count, help="of a bulk transfer (at most 700)")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args(words)


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 700:  # in base64, 700 MB still fit a recording's limit of 1 GiB
        raise argparse.ArgumentTypeError("between 1 and 700")
    return number


def _bounded() -> None:
    """An end by time or by SIGTERM is an exception, so that everything is cleaned up."""

    def give_up(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(f"given up by {signal.Signals(number).name}")

    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGTERM, give_up)
    signal.alarm(LONGEST)


def _machine() -> dict[str, str]:
    """What the figures depend on, without a name."""
    told = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in told if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True, timeout=10)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processors": f"{os.cpu_count()} × {model}",
        "memory": f"{memory:.0f} GiB",
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "OpenSSH": ssh.stderr.strip().partition(",")[0],
        "Python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
