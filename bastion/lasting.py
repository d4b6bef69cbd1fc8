"""What is kept of a session while it lasts: its recording, its events, its place among the live.

Who carries it enters here first, and leaves when all is over.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bastion import happenings, metrics
from bastion.arrival import Parts
from bastion.events import Happened
from bastion.policy import Run
from bastion.relay import Relay
from bastion.tunnel import Tunnel
from bastion.watched import Watched
from recorder import EndReason, Kind, Recording, Session, SessionInfo


class Lasting:
    """For the sessions of one jump, or of several."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @asynccontextmanager
    async def session(
        self, info: SessionInfo, run: Run, side: Relay | Tunnel
    ) -> AsyncIterator[Recording]:
        """A recording, with the events of its beginning and its end; meanwhile it is live.

        Where somebody has to watch, `side` is to wait for that.
        """
        kept: Recording | None = None
        try:
            async with self._parts.archive.record(info) as kept:
                session = kept.session
                self._count_begin(kept, info)
                begun = happenings.of_session_begun
                self._parts.crew.start(self._tell_of(session, begun), f"S-{session} begins")
                watched = self._watched(info, side, kept) if run.watched else None
                self._parts.live.open(session, side, run.grant, run.identity, watched)
                yield kept
        finally:
            if kept is not None:
                session = kept.session
                self._count_end(kept, info)
                self._parts.live.closed(session)
                over = happenings.of_session_over
                self._parts.crew.start(self._tell_of(session, over), f"S-{session} ends")

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

    async def _tell_of(self, session: int, what: Callable[[Session], Happened]) -> None:
        """As the index has it. What can't be told now is told when the bastion starts again."""
        found = await asyncio.to_thread(self._parts.index.get, session)
        if found is not None:
            self._parts.chronicle.tell_soon(what(found))
