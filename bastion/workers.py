"""The threads of the control plane: a few verbs work at once, and many more may wait.

A verb works in a thread of its own and holds one of a few places there. While it waits, for a
person or for what happens, it lets go of that place, so that whoever waits keeps nobody from
working. How many wait is bounded too, in all and for each person.

A verb that stays long, because it reads a whole recording or follows one, does so in a room
apart: it takes no place of those that are soon done, and those who stay are bounded as well.
"""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from bastion.errors import Unavailable


class Stay(Enum):
    """What a verb stays for; the value completes the sentence "so many of yours … already"."""

    READING = "read recordings"
    WATCHING = "follow recordings"
    VERIFYING = "verify all recordings"


_TAKEN = {
    Stay.READING: "Too many recordings are being read already; try again later.",
    Stay.WATCHING: "Too many recordings are being followed already; try again later.",
    Stay.VERIFYING: "All recordings are being verified already; try again later.",
}


@dataclass(frozen=True, slots=True)
class Stays:
    """How many may stay for one thing, in all and of each person; `at_once` of them work.

    After each small piece of long work one rests, `rest` times as long as the piece took the
    processor, and one after the other: so that live sessions have it, however many stay.
    """

    at_once: int
    in_all: int
    each: int
    rest: float


@dataclass(frozen=True, slots=True)
class Room:
    """How many verbs may work at once, wait, and be there at all; the latter two also for each
    person. The last three are for those that stay."""

    at_once: int = 4
    waiting: int = 64
    waiting_each: int = 8
    in_all: int = 256
    each: int = 64
    reading: Stays = Stays(at_once=1, in_all=16, each=4, rest=0.5)
    watching: Stays = Stays(at_once=4, in_all=48, each=8, rest=3)
    verifying: Stays = Stays(at_once=1, in_all=1, each=1, rest=1)

    def stays(self, stay: Stay) -> Stays:
        """What holds for those that stay for it."""
        return {
            Stay.READING: self.reading,
            Stay.WATCHING: self.watching,
            Stay.VERIFYING: self.verifying,
        }[stay]


ROOM = Room()


class Turns:
    """So many at once; who comes first is served first. `rest` is as `Stays` has it."""

    def __init__(self, at_once: int, rest: float = 0.0) -> None:
        self._rest = rest
        self._resting = threading.Lock()
        self._at_once = at_once
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._taken = 0

    def take(self) -> None:
        """Wait for one's turn."""
        with self._lock:
            if self._taken < self._at_once:
                self._taken += 1
                return
            called = threading.Event()
            self._queue.append(called)
        called.wait()

    def give(self) -> None:
        """Hand one's turn to whoever waits longest."""
        with self._lock:
            if self._queue:
                self._queue.popleft().set()
            else:
                self._taken -= 1

    def rest(self, worked: float) -> None:
        """Rest after so many seconds of work, one after the other."""
        if self._rest:
            with self._resting:
                time.sleep(self._rest * worked)


