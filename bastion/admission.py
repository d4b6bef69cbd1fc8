"""How many connections may be open: in all, from a network, of a user, and still nobody's.

Pure counting: who holds a place, from which network, for whom. Places for those who have not signed
in yet become rare before they run out: of the newcomers a growing share is turned away by chance,
so that somebody who takes one place after another does not keep everybody else out (sshd's
MaxStartups).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

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
    """How many there are: in all and by network, for all and for those who have not signed in; and
    of one user."""

    connections: int
    connections_per_source: int
    unauthenticated: Startups
    unauthenticated_per_source: Startups
    connections_per_user: int


@dataclass(frozen=True, slots=True)
class There:
    """How many connections there are: of all, of those that are nobody's yet, and of both from one
    network."""

    in_all: int = 0
    nobodys: int = 0
    from_network: int = 0
    nobodys_from_network: int = 0


class Others(Protocol):
    """The other processes that hold places of the same: who has what, as `Admission` tells it."""

    def changes(self, network: str, of_all: int, of_nobodys: int) -> None:
        """So many more from there here, or fewer."""

    def changes_of_user(self, user: str, more: int) -> None:
        """So many more of that user here, or fewer."""

    def there(self, network: str) -> There:
        """How many there are at the others."""

    def there_of_user(self, user: str) -> int:
        """How many of that user's connections are at the others."""


class Nobody:
    """No other process."""

    def changes(self, network: str, of_all: int, of_nobodys: int) -> None:
        """Nobody hears of it."""

    def changes_of_user(self, user: str, more: int) -> None:
        """Nobody hears of it."""

    def there(self, network: str) -> There:
        """None."""
        return There()

    def there_of_user(self, user: str) -> int:
        """None."""
        return 0


@dataclass(slots=True)
class _Taken:
    """How many places are taken, by network."""

    by: Counter[str] = field(default_factory=Counter)
    in_all: int = 0

    def take(self, network: str, more: int) -> None:
        if not more:
            return
        self.in_all += more
        self.by[network] += more
        if not self.by[network]:
            del self.by[network]


class Admission:
    """The places that are taken. `key` is any hashable thing that stands for one connection.

    Places are one supply for this process and the `others`. One is taken first and judged then, so
    of two processes that take at once neither can miss the other's: no more get in than may.
    """

    def __init__(self, places: Places, others: Others | None = None):
        self._places = places
        self._others: Others = Nobody() if others is None else others
        self._open: dict[object, str] = {}
        self._nobody: set[object] = set()
        self._users: dict[object, str] = {}
        self._taken = _Taken()
        self._signing_in = _Taken()
        self._of_users: Counter[str] = Counter()

    def arrive(self, key: object, network: str, chance: float) -> Limit | None:
        """Take a place for a connection from `network`; or which limit keeps it from that.

        `chance` is drawn from 0 up to 1.
        """
        self._open[key] = network
        self._nobody.add(key)
        self._take(network, 1, 1)
        limit = self._full(network, chance)
        if limit is not None:
            self.leave(key)
        return limit

    def signed_in(self, key: object, user: str) -> Limit | None:
        """It is this user's now; or which limit keeps it from that, and then it is nobody's
        still."""
        if key not in self._nobody:
            return None
        self._take_of(user, 1)
        of_user = self._of_users[user] + self._others.there_of_user(user)
        if of_user > self._places.connections_per_user:
            self._take_of(user, -1)
            return Limit.CONNECTIONS_PER_USER
        self._users[key] = user
        self._nobody.discard(key)
        self._take(self._open[key], 0, -1)
        return None

    @property
    def each_user(self) -> int:
        """How many one user may have."""
        return self._places.connections_per_user

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
        network, user = self._open.pop(key, None), self._users.pop(key, None)
        if network is not None:
            self._take(network, -1, -(key in self._nobody))
        if user is not None:
            self._take_of(user, -1)
        self._nobody.discard(key)

    def _full(self, network: str, chance: float) -> Limit | None:
        """What keeps somebody from `network` out who has taken a place already."""
        places, there = self._places, self._beside_one(network)
        if there.in_all >= places.connections:
            return Limit.CONNECTIONS
        if there.from_network >= places.connections_per_source:
            return Limit.CONNECTIONS_PER_SOURCE
        if places.unauthenticated_per_source.turns_away(there.nobodys_from_network, chance):
            return Limit.UNAUTHENTICATED_PER_SOURCE
        if places.unauthenticated.turns_away(there.nobodys, chance):
            return Limit.UNAUTHENTICATED
        return None

    def _beside_one(self, network: str) -> There:
        """How many there are, here and at the others, beside one of nobody's from `network`."""
        others = self._others.there(network)
        return There(
            others.in_all + self._taken.in_all - 1,
            others.nobodys + self._signing_in.in_all - 1,
            others.from_network + self._taken.by[network] - 1,
            others.nobodys_from_network + self._signing_in.by[network] - 1,
        )

    def _take(self, network: str, of_all: int, of_nobodys: int) -> None:
        self._taken.take(network, of_all)
        self._signing_in.take(network, of_nobodys)
        self._others.changes(network, of_all, of_nobodys)

    def _take_of(self, user: str, more: int) -> None:
        self._of_users[user] += more
        if not self._of_users[user]:
            del self._of_users[user]
        self._others.changes_of_user(user, more)
