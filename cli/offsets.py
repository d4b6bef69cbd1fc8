"""Points in a session, as people write and read them: `0:03:12`, `3:12`, `90s`, `2m`, `12.5`."""

import re

from bastion.durations import parse_duration
from bastion.errors import BadInput

_CLOCK = re.compile(r"(?:(\d{1,5}):)?(\d{1,2}):([0-5]\d(?:\.\d{1,6})?)", re.ASCII)


def parse_offset(text: str) -> float:
    """Seconds from a session's beginning. Raises BadInput."""
    clock = _CLOCK.fullmatch(text.strip())
    if clock is not None and (clock[1] is None or int(clock[2]) < 60):
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    try:
        seconds = float(text)
    except ValueError:
        seconds = _duration(text)
    if not 0 <= seconds < 1e9:
        raise _none(text)
    return seconds


def shown_offset(seconds: float) -> str:
    """`0:03:12`, as `--from` takes it: the last full second before it."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _duration(text: str) -> float:
    if ":" in text:
        raise _none(text)
    return parse_duration(text).total_seconds()


def _none(text: str) -> BadInput:
    return BadInput(
        f"{text[:40]!a} is not a point in a session: write it as in 0:03:12, 90s or 2m."
    )
