"""What a client has open: files and directories, and how much went over in each. Pure.

A client knows handles that we made; the target's own stay here, so that no client can use the
handle of another session, or one that was closed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bastion.sftp.fields import Buffer
from recorder import DONE, Direction, FileEvent

MOST = 1000
"""Files and directories that one session has open at a time."""

WORDS = {Direction.READ: "get", Direction.WRITE: "put"}


MOST_EARLY = 4 << 20
"""Bytes of one session that are kept because some before them have not gone over yet."""


@dataclass(slots=True)
class Allowance:
    """How many bytes a session may still keep."""

    left: int = MOST_EARLY

    def take(self, count: int) -> bool:
        """Whether there was room for so many."""
        fits = count <= self.left
        self.left -= count if fits else 0
        return fits


@dataclass(slots=True)
class Track:
    """The bytes that went one way: how many, and their SHA-256, as they lie in the file.

    Clients send pieces ahead of their turn: these are kept, as far as there is room, until those
    before them have gone. Where pieces are missing, or went twice, it is not `sequential`: the
    SHA-256 is then of the pieces as they went, those that were kept before those that were not.
    """

    allowance: Allowance = field(default_factory=Allowance)
    bytes: int = 0
    _next: int = 0
    _in_order: bool = True
    _early: dict[int, Buffer] = field(default_factory=dict)
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def went(self, offset: int, data: Buffer) -> None:
        """`data` has gone over, from `offset` in the file."""
        self.bytes += len(data)
        if not self._in_order:
            self._digest.update(data)
        elif offset == self._next:
            self._follow(data)
        elif self._is_early(offset) and self.allowance.take(len(data)):
            self._early[offset] = bytes(data)
        else:
            self._scatter()
            self._digest.update(data)

    def over(self) -> None:
        """No more will come, so nothing is kept."""
        if self._early:
            self._scatter()

    @property
    def sequential(self) -> bool:
        """Whether all went once, from the beginning of the file on; asked when it is over."""
        return self._in_order

    @property
    def sha256(self) -> str:
        """In hex."""
        return self._digest.hexdigest()

    def _is_early(self, offset: int) -> bool:
        return offset > self._next and offset not in self._early

    def _follow(self, data: Buffer | None) -> None:
        while data is not None:
            self._digest.update(data)
            self._next += len(data)
            data = self._early.pop(self._next, None)
            self.allowance.left += 0 if data is None else len(data)

    def _scatter(self) -> None:
        self._in_order = False
        for offset in sorted(self._early):
            data = self._early.pop(offset)
            self.allowance.left += len(data)
            self._digest.update(data)


@dataclass(slots=True)
class Opened:
    """One open file, or a directory: then `limits` is empty.

    `path` is the real one, `theirs` the target's handle, `limits` has each granted direction with
    the most bytes that the file may have.
    """

    ours: bytes
    theirs: bytes
    path: bytes
    limits: Mapping[Direction, int | None]
    allowance: Allowance
    tracks: dict[Direction, Track] = field(init=False)
    result: str = DONE
    refused: bool = False

    def __post_init__(self) -> None:
        self.tracks = {way: Track(self.allowance) for way in self.limits}

    @property
    def is_directory(self) -> bool:
        """Whether it was opened to be listed."""
        return not self.limits

    def may(self, way: Direction) -> bool:
        """Whether it was opened for that."""
        return way in self.limits

    def holds(self, way: Direction, end: int) -> bool:
        """Whether the file may be as long as `end` bytes."""
        limit = self.limits[way]
        return limit is None or end <= limit

    def failed(self, why: str) -> None:
        """Something went wrong with it; the first reason stays."""
        if self.result == DONE:
            self.result = why

    def refuse(self, why: str) -> None:
        """Not all of it went over, by a limit: that counts also when it is closed."""
        self.refused = True
        self.failed(f"refused: {why}")

    def events(self) -> Iterator[FileEvent]:
        """What became of it: one for each way that bytes went, or for the way it was opened."""
        busy = [way for way, track in self.tracks.items() if track.bytes]
        for way in busy or list(self.tracks)[-1:]:
            track = self.tracks[way]
            track.over()
            yield FileEvent(
                operation=WORDS[way],
                path=self.path,
                other=None,
                direction=way,
                bytes=track.bytes,
                sha256=track.sha256,
                result=self.result,
                sequential=track.sequential,
            )


class OpenFiles:
    """All that is open in one session, by the handles that the client knows."""

    def __init__(self) -> None:
        self._made = 0
        self._allowance = Allowance()
        self._all: dict[bytes, Opened] = {}

    @property
    def full(self) -> bool:
        """Whether nothing more may be opened."""
        return len(self._all) >= MOST

    def add(self, theirs: bytes, path: bytes, limits: Mapping[Direction, int | None]) -> Opened:
        """The target has opened it."""
        self._made += 1
        ours = self._made.to_bytes(4, "big")
        self._all[ours] = Opened(ours, theirs, path, limits, self._allowance)
        return self._all[ours]

    def get(self, ours: bytes) -> Opened | None:
        """What the client's handle stands for."""
        return self._all.get(ours)

    def close(self, ours: bytes) -> Opened | None:
        """What the client's handle stood for; it is of no more use."""
        return self._all.pop(ours, None)

    def take_all(self) -> list[Opened]:
        """All that nobody has closed."""
        left, self._all = list(self._all.values()), {}
        return left
