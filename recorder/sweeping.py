"""Sweeping: copies of what another machine recorded go when they have no business here any more.

What was let go is nowhere to be read, so not in a copy either; and what was live is read from its
seal on when it is over. It blocks.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from recorder.index import Index
from recorder.session import Session

LIVE_COPIES: Final = "live"
"""The directory below that of the copies where those of live recordings lie (`arriving`)."""

_COPY = re.compile(r"S-(?P<number>[0-9]{1,18})(-[0-9]{1,2})?\.", re.ASCII)
_PAGE = 200


class Sweeping:
    """The copies below `directory`, of sessions that `index` knows."""

    def __init__(self, directory: Path, index: Index) -> None:
        self._directory = directory
        self._index = index

    def run(self, pause: Callable[[], object] = lambda: None) -> None:
        """Take away what has to go. Whoever has it open reads on. Raises IndexUnavailable."""
        copies: dict[int, list[Path]] = {}
        for number, copy in self._lying():
            copies.setdefault(number, []).append(copy)
        numbers = sorted(copies)
        for start in range(0, len(numbers), _PAGE):
            page = numbers[start : start + _PAGE]
            for number, session in self._index.read(page).items():
                for copy in copies[number]:
                    if session is None or self._goes(session, copy):
                        copy.unlink(missing_ok=True)
            pause()

    def _lying(self) -> Iterator[tuple[int, Path]]:
        for copy in self._directory.rglob("S-*"):
            if match := _COPY.match(copy.name):
                yield int(match["number"]), copy

    def _goes(self, session: Session, copy: Path) -> bool:
        live = copy.is_relative_to(self._directory / LIVE_COPIES)
        return session.recording.let_go_at is not None or (live and not session.live)
