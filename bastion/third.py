"""Door 3: may that run, as things stand at this moment; asked again whenever time has passed.

A connection is kept for hours, a target takes its time to be reached, and a session may have to
wait for somebody who watches. Each time the doors before it are asked too.
"""

import asyncio
from typing import Final

from bastion.arrival import Arrival, Parts
from bastion.denials import Denial, Reason
from bastion.errors import Unavailable
from bastion.lasting import Lasting
from bastion.policy import Ask, Permit, Run, may_login, may_run
from bastion.relay import Relay
from bastion.tunnel import Tunnel
from bastion.watched import waits
from recorder import Ceiling, EndReason, Recording

_ENDS: Final = {
    Reason.CLOSING: EndReason.DRAINED,
    Reason.DISK: EndReason.LIMIT,
    Reason.EXPIRED: EndReason.EXPIRED,
    Reason.UNAVAILABLE: EndReason.LOST,
}
"""How a session ends that was refused when somebody came to watch; else it was revoked."""


class Third:
    """Door 3 of one jump. All raise Unavailable."""

    def __init__(self, arrival: Arrival, parts: Parts, lasting: Lasting) -> None:
        self._arrival = arrival
        self._parts = parts
        self._lasting = lasting

    async def may_begin(self, permit: Permit, ask: Ask) -> tuple[Run | Denial, Ceiling | None]:
        """The answer, and whether the session would be one too many: in one look."""

        def asked() -> tuple[Run | Denial, Ceiling | None]:
            answer = self._asked(permit, ask)
            return answer, (self._lasting.full(answer) if isinstance(answer, Run) else None)

        if self._parts.live.closing:
            return _going_down(), None
        answer, full = await asyncio.to_thread(asked)
        return self._recordable(answer), full

    async def no_more(self, permit: Permit, run: Run) -> Denial | None:
        """Why not, by now, what was let through some time ago."""
        still = await self._may_run(permit, run.ask)
        if isinstance(still, Denial):
            return still
        if still.grant.id == run.grant.id:
            return None
        return Denial(Reason.CHANGED, "what is granted here has just changed; try again.")

    async def until_watched(
        self, side: Relay | Tunnel, recording: Recording, permit: Permit, run: Run
    ) -> Denial | None:
        """Wait until somebody watches, where somebody has to; and why it may not begin then."""
        if not run.watched or not await side.watched(waits(recording.session)):
            return None
        try:
            no_more = await self.no_more(permit, run)
        except Unavailable as error:
            no_more = Denial(Reason.UNAVAILABLE, str(error))
        if no_more is not None:
            recording.end(_ENDS.get(no_more.reason, EndReason.REVOKED))
        return no_more

    async def _may_run(self, permit: Permit, ask: Ask) -> Run | Denial:
        if self._parts.live.closing:
            return _going_down()
        return self._recordable(await asyncio.to_thread(self._asked, permit, ask))

    def _asked(self, permit: Permit, ask: Ask) -> Run | Denial:
        """Behind doors 1 and 2 as they stand now. Blocks."""
        reach = self._arrival.knock()
        now = self._parts.clock.now()
        fresh = reach if isinstance(reach, Denial) else may_login(reach, permit.login, now)
        return fresh if isinstance(fresh, Denial) else may_run(fresh, ask, now)

    def _recordable(self, answer: Run | Denial) -> Run | Denial:
        if isinstance(answer, Run) and not self._parts.live.takes(answer.grant):
            sentence = "nothing can be recorded now, so nothing goes through; try later."
            return Denial(Reason.DISK, sentence)
        return answer


def _going_down() -> Denial:
    return Denial(Reason.CLOSING, "the bastion is going down; try again in a minute.")
