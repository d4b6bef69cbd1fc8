"""The threads of the control plane: a few verbs work at once, and many more may wait.

A verb works in a thread of its own and holds one of a few places there. While it waits, for a
person or for what happens, it lets go of that place, so that whoever waits keeps nobody from
working. How many wait is bounded too, in all and for each person.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from bastion.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Room:
    """How many verbs may work at once, wait, and be there at all; the latter two also for each
    person."""

    at_once: int = 4
    waiting: int = 64
    waiting_each: int = 8
    in_all: int = 256
    each: int = 64


ROOM = Room()


class Workers:
    """Runs verbs in threads. Made in the loop; `close` ends those that wait."""

    def __init__(self, room: Room = ROOM) -> None:
        self._room = room
        self._threads = ThreadPoolExecutor(room.at_once + room.waiting, "verbs")
        self._news = threading.Condition()
        self._queue: deque[object] = deque()
        self._working = 0
        self._waiting: Counter[str] = Counter()
        self._there: dict[Place, Callable[[], None]] = {}
        self._closed = False

    async def run(self, who: str, act: "Callable[[Place], int]", stop: Callable[[], None]) -> int:
        """What `act` gives, when it has had its turn in a thread. `who` is the person it is for.

        `stop` is called at most once, when everything ends: it has to end the waits of `act`.
        Raises Unavailable where too many are there.
        """
        place = Place(self, who)
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
        with self._news:
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
        with self._news:
            if self._closed:
                raise Unavailable("The bastion is going down; try again in a minute.")
            mine = sum(other.who == place.who for other in self._there)
            if len(self._there) >= self._room.in_all or mine >= self._room.each:
                raise Unavailable("Too much is being asked at once; try again in a moment.")
            self._there[place] = stop

    def _leave(self, place: "Place") -> None:
        with self._news:
            self._there.pop(place, None)
            if place.waits:
                self._waiting[place.who] -= 1
                self._waiting += Counter()  # drops those who have none left

    def take_turn(self) -> None:
        """Wait for a place to work at; first come, first served."""
        ticket = object()
        with self._news:
            self._queue.append(ticket)
            self._news.wait_for(lambda: self._queue[0] is ticket and self._free())
            self._queue.popleft()
            self._working += 1
            self._news.notify_all()

    def end_turn(self) -> None:
        """Give the place to the next one."""
        with self._news:
            self._working -= 1
            self._news.notify_all()

    def count_waiting(self, who: str) -> None:
        """One more of this person's waits. Raises Unavailable where too many do."""
        with self._news:
            if self._waiting[who] >= self._room.waiting_each:
                number = self._room.waiting_each
                raise Unavailable(f"{number} commands of yours are waiting already: end one first.")
            if self._waiting.total() >= self._room.waiting:
                raise Unavailable("Too many commands are waiting already; try again later.")
            self._waiting[who] += 1

    def _free(self) -> bool:
        return self._working < self._room.at_once


class Place:
    """One verb's place among the workers, in its thread."""

    def __init__(self, workers: Workers, who: str) -> None:
        self.who = who
        self.waits = False
        self._workers = workers
        self._held = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let others work while this one waits, in the block; where that raises, for good.

        A verb that has waited once counts as one that waits until it ends, so that nobody can
        come between two of its waits. Raises Unavailable where too many wait.
        """
        if not self.waits:
            self._workers.count_waiting(self.who)
            self.waits = True
        self.give()
        yield
        self.take()

    def take(self) -> None:
        """Wait for one's turn, unless one has it."""
        if not self._held:
            self._workers.take_turn()
            self._held = True

    def give(self) -> None:
        """Let others have it."""
        if self._held:
            self._held = False
            self._workers.end_turn()
