"""A scene: a recording from a time on, with the screen as it stood then.

Of a compacted recording the nearest keyframe before that time is drawn, and the events from there
on: half a mebibyte. Of a plain one the time is looked for in its lines; all before it is drawn
where that is little, else only the last half a mebibyte, and the scene says so: what was drawn
before that and stood untouched is not seen. So it is where the nearest keyframe is far away.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from recorder.asciicast import LONGEST_LINE, Code, Event, Header, parse_event
from recorder.compacted import Point, keyframe_at, read_keyframe, read_points, sha256_of
from recorder.errors import CorruptRecording, RecordingMissing
from recorder.picture import Keyframe, Picture
from recorder.plain import ZST, lying_path, opened_plain
from recorder.reader import Reader, whole_lines

BEFORE: Final = 512 * 1024
"""Bytes of a plain recording that are drawn before a time, where there are more."""

FAR: Final = 8 * 1024 * 1024
"""Bytes between a keyframe and a time that are not drawn for it any more."""

_NEAR = 64 * 1024
"""Bytes within which a time is looked for line by line."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A recording from `time` on, in seconds: the picture as it stood, and the events that come.

    The header's size is that of the moment. `whole` is whether all that could be on the screen was
    drawn.
    """

    header: Header
    time: float
    picture: Picture
    events: Iterator[Event]
    whole: bool = True

    def drawn(self) -> Iterator[Event]:
        """The screen as it stood, and what is drawn from then on; safe for a terminal, once.

        From the beginning nothing has to be drawn first.
        """
        if self.time:
            yield Event(self.time, Code.OUT, self.picture.shown())
        yield from self.picture.drawing.all(self.events)


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Where reading begins before a time."""

    picture: Picture
    events: Iterator[Event]
    whole: bool = True


def scene_at(reader: Reader, time: float) -> Scene:
    """A recording from `time` on, in seconds since its start; after its end, its last screen.

    Raises RecordingMissing, CorruptRecording.
    """
    header, begins = reader.header(), None
    if time and reader.seeks:
        with suppress(RecordingMissing):  # compacted just now: it is read from the beginning
            begins = _nearby(reader, header, time)
    if begins is None:
        begins = _Beginning(Picture.first(header, reader.rest), reader.events())
    events, picture = begins.events, begins.picture
    for event in events:
        if event.time >= time:
            events = chain([event], events)
            break
        picture.draw(event)
    header = replace(header, width=picture.size.columns, height=picture.size.rows)
    return Scene(header, time, picture, events, begins.whole)


def _nearby(reader: Reader, header: Header, time: float) -> _Beginning | None:
    """Where to begin so as not to begin at the beginning; None where that is best."""
    lying = lying_path(reader.path)
    if lying.suffix == ZST:
        return _at_point(reader, lying, header, time)
    file = opened_plain(lying)
    place = _place_before(file, time)
    if place is None:
        file.close()
        return None
    file.seek(place)
    events = reader.parsed(_lines(file, torn=True), None)
    return _Beginning(Picture.first(header, reader.rest), events, whole=False)


# Compacted


def _at_point(reader: Reader, lying: Path, header: Header, time: float) -> _Beginning | None:
    found = _point_before(lying, reader.points, time)
    if found is None:
        return None
    point, keyframe = found
    events = reader.parsed(_lines(opened_plain(lying, point.offset)), point.events)
    try:
        first = next(events, None)
    except CorruptRecording:
        return None
    if first is None or first.time != point.time:
        return None
    if keyframe is None:
        picture = Picture.first(header, reader.rest)
    else:
        picture = Picture.going_on(header, keyframe, reader.rest)
    return _Beginning(picture, chain([first], events), whole=keyframe is not None)


def _point_before(
    lying: Path, points: str | None, time: float
) -> tuple[Point, Keyframe | None] | None:
    """Where to begin, and with what on the screen; None for the beginning, where that is near, or
    where not all is as it should be."""
    try:
        with lying.open("rb") as file:
            known = read_points(file, points)
            before = known[: bisect_left(known, time, key=lambda point: point.time)]
            if not before:
                return None
            point = next((each for each in reversed(before) if each.length), None)
            drawn = before[-1].plain - (0 if point is None else point.plain)
            if drawn > FAR:
                return before[-2:][0], None
            if point is None:
                return None
            frame = keyframe_at(file, point)
    except OSError as error:
        raise RecordingMissing(f"{lying.name} can't be read: {error.strerror}") from error
    keyframe = read_keyframe(frame) if sha256_of(frame) == point.sha256 else None
    return None if keyframe is None else (point, keyframe)


# Plain


def _place_before(file: BinaryIO, time: float) -> int | None:
    """A place in the file `BEFORE` bytes before that time; None where there are fewer."""
    high = file.seek(0, 2)
    file.seek(0)
    low = begin = len(file.readline(LONGEST_LINE))
    while high - low > _NEAR:
        middle = (low + high) // 2
        place, found = _line_after(file, middle)
        if found is None or place >= high or found >= time:
            high = middle
        else:
            low = place
    return low - BEFORE if low - BEFORE > begin else None


def _line_after(file: BinaryIO, place: int) -> tuple[int, float | None]:
    """Where the first line after a place begins, and its time: None for what is no event."""
    file.seek(place)
    begins = place + len(file.readline(LONGEST_LINE + 1))
    try:
        return begins, parse_event(file.readline(LONGEST_LINE + 1)).time
    except CorruptRecording:
        return begins, None


def _lines(file: BinaryIO, *, torn: bool = False) -> Iterator[bytes]:
    """The lines of a file from where it is, and its end; without the first where that is `torn`."""
    with file:
        lines = whole_lines(file)
        if torn:
            next(lines, None)
        yield from lines
