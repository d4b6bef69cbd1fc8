"""Tasks that belong to no connection, kept in one TaskGroup, their failures logged."""

import asyncio
import logging
from collections.abc import Coroutine

from bastion.errors import BastionError
from recorder import RecorderError

log = logging.getLogger(__name__)


class Crew:
    """Starts tasks in `group`. One that fails is logged and does not end the others."""

    def __init__(self, group: asyncio.TaskGroup):
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[object, object, None], what: str) -> None:
        """Run `work` beside everything else; `what` names it in the log."""
        guarded = self._guarded(work, what)
        try:
            task = self._group.create_task(guarded, name=what)
        except RuntimeError:  # everything is ending: what is left open is closed at the end
            guarded.close()
            work.close()
        else:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settle(self, seconds: float) -> None:
        """Wait until all that was started is done, also what it starts; at most so long."""
        try:
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            log.error("%d tasks were not done in time", len(self._tasks))

    async def _guarded(self, work: Coroutine[object, object, None], what: str) -> None:
        try:
            await work
        except (BastionError, RecorderError) as error:
            log.error("%s: %s", what, error)
        except Exception:
            log.exception("%s failed", what)
