"""How many connections may be open, and how many of them may still be nobody's.

Pure counting: who holds a place, from which network. Places for those who have not signed in yet
become rare before they run out: of the newcomers a growing share is turned away by chance, so that
somebody who takes one place after another does not keep everybody else out (sshd's MaxStartups).
"""

from collections import Counter
from dataclasses import dataclass, field

from bastion.errors import BadInput
from bastion.limits import Limit


@dataclass(frozen=True, slots=True)
class Startups:
    """From `start` on newcomers are turned away by chance: `rate` of a hundred there, all at
    `full`, and in between in proportion."""

    start: int
    rate: int
    full: int

    def __post_init__(self) -> None:
        if not (1 <= self.start <= self.full <= 1_000_000 and 1 <= self.rate <= 100):
            raise BadInput(
                "write START:RATE:FULL as in 100:30:200, START no more than FULL, RATE a "
                "percentage from 1 to 100."
            )

    def turns_away(self, there: int, chance: float) -> bool:
        """Whether one more has no place beside so many. `chance` is drawn from 0 up to 1."""
        if there < self.start:
            return False
        if there >= self.full:
            return True
        more = (100 - self.rate) * (there - self.start) / (self.full - self.start)
        return chance * 100 < self.rate + more

    def part(self, of: int) -> "Startups":
        """One of so many equal parts."""
        full = max(1, self.full // of)
        return Startups(min(full, max(1, self.start // of)), self.rate, full)


def parse_startups(text: str) -> Startups:
    """`START:RATE:FULL` as sshd has it, or a number: so many, then none. Raises BadInput."""
    words = text.strip().split(":")
    if not all(word.isascii() and word.isdigit() and len(word) <= 7 for word in words):
        raise BadInput(f"{text[:40]!a} is no limit: write START:RATE:FULL, as in 100:30:200.")
    numbers = [int(word) for word in words]
    if len(numbers) == 1:
        return Startups(numbers[0], 100, numbers[0])
    if len(numbers) != 3:
        raise BadInput(f"{text[:40]!a} is no limit: write START:RATE:FULL, as in 100:30:200.")
    return Startups(*numbers)


@dataclass(frozen=True, slots=True)
class Places:
    """How many there are: in all and by network, for all and for those who have not signed in."""

    connections: int
    connections_per_source: int
    unauthenticated: Startups
    unauthenticated_per_source: Startups

    def part(self, of: int) -> "Places":
        """One of so many equal parts."""
        return Places(
            max(1, self.connections // of),
            max(1, self.connections_per_source // of),
            self.unauthenticated.part(of),
            self.unauthenticated_per_source.part(of),
        )


@dataclass(slots=True)
class _Taken:
    """How many places are taken, by network."""

    by: Counter[str] = field(default_factory=Counter)
    in_all: int = 0

    def take(self, network: str, more: int) -> None:
        self.in_all += more
        self.by[network] += more
        if not self.by[network]:
            del self.by[network]


class Admission:
    """The places that are taken. `key` is any hashable thing that stands for one connection."""

    def __init__(self, places: Places):
        self._places = places
        self._open: dict[object, str] = {}
        self._nobody: set[object] = set()
        self._taken = _Taken()
        self._signing_in = _Taken()

    def arrive(self, key: object, network: str, chance: float) -> Limit | None:
        """Take a place for a connection from `network`; or which limit keeps it from that.

        `chance` is drawn from 0 up to 1.
        """
        places, signing_in = self._places, self._signing_in
        if self._taken.in_all >= places.connections:
            return Limit.CONNECTIONS
        if self._taken.by[network] >= places.connections_per_source:
            return Limit.CONNECTIONS_PER_SOURCE
        if places.unauthenticated_per_source.turns_away(signing_in.by[network], chance):
            return Limit.UNAUTHENTICATED_PER_SOURCE
        if places.unauthenticated.turns_away(signing_in.in_all, chance):
            return Limit.UNAUTHENTICATED
        self._open[key] = network
        self._nobody.add(key)
        self._taken.take(network, 1)
        signing_in.take(network, 1)
        return None

    def signed_in(self, key: object) -> None:
        """It is somebody now."""
        if key in self._nobody:
            self._nobody.discard(key)
            self._signing_in.take(self._open[key], -1)

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
        network = self._open.pop(key, None)
        if network is not None:
            self._taken.take(network, -1)
