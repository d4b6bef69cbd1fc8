"""The book: what the drivers tried, and what they saw begin; held against the table of sessions.

Each command line carries a tag of its own. What has none is counted by its kind. So a session that
nobody opened is found, and so is one that was shown and is not in the table; and one that went on
when what it was granted was over.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from recorder import Kind, Session

FELT: Final = timedelta(seconds=15)
"""How long after the end of its grant a session may end, on a machine that has too much to do."""

_TAG = re.compile(r": (soak-\d+);")


@dataclass(slots=True)
class Book:
    """What one run has tried and seen."""

    tried: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def tag(self) -> str:
        """A tag for one more command, which is about to be tried."""
        tag = f"soak-{next(self._numbers)}"
        self.tried[tag] += 1
        return tag

    def tries(self, kind: Kind, number: int = 1) -> None:
        """Sessions without a command are about to be tried."""
        self.tried[kind] += number

    def saw(self, what: str, number: int = 1) -> None:
        """One has begun: a tag, or a kind."""
        self.seen[what] += number

    def held_against(self, sessions: Iterable[Session]) -> list[str]:
        """What does not agree, in sentences."""
        rows = Counter(map(_named, sessions))
        wrong = [f"{name} has no session" for name in self.seen if not rows[name]]
        for name, number in rows.items():
            if not self.seen[name] <= number <= self.tried[name]:
                seen, tried = self.seen[name], self.tried[name]
                wrong.append(f"{name}: {number} sessions, {seen} seen to begin, {tried} tried")
        return wrong


def _named(session: Session) -> str:
    """Its tag, or its kind."""
    found = _TAG.search(session.command or "")
    return found[1] if found is not None else session.kind


def outlived(sessions: Iterable[Session], ends: Mapping[int, datetime]) -> list[str]:
    """Which of the sessions that are over were still there when their grants (by number) had ended,
    in sentences."""
    late = [
        (each, each.ended_at - ends[each.grant])
        for each in sessions
        if each.ended_at is not None and each.ended_at > ends[each.grant] + FELT
    ]
    return [
        f"{each.name} has outlived G-{each.grant} by {by.total_seconds():.1f} s"
        for each, by in late
    ]
