"""How many connections may be open, and how many of them may still be nobody's.

Pure counting: who holds a place, from which source. A full house turns the newest away, so
somebody who never finishes a handshake takes a few places for a while and no more.
"""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Places:
    """How many there are: in all, for those who have not signed in yet, and of these by source."""

    connections: int
    unauthenticated: int
    unauthenticated_per_source: int


class Admission:
    """The places that are taken. `key` is any hashable thing that stands for one connection."""

    def __init__(self, places: Places):
        self._places = places
        self._open: set[object] = set()
        self._nobody: dict[object, str] = {}
        self._by_source: Counter[str] = Counter()

    def arrive(self, key: object, source: str) -> bool:
        """Take a place for a connection from `source`. False where there is none."""
        if (
            len(self._open) >= self._places.connections
            or len(self._nobody) >= self._places.unauthenticated
            or self._by_source[source] >= self._places.unauthenticated_per_source
        ):
            return False
        self._open.add(key)
        self._nobody[key] = source
        self._by_source[source] += 1
        return True

    def signed_in(self, key: object) -> None:
        """It is somebody now."""
        source = self._nobody.pop(key, None)
        if source is not None:
            self._by_source[source] -= 1
            if not self._by_source[source]:
                del self._by_source[source]

    @property
    def signed_in_now(self) -> int:
        """How many are somebody's."""
        return len(self._open) - len(self._nobody)

    @property
    def nobodys(self) -> int:
        """How many are still nobody's."""
        return len(self._nobody)

    def leave(self, key: object) -> None:
        """Give its place back."""
        self.signed_in(key)
        self._open.discard(key)
