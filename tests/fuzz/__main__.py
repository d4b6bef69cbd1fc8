"""`python -m tests.fuzz [SECONDS] [READER…]`: each reader for so long, on what came of its corpus.

What breaks a promise is kept in the corpus, where `make test` tries it from then on; the exit
status is then 1. `--seed N` tries the same inputs again.
"""

import argparse
import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.mutations import mutated
from tests.fuzz.readers import READERS, Target

CORPUS = Path(__file__).parent / "corpus"


def seeds(name: str) -> list[bytes]:
    """What is kept for a reader, and nothing at all."""
    return [b"", *(file.read_bytes() for file in sorted((CORPUS / name).iterdir()))]


def main(words: list[str]) -> int:
    """Tries each, and tells how many inputs that were."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=10.0, help="for each reader")
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(READERS)}")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    asked = parser.parse_args(words)
    if unknown := set(asked.readers) - set(READERS):
        parser.error(f"there is no reader {unknown.pop()}: there are {', '.join(READERS)}")
    print(f"seed {asked.seed}")
    broken = [
        name
        for name in asked.readers or READERS
        if not _tried(name, READERS[name], asked.seconds, random.Random(asked.seed))
    ]
    return 1 if broken else 0


def _tried(name: str, reader: Target, seconds: float, dice: random.Random) -> bool:
    """Whether it kept its promises."""
    known, tried, slowest = seeds(name), 0, 0.0
    ends = time.monotonic() + seconds
    while (begun := time.monotonic()) < ends:
        data = mutated(known, dice)
        try:
            reader(data)
        except Exception:  # noqa: BLE001 whatever it is, it is what is looked for
            _kept(name, data)
            return False
        tried += 1
        slowest = max(slowest, time.monotonic() - begun)
    print(f"{name}: {tried} inputs, the slowest took {slowest * 1000:.1f} ms", flush=True)
    return True


def _kept(name: str, data: bytes) -> None:
    file = CORPUS / name / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
    file.write_bytes(data)
    traceback.print_exc()
    print(f"{name}: {data!r} breaks it; kept as {file.name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
