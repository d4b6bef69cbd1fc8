"""Durations, moments and sizes as people write them: `90m`, `2026-11-23T18:00`, `1GiB`.

Pure: no clock is read here. Durations are positive and at most ten years, so that a slip of the
finger is a sentence and not a grant for a century.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bastion.errors import BadInput

LONGEST = timedelta(days=3653)
"""Ten years: nothing here lasts longer."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+", re.ASCII)
_PART = re.compile(r"([0-9]+)([smhdw])", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)
_SIZE = re.compile(r"([0-9]{1,15})\s*(B|KiB|MiB|GiB|TiB)?", re.ASCII)
_SHOWN = (("B", 1), ("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30), ("TiB", 2**40))
_SIZES = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that was read, in UTC. `zoned` is False where no zone was given."""

    at: datetime
    zoned: bool


def parse_duration(text: str) -> timedelta:
    """How long `text` lasts: `30s`, `90m`, `2h`, `1d`, `1h30m`. Raises BadInput."""
    shown = ascii(text[:40])
    if text.strip().startswith("-"):
        raise BadInput(f"{shown} is negative: a duration is as in 90m, 2h or 1d.")
    if _DURATION.fullmatch(text.strip()) is None:
        raise BadInput(f"{shown} is not a duration: write it as in 30s, 90m, 2h or 1d.")
    seconds = sum(int(n) * _UNITS[unit] for n, unit in _PART.findall(text))
    if seconds == 0:
        raise BadInput(f"{shown} is no time at all: write it as in 30s, 90m, 2h or 1d.")
    if seconds > LONGEST.total_seconds():
        raise BadInput(f"{shown} is longer than ten years.")
    return timedelta(seconds=seconds)


def parse_time(text: str) -> Moment:
    """The moment that `text` names (ISO 8601); without a zone it is UTC. Raises BadInput."""
    return _time_of(text, "write it as in 2026-11-23T18:00 (UTC) or 2026-11-23T18:00+01:00")


def parse_past(text: str, now: datetime) -> Moment:
    """The same; a duration (`2h`, `1d`) is the moment so long before `now`. Raises BadInput."""
    if _DURATION.fullmatch(text.strip()) is not None:
        return Moment(now - parse_duration(text), True)
    return _time_of(text, "write it as in 2h (so long ago) or 2026-11-23T18:00 (UTC)")


def _time_of(text: str, wanted: str) -> Moment:
    shown, stripped = ascii(text[:40]), text.strip()
    if _DURATION.fullmatch(stripped) is not None:
        raise BadInput(f"{shown} is how long and not when: {wanted}.")
    if _TIME.fullmatch(stripped) is None:
        raise BadInput(f"{shown} is not a time: {wanted}.")
    try:
        read = datetime.fromisoformat(stripped)
        zoned = read.tzinfo is not None
        return Moment(read.astimezone(UTC) if zoned else read.replace(tzinfo=UTC), zoned)
    except (ValueError, OverflowError):
        raise BadInput(f"{shown} is no day or hour that exists: {wanted}.") from None


def parse_size(text: str) -> int:
    """How many bytes `text` is: `512MiB`, `1GiB`, `65536`. Raises BadInput."""
    shown, size = ascii(text[:40]), _SIZE.fullmatch(text.strip())
    if size is None or int(size[1]) == 0:
        raise BadInput(f"{shown} is not a size: write it as in 512MiB or 1GiB.")
    return int(size[1]) * _SIZES[size[2]]


def format_size(size: int) -> str:
    """About how many bytes, for people: `512 B`, `1.5 GiB`."""
    unit, each = next(((u, n) for u, n in reversed(_SHOWN) if size >= n), _SHOWN[0])
    return f"{size} B" if each == 1 else f"{size / each:.1f} {unit}"


def format_duration(duration: timedelta) -> str:
    """A duration in the form that `parse_duration` reads: `1d2h`, `1h30m`; `0s` for none."""
    left, parts = int(duration.total_seconds()), []
    for unit in "dhms":
        count, left = divmod(left, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
