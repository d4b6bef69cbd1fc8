"""Compacting what is over and sealed: which recordings, when, and with how much room.

The work is done in a process of its own (`compactor`), one recording after another, the oldest
first. It may use what the disk has above the mark that it stands at, so it never brings about that
sessions end, nor that none begins; on a disk that is short of room it is what makes some.
"""

import asyncio
import contextlib
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from recorder.compaction import SMALLEST, Done, aside_of
from recorder.compactor import LONGEST, answer, job
from recorder.errors import NotCompacted
from recorder.index import Index
from recorder.plain import ZST
from recorder.seal import MANIFEST
from recorder.session import Compaction, Session
from recorder.space import Space

LONGEST_WAIT: Final = 600.0
SLOWEST: Final = 256 * 1024
"""Seconds, and bytes a second: one that takes longer is given up."""

FIRST: Final = timedelta(minutes=1)
LAST: Final = timedelta(hours=1)
"""How long one that could not be compacted is left alone: at first, and at most."""

MOST_TOLD: Final = 20
"""Sentences of one round."""

_PAGE = 100
_MOST_WAITING = 10_000


Told = Callable[[Session, str], None]
"""Is told of a corrupt recording and why, perhaps twice. Raises NotCompacted."""


class Compacting:
    """Compacts the recordings of one archive, `after` their sessions have ended.

    `now` gives the wall clock's time. One at a time has to do it.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        space: Space,
        *,
        after: timedelta,
        told: Told,
        now: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._index = index
        self._space = space
        self._after = after
        self._told = told
        self._now = now
        self._waiting: dict[int, tuple[datetime, timedelta]] = {}
        self._process: Process | None = None
        self._at: Session | None = None

    async def run(self) -> list[str]:
        """Compact all that is due; sentences on what could not be. Raises IndexUnavailable.

        Cancelling ends the work at once: the recording that it was at stays as it was.
        """
        problems: list[str] = []
        last = 0
        try:
            while numbers := await asyncio.to_thread(self._due, last):
                last = numbers[-1]
                for session in await asyncio.to_thread(self._worth, numbers):
                    if (problem := await self._compact(session)) is not None:
                        problems.append(problem)
        finally:
            await self._stop()
        return _in_short(problems)

    def _due(self, last: int) -> list[int]:
        return self._index.uncompacted(self._now() - self._after, limit=_PAGE, after=last)

    def _worth(self, numbers: Sequence[int]) -> list[Session]:
        """Those that would be smaller; the small ones are done with. A row that can't be read is
        told of by `verify`."""
        read = self._index.read(numbers)
        page = [each for number in numbers if (each := read.get(number)) is not None]
        small = [each.id for each in page if each.recording.size <= SMALLEST]
        if small:
            self._index.compacted(small, Compaction.KEPT)
        now = self._now()
        return [
            each
            for each in page
            if each.recording.size > SMALLEST
            and (each.id not in self._waiting or self._waiting[each.id][0] <= now)
            and self._lies_here(each)
        ]

    def _lies_here(self, session: Session) -> bool:
        """Whether there is anything of it: another machine's recordings lie there.

        A row is not sealed: what does not name a file of its own is none of ours.
        """
        own = rf"[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}}/{session.name}(-[0-9]{{1,2}})?\.cast"
        if re.fullmatch(own, session.recording.path) is None:
            return False
        plain = self._directory / session.recording.path
        names = (plain.name, f"{plain.name}{ZST}", plain.with_suffix(MANIFEST).name)
        return any(plain.with_name(name).exists() for name in names)

    async def _compact(self, session: Session) -> str | None:
        """Compact one; what there is to say of it, if anything."""
        done = await self._done(session)
        try:
            if isinstance(done, str):
                raise NotCompacted(done)
            await asyncio.to_thread(self._keep, session, done)
        except NotCompacted as error:
            self._leave_alone(session.id)
            return f"{session.name} is not compacted yet: {error}"
        self._waiting.pop(session.id, None)
        if done.compaction is not Compaction.CORRUPT:
            return None
        return f"{session.name} is corrupt and stays as it is: {done.sentence}"

    async def _done(self, session: Session) -> Done | str:
        recording = session.recording
        if recording.sha256 is None:
            return Done(Compaction.CORRUPT, sentence="its row has no SHA-256")
        await asyncio.to_thread(self._space.look)
        asked = job(recording.path, recording.sha256, recording.size, self._space.floor)
        return await self._asked(session, asked)

    def _keep(self, session: Session, done: Done) -> None:
        if done.compaction is Compaction.CORRUPT:
            now = self._index.get(session.id)
            if now is None or now.recording.let_go_at is not None:
                raise NotCompacted("it was let go meanwhile")
            self._told(session, done.sentence)
        if done.compaction is Compaction.COMPACTED:
            self._index.compacted([session.id], done.compaction, done.size, done.points)
        else:
            self._index.compacted([session.id], done.compaction)

    def _leave_alone(self, session: int) -> None:
        """For twice as long as before."""
        before = self._waiting.pop(session, None)
        pause = FIRST if before is None else min(2 * before[1], LAST)
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[session] = (self._now() + pause, pause)

    # The process

    async def _asked(self, session: Session, asked: bytes) -> Done | str:
        """What the compactor answers; what it has left behind where it can't any more."""
        process = self._process or await self._started()
        limit = LONGEST_WAIT + session.recording.size / SLOWEST
        self._at = session
        try:
            async with asyncio.timeout(limit):
                done = answer(await _said(process, asked))
        except (OSError, ValueError) as error:
            await self._stop()
            late = isinstance(error, TimeoutError)
            return f"it took over {limit:.0f} s" if late else f"the compactor ended: {error}"
        self._at = None
        return done

    async def _started(self) -> Process:
        program = (sys.executable, "-P", "-m", "recorder.compactor", str(self._directory))
        self._process = await asyncio.create_subprocess_exec(
            *program, stdin=PIPE, stdout=PIPE, limit=LONGEST, start_new_session=True
        )
        return self._process

    async def _stop(self) -> None:
        """Nothing of it is left, nor of what it was at."""
        process, self._process = self._process, None
        session, self._at = self._at, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        if session is not None:
            with contextlib.suppress(OSError):
                aside_of(self._directory / session.recording.path).unlink(missing_ok=True)


def _in_short(problems: list[str]) -> list[str]:
    more = len(problems) - MOST_TOLD
    return problems if more <= 0 else [*problems[:MOST_TOLD], f"and so are {more} more"]


async def _said(process: Process, asked: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise ValueError("it has no pipes")
    process.stdin.write(asked)
    await process.stdin.drain()
    line = await process.stdout.readline()
    if not line:
        raise ValueError(f"status {await process.wait()}")
    return line
