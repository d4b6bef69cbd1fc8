"""A program that records as fast as it can and says what it has recorded: to be killed.

python -m tests.recorder.writer INDEX RECORDINGS

INDEX is SQLite's file, or a PostgreSQL's URL.

After each chunk is recorded, and not before, one line says so: `shown N` or `sent N`.
"""

import asyncio
import sys
from pathlib import Path

from bastion.store.postgres import Postgres
from recorder import Archive, Index, Stream
from tests.recorder.places import Sqlite, exec_of


def chunk(number: int) -> bytes:
    """A chunk that differs from all others: text, some of it torn, or bytes."""
    text = f"{number:08d} ä \x1b[1m".encode() * (1 + number % 400)
    return text[:-1] + b"\xff" if number % 3 else text


async def main(index: str, recordings: str) -> None:
    database = Postgres(index) if "://" in index else Sqlite(Path(index))
    archive = Archive(Path(recordings), Index(database), recipients=[], limit=1 << 30)
    async with archive.record(exec_of()) as recording:
        for number in range(1_000_000):
            recording.shown(chunk(number), Stream.OUT)
            sys.stdout.write(f"shown {number}\n")
            sys.stdout.flush()
            recording.sent(b"x")
            sys.stdout.write(f"sent {number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
