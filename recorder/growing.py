"""Recordings that grow: how far each has come is kept, to be held against its files later.

A seal speaks for what is over. Until then these checkpoints tell what was there already: when a
process was killed, and its recordings lie there without anybody who writes them, and while a
session lasts. What the disk is not known to have is never kept, so a power cut makes no suspicion.
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from recorder.manifest import Held
from recorder.pen import Pen
from recorder.plain import CHUNK
from recorder.recording import Recording
from recorder.seals import Beginning, Prefix
from recorder.syncing import Syncing


class Growing:
    """The recordings that are live, each with how far it had come when that was last kept.

    `keep` writes checkpoints down, and blocks. `now` gives the wall clock's time.
    """

    def __init__(
        self,
        syncing: Syncing,
        keep: Callable[[list[Prefix]], object],
        now: Callable[[], datetime],
    ) -> None:
        self._syncing = syncing
        self._keep = keep
        self._now = now
        self._kept: dict[Recording, tuple[int, ...]] = {}

    def add(self, recording: Recording) -> None:
        """It begins to grow."""
        self._kept[recording] = ()

    def remove(self, recording: Recording) -> None:
        """It is closed."""
        self._kept.pop(recording, None)

    async def checkpoint(self) -> None:
        """Keep how far all have come that have grown since the last time.

        Raises IndexUnavailable: then it is for the next time.
        """
        at = self._now()
        marked = {
            each: _prefix(each, at) for each, kept in self._kept.items() if _sizes(each) != kept
        }
        if not marked:
            return
        await self._syncing.sync()
        whole = {each: prefix for each, prefix in marked.items() if not each.broken}
        await asyncio.to_thread(self._keep, list(whole.values()))
        for each, prefix in whole.items():
            if each in self._kept:
                self._kept[each] = (prefix.shown.size, prefix.sent.size)


def stands(cast: Path, prefix: Prefix) -> list[tuple[Path, Held]]:
    """Both files of a recording, and what became of how each began."""
    sent = cast.with_suffix(".sent")
    return [(cast, _held(cast, prefix.shown)), (sent, _held(sent, prefix.sent))]


def worst(found: list[tuple[Path, Held]]) -> Held:
    """What became of a recording, of which this became of its files."""
    return max((held for _, held in found), key=list(Held).index)


def _sizes(recording: Recording) -> tuple[int, ...]:
    return tuple(pen.size for pen in recording.pens)


def _prefix(recording: Recording, at: datetime) -> Prefix:
    shown, sent = map(_beginning, recording.pens)
    return Prefix(recording.session, at, shown, sent)


def _beginning(pen: Pen) -> Beginning:
    return Beginning(pen.size, pen.sha256)


def _held(file: Path, began: Beginning) -> Held:
    """One that can't be read is not what it was."""
    digest, left = hashlib.sha256(), began.size
    try:
        with file.open("rb", buffering=0) as opened:
            while left and (chunk := opened.read(min(CHUNK, left))):
                digest.update(chunk)
                left -= len(chunk)
    except FileNotFoundError:
        return Held.CUT
    except OSError:
        return Held.CHANGED
    if left:
        return Held.CUT
    return Held.WHOLE if digest.hexdigest() == began.sha256 else Held.CHANGED
