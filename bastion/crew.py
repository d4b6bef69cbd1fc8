"""Tasks that belong to no connection, kept in one TaskGroup, their failures logged."""

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger(__name__)


class Crew:
    """Starts tasks in `group`. One that fails is logged and does not end the others."""

    def __init__(self, group: asyncio.TaskGroup):
        self._group = group

    def start(self, work: Coroutine[object, object, None], what: str) -> None:
        """Run `work` beside everything else; `what` names it in the log."""
        self._group.create_task(self._guarded(work, what), name=what)

    async def _guarded(self, work: Coroutine[object, object, None], what: str) -> None:
        try:
            await work
        except Exception:
            log.exception("%s failed", what)
