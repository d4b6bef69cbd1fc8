"""What a recording tells of files, read back from its events. Pure.

An operation that was begun and of which nothing more was told (the session was cut, the bastion
was killed) is told as begun. What is damaged ends the list: what came before it counts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from recorder.asciicast import Event, Note, Word
from recorder.errors import RecorderError
from recorder.transfers import BEGUN, FileEvent, Raw


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one file, and when that was."""

    at: datetime
    event: FileEvent


_Key = tuple[str, Raw]


def files_told(events: Iterable[Event], started_at: datetime) -> Iterator[Told]:
    """All of them in their order; those that were only begun come last."""
    begun: dict[_Key, Told] = {}
    open_: Counter[_Key] = Counter()
    for told in _all(events, started_at):
        key = (told.event.operation, told.event.path)
        if told.event.result == BEGUN:
            begun[key] = told
            open_[key] += 1
        else:
            open_[key] -= 1
            if open_[key] <= 0:
                del open_[key]
                begun.pop(key, None)
            yield told
    yield from begun.values()


def _all(events: Iterable[Event], started_at: datetime) -> Iterator[Told]:
    try:
        for event in events:
            note = Note.of(event)
            if note is not None and note.word in (Word.FILE, Word.BEGUN):
                yield Told(
                    started_at + timedelta(seconds=event.time),
                    FileEvent.of(note.facts),
                )
    except (RecorderError, ValueError, OverflowError):
        return