class Workers:
    """Runs verbs in threads. Made in the loop; `close` ends those that wait."""

    def __init__(self, room: Room = ROOM) -> None:
        self._room = room
        many = room.at_once + room.waiting + sum(room.stays(stay).in_all for stay in Stay)
        self._threads = ThreadPoolExecutor(many, "verbs")
        self._lock = threading.Lock()
        self._turns = Turns(room.at_once)
        self._turns_apart = {
            stay: Turns(room.stays(stay).at_once, room.stays(stay).rest) for stay in Stay
        }
        self._waiting: Counter[str] = Counter()
        self._there: dict[Place, Callable[[], None]] = {}
        self._closed = False

    async def run(self, who: str, act: "Callable[[Place], int]", stop: Callable[[], None]) -> int:
        """What `act` gives, when it has had its turn in a thread. `who` is the person it is for.

        `stop` is called at most once, when everything ends: it has to end the waits of `act`.
        Raises Unavailable where too many are there.
        """
        place = Place(self, who, self._turns)
        self._enter(place, stop)
        try:
            work = self._threads.submit(self._turn, place, act)
        except RuntimeError:  # closed meanwhile
            self._leave(place)
            raise Unavailable("The bastion is going down; try again in a minute.") from None
        work.add_done_callback(lambda _: self._leave(place))
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """Begin nothing more, and end what waits."""
        with self._lock:
            self._closed = True
            stops = list(self._there.values())
        for stop in stops:
            stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _turn(self, place: "Place", act: "Callable[[Place], int]") -> int:
        place.take()
        try:
            return act(place)
        finally:
            place.give()

    def _enter(self, place: "Place", stop: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                raise Unavailable("The bastion is going down; try again in a minute.")
            mine = sum(other.who == place.who for other in self._there)
            if len(self._there) >= self._room.in_all or mine >= self._room.each:
                raise Unavailable("Too much is being asked at once; try again in a moment.")
            self._there[place] = stop

    def _leave(self, place: "Place") -> None:
        with self._lock:
            self._there.pop(place, None)
            self._wait_no_more(place)

    def _wait_no_more(self, place: "Place") -> None:
        if place.waits:
            place.waits = False
            self._waiting[place.who] -= 1
            self._waiting += Counter()  # drops those who have none left

    def count_waiting(self, place: "Place") -> None:
        """One more of this person's waits. Raises Unavailable where too many do."""
        with self._lock:
            if self._waiting[place.who] >= self._room.waiting_each:
                number = self._room.waiting_each
                raise Unavailable(f"{number} commands of yours are waiting already: end one first.")
            if self._waiting.total() >= self._room.waiting:
                raise Unavailable("Too many commands are waiting already; try again later.")
            self._waiting[place.who] += 1
            place.waits = True

    def let_stay(self, place: "Place", stay: Stay) -> Turns:
        """Count it among those who stay, and no more among those who wait.

        Gives the turns that they take. Raises Unavailable where too many stay.
        """
        bounds = self._room.stays(stay)
        with self._lock:
            those = [other.who for other in self._there if other.stay is stay]
            if len(those) >= bounds.in_all:
                raise Unavailable(_TAKEN[stay])
            if those.count(place.who) >= bounds.each:
                number = bounds.each
                raise Unavailable(
                    f"{number} commands of yours {stay.value} already: end one first."
                )
            self._wait_no_more(place)
            place.stay = stay
        return self._turns_apart[stay]


class Place:
    """One verb's place among the workers, in its thread."""

    def __init__(self, workers: Workers, who: str, turns: Turns) -> None:
        self.who = who
        self.waits = False
        self.stay: Stay | None = None
        self._workers = workers
        self._turns = turns
        self._held = False
        self._worked = 0.0

    def settle(self, stay: Stay) -> None:
        """Stay for this from now on, to the end. Raises Unavailable where too many do."""
        if self.stay is stay:
            return
        turns = self._workers.let_stay(self, stay)
        self.give()
        self._turns = turns
        self.take()
        self._worked = time.thread_time()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let others work while this one waits, in the block; where that raises, for good.

        A verb that has waited once counts as one that waits until it ends, so that nobody can
        come between two of its waits; one that stays counts there. Raises Unavailable where too
        many wait.
        """
        if not self.waits and self.stay is None:
            self._workers.count_waiting(self)
        self.give()
        yield
        self.take()
        self._worked = time.thread_time()

    def breathe(self) -> None:
        """Rest after a piece of long work; whoever waits for a turn has it before this goes on."""
        worked = time.thread_time() - self._worked
        self.give()
        self._turns.rest(worked)
        self.take()
        self._worked = time.thread_time()

    def take(self) -> None:
        """Wait for one's turn, unless one has it."""
        if not self._held:
            self._turns.take()
            self._held = True

    def give(self) -> None:
        """Let others have it."""
        if self._held:
            self._held = False
            self._turns.give()
