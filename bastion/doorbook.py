"""The doorbook: who has come in by a jump, as which login, and who has left.

Nobody waits for these lines, and every jump has two of them. So they are written a moment later,
all that came meanwhile in one transaction; while the database is away they wait.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from bastion.crew import Crew
from bastion.jumps import Passage
from recorder import Arrears

NOT_KEPT: Final = 0
"""The number of a jump that could not be written down; it is refused."""

SOON: Final = 0.1
"""Seconds until a line is written; a process that is killed loses those of so long."""


class Doorbook:
    """Written by `keep`, which blocks, as far as the database is there; else by `arrears`.

    `now` gives the time of each line. For one loop.
    """

    def __init__(
        self,
        keep: Callable[[Sequence[Passage]], None],
        now: Callable[[], datetime],
        arrears: Arrears,
        crew: Crew,
    ) -> None:
        self._keep = keep
        self._now = now
        self._arrears = arrears
        self._crew = crew
        self._lines: list[Passage] = []

    def came_in(self, connection: int, login: str) -> None:
        """Door 2 has let somebody in."""
        self._note(Passage(connection, self._now(), login))

    def left(self, connection: int) -> None:
        """The jump is over."""
        if connection != NOT_KEPT:
            self._note(Passage(connection, self._now()))

    def _note(self, line: Passage) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            self._crew.start(self._write(), "the doorbook")

    async def _write(self) -> None:
        await asyncio.sleep(SOON)
        lines, self._lines = self._lines, []
        await self._arrears.do(partial(self._keep, lines))
