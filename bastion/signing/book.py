"""The book: a line of JSON for each signature, on the disk before the signature leaves.

Each line names the SHA-256 of the line before, so that none can be taken out or put in between. A
file that has grown long is followed by another; the chain goes on from one to the next. A last
line that was cut off never left the machine as a signature: it is taken back at the next start.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from bastion.errors import Conflict, Misconfigured, Unavailable

LONG: Final = 64 * 2**20
"""Bytes after which another file is begun."""

NOTHING: Final = "0" * 64
"""What the first line names as the one before."""

LINE: Final = 32 * 1024
"""The longest line, in bytes, with its end."""

_NAME = "signed-{:06}.jsonl"
_GLOB = "signed-??????.jsonl"

Entry = Mapping[str, object]


@dataclass(slots=True)
class Book:
    """The files in one directory, of which this process is the only writer. It blocks."""

    directory: Path
    long: int = LONG
    number: int = field(default=0, init=False)
    before: str = field(default=NOTHING, init=False)
    _file: int = field(default=-1, init=False)
    _lock: int = field(default=-1, init=False)
    _at: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)

    def open(self) -> list[Entry]:
        """Take up where it ended, and give the entries of the last two files, oldest first.

        Raises Misconfigured where a line is not as it was written; Conflict where another process
        has it; Unavailable.
        """
        try:
            self._take()
            files = sorted(self.directory.glob(_GLOB))
            if not files:
                self._begin(1)
                return []
            _cut_back(files[-1])
            entries = [entry for file in files[-2:] for entry in self._read(file)]
            self._at = int(files[-1].stem.rpartition("-")[2])
            self._file = os.open(files[-1], os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            self._size = os.fstat(self._file).st_size
        except OSError as error:
            self.close()
            raise Unavailable(f"{self.directory} can't be opened: {error.strerror}.") from error
        except BaseException:
            self.close()
            raise
        return entries

    def write(self, entries: Sequence[Entry]) -> None:
        """Write them down, each with its number and what comes before.

        They are on the disk when this returns. Raises Unavailable, and then none stands there.
        """
        number, before, lines = self.number, self.before, b""
        for entry in entries:
            number += 1
            line = line_of({"n": number, **entry, "before": before})
            before = hashlib.sha256(line).hexdigest()
            lines += line + b"\n"
        try:
            if self._size > self.long:
                self._begin(self._at + 1)
            self._append(lines)
        except OSError as error:
            raise Unavailable(
                f"What is signed can't be written down in {self.directory}: {error.strerror}."
            ) from error
        self.number, self.before = number, before
        self._size += len(lines)

    def after(self, number: int, most: int) -> list[str]:
        """The lines behind the line `number`, as many as have `most` bytes together.

        It reads its files again; raises Unavailable.
        """
        found: list[str] = []
        try:
            for file in self._files_after(number):
                with file.open("rb") as opened:
                    opened.seek(_before(opened, number))
                    for line in opened:
                        if _number(line) <= number:
                            continue
                        most -= len(line)
                        if most < 0 or not line.endswith(b"\n"):
                            return found
                        found.append(line.decode().rstrip("\n"))
        except (OSError, ValueError) as error:
            raise Unavailable(f"The book in {self.directory} can't be read: {error}.") from error
        return found

    def close(self) -> None:
        """No more is written."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _take(self) -> None:
        """Be the only writer, for as long as this process lives. Raises Conflict, OSError."""
        self._lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another signer writes into {self.directory}: end that one.") from None

    def _files_after(self, number: int) -> Iterator[Path]:
        """From the file on in which the line behind `number` stands."""
        files = sorted(self.directory.glob(_GLOB))
        firsts = []
        for file in files:
            with file.open("rb") as opened:
                line = opened.readline(LINE)
            firsts.append(_number(line) if line else number + 2)
        begin = max((at for at, first in enumerate(firsts) if first <= number + 1), default=0)
        yield from files[begin:]

    def _begin(self, at: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        file = os.open(self.directory / _NAME.format(at), flags, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._at, self._size = file, at, 0
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _append(self, lines: bytes) -> None:
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._file, lines[written:])
            os.fdatasync(self._file)
        except OSError:
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                self.close()  # nobody knows what stands there: nothing more until the next start
            raise

    def _read(self, file: Path) -> Iterator[Entry]:
        with file.open("rb") as opened:
            for place, line in enumerate(opened, 1):
                try:
                    entry = read_line(line.rstrip(b"\n").decode())
                    number, before = entry["n"], entry["before"]
                except (ValueError, KeyError):
                    raise Misconfigured(_broken(file, place)) from None
                if self.number and (number, before) != (self.number + 1, self.before):
                    raise Misconfigured(_broken(file, place))
                if not isinstance(number, int):
                    raise Misconfigured(_broken(file, place))
                self.number = number
                self.before = hashlib.sha256(line.rstrip(b"\n")).hexdigest()
                yield entry


def line_of(entry: Entry) -> bytes:
    """An entry as its line, without the end."""
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=True).encode()


def read_line(line: str) -> Entry:
    """A line as its entry. Raises ValueError."""
    try:
        entry = json.loads(line)
    except RecursionError as error:
        raise ValueError("no entry") from error
    if not isinstance(entry, dict):
        raise ValueError("no entry")
    return entry


def _number(line: bytes) -> int:
    number = read_line(line.decode()).get("n")
    if not isinstance(number, int):
        raise ValueError("a line without its number")
    return number


def _before(file: BinaryIO, number: int) -> int:
    """A place where a line begins, no further than the one behind the line `number`."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > 2 * LINE:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline(LINE)  # the rest of a line
        at = file.tell()
        line = file.readline(LINE)
        if line and at < high and _number(line) <= number:
            low = at
        else:
            high = middle
    return low


def _cut_back(file: Path) -> None:
    """What stands behind the last end of a line was not finished: its signature was not sent."""
    with file.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - 2**20))
        tail = opened.read()
        opened.truncate(size - len(tail) + tail.rfind(b"\n") + 1)


def _broken(file: Path, place: int) -> str:
    return (
        f"{file}, line {place} is not what was written there: somebody changed it. Find out who; "
        "move the files aside to begin anew."
    )
