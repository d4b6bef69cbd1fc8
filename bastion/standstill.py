"""Whether a session goes on: while it is frozen, what would pass waits, in its order.

What could come without end is stopped where it is read; here is what was on its way by then, and
what each side says only once.
"""

from collections.abc import Callable

from bastion.latch import Latch


class Standstill:
    """Of one session. It begins moving."""

    def __init__(self) -> None:
        self.frozen = False
        self._put_off: dict[object, Callable[[], None]] = {}
        self._moves = Latch()
        self._moves.set()

    def begin(self) -> None:
        """Nothing passes from now on."""
        self.frozen = True
        self._moves.clear()

    def put_off(self, act: Callable[[], None], kind: str | None = None) -> bool:
        """Whether `act` has to wait: then it is done at the end. Of a `kind` the last one is."""
        if self.frozen:
            self._put_off[kind or object()] = act
        return self.frozen

    def end(self) -> None:
        """It goes on, with what was put off."""
        self.frozen = False
        put_off, self._put_off = self._put_off, {}
        for act in put_off.values():
            act()
        self._moves.set()

    def give_up(self) -> None:
        """It is over: nothing of what was put off is done, and nobody waits any more."""
        self._put_off.clear()
        self.end()

    async def over(self) -> None:
        """Wait until it moves."""
        while self.frozen:
            await self._moves.wait()
