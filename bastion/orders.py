"""The orders of hosts and logins: who may be among a target's paths, and for how long.

`bastion.sftp.order` says who goes when in this process, `bastion.across` when this process may.
Here is the clock: whoever keeps others waiting too long
is ended first, and nobody is let in while one is still in the middle. An order is forgotten when
nobody uses it.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from bastion.across import Across, Shared, Unshared
from bastion.errors import Unavailable
from bastion.inventory import Host
from bastion.sftp.order import Queue, Turn

PATIENCE = 10.0
"""Seconds that others wait for one operation on paths, before its session is ended."""

SETTLE = 2.0
"""Seconds that a target gets to be done with what it was asked by a session that is gone."""

_OVERDUE = (
    "an operation on a path took more than {patience:g} s while another session waited to go on, "
    "so this session is over."
)


AGAIN = 0.005
"""Seconds until it is tried again whether another process lets one in."""

LOOK = 1.0
"""Seconds between two looks whether another process waits for who is in."""


class Orders:
    """The order of each host and login. `patience` and `settle` are in seconds.

    `shared` is where the processes of one home meet; None where there is one only.
    """

    def __init__(
        self, patience: float = PATIENCE, settle: float = SETTLE, shared: Path | None = None
    ):
        self._shared = shared
        self._patience = patience
        self._settle = settle
        self._kept: WeakValueDictionary[tuple[str, int, str], Line] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, host: Host, login: str) -> "Line":
        """The one order of all sessions as `login` on `host`, by whichever name it is known."""
        key = (host.address.lower(), host.port, login)
        line = self._kept.get(key)
        if line is None:
            line = self._kept[key] = Line(self._patience, self._settle, self._across(key))
        return line

    def _across(self, key: tuple[str, int, str]) -> Across:
        if self._shared is None:
            return Unshared()
        try:
            return Shared(self._shared, "\0".join(map(str, key)))
        except OSError as error:
            raise Unavailable(f"{self._shared} can't be used: {error.strerror}.") from error


class Line:
    """An order with a clock; `patience` and `settle` are in seconds.

    Who may go on is called from the loop, never from inside of who leaves. Whoever has its turn in
    this process and not yet among all of them is in the `_hall`.
    """

    def __init__(self, patience: float, settle: float, across: Across | None = None):
        self._queue = Queue()
        self._across = across or Unshared()
        self._hall: dict[Turn, asyncio.TimerHandle] = {}
        self._looking: asyncio.TimerHandle | None = None
        self._patience = patience
        self._settle = settle
        self._patiently: dict[Turn, asyncio.TimerHandle] = {}
        self._settling: dict[Turn, asyncio.TimerHandle] = {}

    def enter(self, turn: Turn, *, alone: bool) -> bool:
        """Whether it may go at once; if not, it is called."""
        entered = self._queue.enter(turn, alone=alone) and self._admitted(turn)
        self._watch()
        return entered

    def leave(self, turn: Turn) -> None:
        """It is done, and whoever may go now is called."""
        _stop(self._patiently, turn)
        _stop(self._settling, turn)
        if turn in self._hall:
            self._hall.pop(turn).cancel()
            if not self._hall:
                self._across.forgo()
        elif turn in self._queue.inside:
            self._across.leave()
        for called in self._queue.leave(turn):
            if self._admitted(called):
                asyncio.get_running_loop().call_soon(called.called)
        self._watch()

    def abandon(self, turn: Turn) -> None:
        """It is gone. Where it may have been changing something, nobody is let in for a while."""
        if self._queue.alone(turn) and turn not in self._hall:
            _stop(self._patiently, turn)
            self._let_settle(turn)
        else:
            self.leave(turn)

    def _admitted(self, turn: Turn) -> bool:
        """Whether the other processes let it in, too; else that is tried until they do."""
        if self._across.enter(alone=self._queue.alone(turn)):
            return True
        self._hall[turn] = _later(AGAIN, partial(self._knock, turn))
        return False

    def _knock(self, turn: Turn) -> None:
        del self._hall[turn]
        if self._admitted(turn):
            turn.called()
            self._watch()

    def _look(self) -> None:
        self._looking = None
        self._watch()

    def _watch(self) -> None:
        """Whoever is in has so long from when somebody began to wait, here or elsewhere."""
        inside = len(self._queue.inside) > len(self._hall)
        if inside and self._looking is None and not isinstance(self._across, Unshared):
            self._looking = _later(LOOK, self._look)
        if not self._queue.waiting and not (inside and self._across.wanted()):
            for turn in tuple(self._patiently):
                _stop(self._patiently, turn)
            return
        for turn in self._queue.inside:
            if turn not in self._hall and not (turn in self._patiently or turn in self._settling):
                self._patiently[turn] = _later(self._patience, partial(self._late, turn))

    def _late(self, turn: Turn) -> None:
        """It does not go on from here: so it is out in a while, whether it says so or not."""
        del self._patiently[turn]
        self._let_settle(turn)
        turn.overdue(_OVERDUE.format(patience=self._patience))

    def _let_settle(self, turn: Turn) -> None:
        _stop(self._settling, turn)
        self._settling[turn] = _later(self._settle, partial(self.leave, turn))


def _later(seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, act)


def _stop(timers: dict[Turn, asyncio.TimerHandle], turn: Turn) -> None:
    if (timer := timers.pop(turn, None)) is not None:
        timer.cancel()
