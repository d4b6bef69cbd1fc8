"""What is kept of a session while it lasts: its recording, its events, its place among the live.

Who carries it enters here first, and leaves when all is over.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager

from bastion import metrics
from bastion.arrival import Arrival, Parts
from bastion.errors import Unavailable
from bastion.grants import Grant
from bastion.idling import Moved, Unused
from bastion.limits import CROWDED, Limit
from bastion.live import Cuttable
from bastion.policy import Permit, Run
from bastion.prompt import Prompt
from bastion.reached import Case
from bastion.relay import Relay
from bastion.tunnel import Tunnel
from bastion.watched import Watched
from bastion.wire.connections import ServerConnection
from recorder import (
    Ceiling,
    Ceilings,
    EndReason,
    Kind,
    Recording,
    SessionInfo,
    TooMany,
    Whose,
)

_LIMITS = {
    Ceiling.IN_ALL: Limit.SESSIONS,
    Ceiling.EACH_USER: Limit.SESSIONS_PER_USER,
    Ceiling.EACH_GRANT: Limit.SESSIONS_PER_GRANT,
    Ceiling.EACH_HOST: Limit.SESSIONS_PER_HOST,
}


AGAIN = (0.2, 0.5)
"""Seconds before each further look whether there is room for one more session."""


class Lasting:
    """For the sessions of one jump, or of several."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @asynccontextmanager
    async def session(
        self, info: SessionInfo, run: Run, side: Relay | Tunnel
    ) -> AsyncIterator[Recording]:
        """A recording, with the events of its beginning and its end; meanwhile it is live.

        Where somebody has to watch, `side` is to wait for that. Raises Unavailable where as many
        sessions go on as may.
        """
        kept: Recording | None = None
        try:
            async with self._parts.archive.record(info, self._ceilings(run)) as kept:
                session = kept.session
                self._count_begin(kept, info)
                watched = self._watched(info, side, kept) if run.watched else None
                self._parts.live.open(session, side, run.grant, run.identity, watched)
                self._watch_idle(session, side, _passed(kept), run.grant, _case(Limit.IDLE, run))
                yield kept
        except TooMany as error:
            raise self._too_many(run, error.ceiling) from None
        finally:
            if kept is not None:
                session = kept.session
                self._count_end(kept, info)
                self._parts.live.closed(session)
                self._parts.idling.ends(session)

    @contextmanager
    def prompting(self, prompt: Prompt, grant: Grant, permit: Permit) -> Iterator[None]:
        """Somebody waits at a guided prompt: no session, but it ends as one."""
        who = permit.identity
        key = self._parts.live.prompting(prompt, grant, who)
        case = Case(Limit.IDLE, who.source, who.user.name, permit.host.name, grant.id)
        self._watch_idle(key, prompt, lambda: prompt.moved, grant, case)
        try:
            yield
        finally:
            self._parts.idling.ends(key)
            self._parts.live.closed(key)

    def full(self, run: Run) -> Ceiling | None:
        """What would keep its session from beginning now. Blocks; raises IndexUnavailable."""
        ceilings = self._ceilings(run)
        if ceilings is None:
            return None
        whose = Whose(run.identity.user.name, run.grant.id, run.host.name)
        return self._parts.index.full(whose, ceilings)

    async def demand_room(self, run: Run, full: Ceiling | None) -> None:
        """Raises Unavailable where as many sessions go on as may: before anything is spent on it.

        `full` is what the answer was a moment ago. A session that has just ended is still being
        closed, so this is asked again before that is the last one. Between this and the beginning
        others may begin; then that raises it.
        """
        for later in AGAIN:
            if full is None:
                return
            await asyncio.sleep(later)
            full = await asyncio.to_thread(self.full, run)
        if full is not None:
            raise self._too_many(run, full)

    def unused(self, key: Hashable, connection: ServerConnection, arrival: Arrival) -> None:
        """End a jump on which nothing is open for too long; whoever calls this ends it by `key`."""
        who, most = arrival.identity, self._parts.unused
        if most is not None:
            case = Case(Limit.IDLE, who.source, who.user.name, arrival.asked)
            side = Unused(lambda sentence: connection.say_last(f"bastion: {sentence}"))
            self._parts.idling.begins(key, side, connection.used, most, case)

    def _watch_idle(self, key: int, side: Cuttable, moved: Moved, grant: Grant, case: Case) -> None:
        most = self._parts.idle(grant)
        if most is not None:
            self._parts.idling.begins(key, side, moved, most, case)

    def _ceilings(self, run: Run) -> Ceilings | None:
        """Break-glass is for when everything else fails, so nothing that is full keeps it out."""
        return None if run.grant.emergency else self._parts.ceilings

    def _too_many(self, run: Run, ceiling: Ceiling) -> Unavailable:
        limit, most = _LIMITS[ceiling], self._parts.ceilings
        self._parts.reached.note(_case(limit, run))
        number = most.each_user if ceiling is Ceiling.EACH_USER else most.each_grant
        sentence = CROWDED[limit].format(grant=run.grant, host=run.host.name, most=number)
        return Unavailable(sentence)

    def _count_begin(self, recording: Recording, info: SessionInfo) -> None:
        self._parts.traffic.begins(recording)
        self._parts.meters.count(metrics.BEGUN, info.kind)
        self._parts.meters.count(metrics.LIVE, info.kind)

    def _count_end(self, recording: Recording, info: SessionInfo) -> None:
        self._parts.traffic.ends(recording)
        reason = recording.reason or EndReason.CLOSED
        self._parts.meters.count(metrics.ENDED, info.kind, reason)
        self._parts.meters.count(metrics.LIVE, info.kind, by=-1)

    def _watched(self, info: SessionInfo, side: Relay | Tunnel, recording: Recording) -> Watched:
        parts = self._parts
        return Watched(
            recording.session,
            info,
            side,
            parts.watch_wait,
            hides=lambda: info.kind is not Kind.FORWARD and recording.hides,
            tell=parts.chronicle.tell_soon,
            now=parts.clock.now(),
        )


def _passed(recording: Recording) -> Moved:
    return lambda: (recording.bytes_in, recording.bytes_out)


def _case(limit: Limit, run: Run) -> Case:
    who = run.identity
    return Case(limit, who.source, who.user.name, run.host.name, run.grant.id)
