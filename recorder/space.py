"""How much room there is for recordings, and what that leaves room for.

A disk that fills up must not lock everybody out, nor let anybody through unrecorded: first nothing
new begins, then what is live ends while its last lines can still be written, and what is kept back
for emergencies is theirs to the end. Whoever ends what is the caller.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

FEWEST_FILES = 1000
"""Files that must still fit: a file system can run out of inodes before it is full."""

BETTER = 1.05
"""How far above a mark there has to be room again before it counts: nothing flaps at a mark."""


class Room(IntEnum):
    """For what there is room. More is more."""

    NOTHING = 0
    EMERGENCIES = 1
    WHAT_IS_LIVE = 2
    EVERYTHING = 3

    def begins(self, *, emergency: bool) -> bool:
        """Whether a session may begin."""
        return self >= (Room.EMERGENCIES if emergency else Room.EVERYTHING)

    def goes_on(self, *, emergency: bool) -> bool:
        """Whether one that is live may go on."""
        return self >= (Room.EMERGENCIES if emergency else Room.WHAT_IS_LIVE)


@dataclass(frozen=True, slots=True)
class Marks:
    """Bytes that have to be free: for anything new, for what is live, for emergencies."""

    low: int
    reserve: int
    emergencies: int

    def fitted(self, total: int) -> "Marks":
        """On a small disk the marks are a tenth, a twentieth and a fiftieth of it at most."""
        return Marks(
            min(self.low, total // 10),
            min(self.reserve, total // 20),
            min(self.emergencies, total // 50),
        )

    def room(self, free: float) -> Room:
        """For what `free` bytes leave room."""
        marks = ((self.low, Room.EVERYTHING), (self.reserve, Room.WHAT_IS_LIVE))
        found = next((room for mark, room in marks if free >= mark), Room.EMERGENCIES)
        return found if free >= self.emergencies else Room.NOTHING

    def floor(self, room: Room) -> int:
        """Bytes that have to be free for it to stay at that."""
        marks = {Room.EVERYTHING: self.low, Room.WHAT_IS_LIVE: self.reserve}
        return 0 if room is Room.NOTHING else marks.get(room, self.emergencies)


@dataclass(frozen=True, slots=True)
class Disk:
    """What a file system says of itself; `files` is None where it has no limit for them."""

    total: int
    free: int
    files: int | None


class Space:
    """The disk below `directory`. `room` is as of the last look; `ask` says what there is.

    `floor` is how many bytes have to stay free for `room` to stay what it is.
    """

    def __init__(
        self, directory: Path, marks: Marks, ask: Callable[[Path], Disk] | None = None
    ) -> None:
        self._directory = directory
        self._marks = marks
        self._ask = ask or disk_of
        self.room = Room.EVERYTHING
        self.free = 0
        self.floor = 0

    def look(self) -> Room:
        """For what there is room now. A disk that does not answer has none. It blocks."""
        try:
            disk = self._ask(self._directory)
        except OSError:
            self.free, self.room = 0, Room.NOTHING
            return self.room
        self.free = disk.free
        self.room = self._judged(disk)
        self.floor = self._marks.fitted(disk.total).floor(self.room)
        return self.room

    def _judged(self, disk: Disk) -> Room:
        marks = self._marks.fitted(disk.total)
        room = marks.room(disk.free)
        if room > self.room:
            room = max(self.room, marks.room(disk.free / BETTER))
        if disk.files is not None and disk.files < FEWEST_FILES:
            return min(room, Room.WHAT_IS_LIVE if disk.files else Room.NOTHING)
        return room


def disk_of(directory: Path) -> Disk:
    """What there is for those who are not root. Raises OSError, also where nobody may write."""
    found = os.statvfs(directory)
    if found.f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    return Disk(
        found.f_blocks * found.f_frsize,
        found.f_bavail * found.f_frsize,
        found.f_favail if found.f_files else None,
    )
