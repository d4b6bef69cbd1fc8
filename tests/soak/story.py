"""The story of an act: what it set out to do, step by step, and when.

An act tells it as it goes, wherever it stands; its tasks tell the same one. Whoever runs the act
has the story in hand when it fails, or does not come to its end.
"""

import asyncio
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

MOST: Final = 30
"""Steps that are kept; the last ones count."""

_TAG = re.compile(r"soak-\d+")


class Story:
    """Of one act, from now on. Times are seconds since it began."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._begun = self._now()
        self._steps: deque[str] = deque(maxlen=MOST)

    @property
    def begun(self) -> float:
        """When it began, by the loop's clock."""
        return self._begun

    def add(self, what: str) -> None:
        """One more step begins."""
        self._steps.append(f"{self._now() - self._begun:.1f} s {what}")

    def told(self) -> str:
        """All of it until now, in one line."""
        return "; ".join([*self._steps, f"{self._now() - self._begun:.1f} s over"])

    @property
    def tags(self) -> list[str]:
        """The tags of the commands that it ran."""
        return list(dict.fromkeys(_TAG.findall(" ".join(self._steps))))


_GOING: ContextVar[Story | None] = ContextVar("_GOING", default=None)


@contextmanager
def opened() -> Iterator[Story]:
    """A story that is told by what is done in the block."""
    story = Story()
    token = _GOING.set(story)
    try:
        yield story
    finally:
        _GOING.reset(token)


def step(what: str) -> None:
    """What is begun now, as a sentence without its subject."""
    story = _GOING.get()
    if story is not None:
        story.add(what)
