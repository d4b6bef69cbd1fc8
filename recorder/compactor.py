"""The compactor: a process of its own that compacts recordings, one after another, behind all else.

It reads a line of JSON for each and answers with one. What recordings hold was written by strangers
and goes through a terminal's engine: whatever that does to this process, and however long it takes,
sessions go on beside it. It ends when its input does, or whoever started it.

    python -m recorder.compactor DIRECTORY
"""

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson

from recorder.compaction import Done, Wanted, compact
from recorder.errors import RecorderError
from recorder.session import Compaction

LONGEST: Final = 64 * 1024
"""Bytes of a line, either way."""

_MEMORY = 2**30
"""Bytes of memory that it may have; it needs a tenth of that."""

_LOWEST = 19


def job(path: str, sha256: str, size: int, floor: int) -> bytes:
    """What is asked, as a line: see `compaction.Wanted`. `path` is relative to the directory."""
    told = {"path": path, "sha256": sha256, "size": size, "floor": floor}
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def answer(line: bytes) -> Done | str:
    """What became of a recording; or why it could not be compacted now. Raises ValueError."""
    match orjson.loads(line):
        case {
            "compaction": str(compaction),
            "size": int(size),
            "points": str(points),
            "sentence": str(sentence),
        }:
            return Done(Compaction(compaction), size, points, sentence)
        case {"compaction": None, "sentence": str(sentence)}:
            return sentence
    raise ValueError("the compactor has answered nothing that can be read")


def answered(line: bytes, directory: Path, pause: Callable[[], object]) -> bytes:
    """Do one job; the answer, as a line. Raises ValueError for what is no job."""
    match orjson.loads(line):
        case {"path": str(path), "sha256": str(sha256), "size": int(size), "floor": int(floor)}:
            return _answer(_done(Wanted(directory / path, sha256, size, floor), pause))
    raise ValueError("that is no recording to compact")


def _done(wanted: Wanted, pause: Callable[[], object]) -> Done | str:
    try:
        return compact(wanted, pause)
    except OSError as error:
        return error.strerror or str(error)
    except RecorderError as error:
        return str(error)


def _answer(done: Done | str) -> bytes:
    told: dict[str, object] = (
        {"compaction": None, "sentence": done}
        if isinstance(done, str)
        else {
            "compaction": done.compaction.value,
            "size": done.size,
            "points": done.points,
            "sentence": done.sentence,
        }
    )
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def main(directory: Path) -> None:
    """Do what standard input asks, until it ends."""
    parent = os.getppid()
    _step_back()

    def pause() -> None:
        if os.getppid() != parent:
            raise SystemExit("whoever started it is gone")

    try:
        while line := sys.stdin.buffer.readline(LONGEST):
            sys.stdout.buffer.write(answered(line, directory, pause))
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(0)  # nobody is left to hear it, not even at the end


def _step_back() -> None:
    """All others come first, and memory has an end."""
    os.nice(_LOWEST)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
