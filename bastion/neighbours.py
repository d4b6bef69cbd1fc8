"""Neighbours: what the workers of one machine hold together, in memory that they share.

A file without a name (memfd) has a strip for each worker, and a random key before them. Each writes
its own strip and reads the others', so nobody waits for a lock that somebody who is killed, or
stands still, would keep. In a strip are

    totals    of connections: all, and those that are nobody's yet
    counts    of the same by network, and of all by user: three rows each. A name has a place in
              each row, by its hash under the key; what is counted of it is the least of the three
    failures  the last sign-ins that failed, with their network and time

Two names that share a place in all three rows count for one another: with 4000 connections one
name in five thousand has one too many. Whoever starts workers again empties a strip's counts
first (`vacate`); failures stay, and are read again by whoever comes.
"""

import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

from bastion.admission import There
from bastion.refusals import Failure

ROWS, COLUMNS = 3, 1 << 16
WORD: Final = 4
KEY: Final = 16

FAILURES: Final = 1024
"""Of each worker so many are remembered, of 64 bytes each."""

_FAILURE: Final = struct.Struct("<dI52s")
_PAGE: Final = 4096
_KIND: Final = ROWS * COLUMNS
_COUNTS: Final = _PAGE + 2 * _KIND * WORD
_STRIP: Final = _COUNTS + _PAGE + FAILURES * _FAILURE.size


def shared(workers: int) -> int:
    """A descriptor of the memory for so many workers."""
    descriptor = os.memfd_create("neighbours")
    os.ftruncate(descriptor, _PAGE + workers * _STRIP)
    os.pwrite(descriptor, os.urandom(KEY), 0)
    return descriptor


def vacate(descriptor: int, worker: int) -> None:
    """That worker (from 0) is gone, and with it its connections."""
    os.pwrite(descriptor, bytes(_COUNTS), _PAGE + worker * _STRIP)


class Neighbours:
    """The others, as one worker (from 0) of all for whom `descriptor` was made sees them."""

    def __init__(self, descriptor: int, worker: int) -> None:
        self._memory = mmap.mmap(descriptor, 0)
        self._key = self._memory[:KEY]
        begins = range(_PAGE, len(self._memory), _STRIP)
        words = memoryview(self._memory)
        self._counts = [words[at : at + _COUNTS].cast("I") for at in begins]
        self._heads = [words[at + _COUNTS : at + _COUNTS + 8].cast("Q") for at in begins]
        self._rings = [at + _COUNTS + _PAGE for at in begins]
        self._read = [max(0, head[0] - FAILURES) for head in self._heads]
        self._worker = worker

    # How many connections

    def changes(self, network: str, of_all: int, of_nobodys: int) -> None:
        """So many more from there here, or fewer."""
        mine, hashed = self._counts[self._worker], self._hashed(network)
        for kind, more in enumerate((of_all, of_nobodys)):
            if more:
                _add(mine, more, [kind, *_places(kind, hashed)])

    def changes_of_user(self, user: str, more: int) -> None:
        """So many more of that user here, or fewer."""
        _add(self._counts[self._worker], more, _places(0, self._hashed(_of_user(user))))

    def there(self, network: str) -> There:
        """How many there are at the others."""
        hashed, found = self._hashed(network), [0, 0, 0, 0]
        for counts in self._others():
            for kind in (0, 1):
                found[kind] += counts[kind]
                found[2 + kind] += min(counts[place] for place in _places(kind, hashed))
        return There(*found)

    def there_of_user(self, user: str) -> int:
        """How many of that user's connections are at the others."""
        hashed = self._hashed(_of_user(user))
        return sum(min(each[place] for place in _places(0, hashed)) for each in self._others())

    def _others(self) -> Iterator[memoryview]:
        return (each for n, each in enumerate(self._counts) if n != self._worker)

    def _hashed(self, name: str) -> bytes:
        return blake2b(name.encode(), digest_size=2 * ROWS, key=self._key).digest()

    # What failed

    def tell(self, failure: Failure) -> None:
        """It failed here."""
        head = self._heads[self._worker]
        at = self._rings[self._worker] + head[0] % FAILURES * _FAILURE.size
        network = failure.network.encode()[:52]
        _FAILURE.pack_into(self._memory, at, failure.time, failure.times, network)
        head[0] += 1  # last: nobody reads what is not whole
        self._read[self._worker] = head[0]

    def heard(self) -> list[Failure]:
        """What has failed at the others since this was asked, the oldest first; at the first time
        what is remembered, also of who had this one's strip before."""
        if all(head[0] == read for head, read in zip(self._heads, self._read, strict=True)):
            return []
        found = [each for n in range(len(self._rings)) for each in self._since(n)]
        return sorted(found, key=lambda each: each.time)

    def _since(self, worker: int) -> Iterator[Failure]:
        head = self._heads[worker][0]
        for number in range(max(self._read[worker], head - FAILURES), head):
            at = self._rings[worker] + number % FAILURES * _FAILURE.size
            time, times, network = _FAILURE.unpack_from(self._memory, at)
            yield Failure(network.rstrip(b"\0").decode(errors="replace"), time, times)
        self._read[worker] = head


def _add(counts: memoryview, more: int, places: Iterable[int]) -> None:
    for place in places:
        counts[place] = max(0, counts[place] + more)


def _places(kind: int, hashed: bytes) -> Iterator[int]:
    """Where in a strip something of that kind is counted, once in each row."""
    first = _PAGE // WORD + kind * _KIND
    return (
        first + row * COLUMNS + int.from_bytes(hashed[2 * row : 2 * row + 2]) for row in range(ROWS)
    )


def _of_user(user: str) -> str:
    return f"user {user}"  # no network has a blank
