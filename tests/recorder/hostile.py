"""A program that reads hostile recordings back in every way, with little memory; says what came.

python -m tests.recorder.hostile FILE…

For each file and each way a line: the file, the way, and `done` or the sentence that says why not.
"""

import itertools
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from recorder import Reader, RecorderError, Stream, export
from recorder.following import follow
from recorder.mend import survey
from recorder.playing import perform
from recorder.replay import Pace, frames, printed

MEMORY = 192 * 1024 * 1024
"""Bytes that it may take beyond what the program has when it begins."""

LOOKS = 1000
"""Somebody who watches a replay has enough after so many looks at the clock, however long it is."""


class Nowhere:
    """Takes all and keeps nothing."""

    def write(self, data: bytes, /) -> object:
        """Take it."""
        return len(data)


def ways(reader: Reader) -> dict[str, Callable[[], object]]:
    """The ways to read a recording back."""
    seconds, looks = itertools.count(0.0, 0.01), itertools.count()

    def surveyed() -> None:
        with reader.opened() as file:
            survey(file)

    return {
        "print": lambda: sum(map(len, printed(reader, 0.0))),
        "frames": lambda: sum(1 for _ in frames(reader.events(), Pace(idle=1.0, start=3.0))),
        "perform": lambda: perform(
            reader,
            Pace(),
            len,
            key=lambda _: "q" if next(looks) > LOOKS else None,
            clock=lambda: next(seconds),
        ),
        "export": lambda: export.asciicast(reader, Nowhere()),
        "raw": lambda: export.raw(reader, Stream.OUT, Nowhere()),
        "follow": lambda: follow(reader, len, over=lambda: True, wait=lambda: None),
        "survey": surveyed,
    }


def main(names: list[str]) -> None:
    """Each file in each way."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for path in map(Path, names):
        for way, read in ways(Reader(path)).items():
            try:
                read()
                said = "done"
            except RecorderError as error:
                said = str(error)
            sys.stdout.write(f"{path.stem} {way} {said}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
