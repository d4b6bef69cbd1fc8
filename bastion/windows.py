"""Windows: days and hours in a time zone, in which something may be used.

Pure but for the zone's rules, which come from the system's time zone data. A window is judged by
the clock on the wall, which never goes back: an hour that is repeated when summer time ends counts
once, as its first run, and an hour that is skipped has no length.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from bastion.errors import BadInput

NEVER = datetime.max.replace(tzinfo=UTC)
"""The close of a window that is always open."""

_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = timedelta(days=1)
_WEEK = 7 * 24 * 60
# Two weeks and a bit: the Friday that Samoa left out in 2011 joined what lay around it.
_LOOK = 16
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,32}){0,2}", re.ASCII)
# Leap seconds counted, a second copy of the tree, the machine's own: names that mean no place.
_NO_PLACE = re.compile(r"(?:right|posix)/.*|posixrules|localtime|Factory")


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week (0 is Monday) and hours in `zone`, an IANA name.

    `closes` at or before `opens` means over midnight, and the stretch belongs to the day that it
    began on; both alike is the whole day. Hours are whole minutes.
    """

    days: frozenset[int]
    opens: time
    closes: time
    zone: str

    def __post_init__(self) -> None:
        if not self.days or not self.days <= frozenset(range(7)):
            raise ValueError("a window has days from 0, Monday, to 6")
        for hour in (self.opens, self.closes):
            if hour.tzinfo is not None or hour.second or hour.microsecond or hour.fold:
                raise ValueError("a window opens and closes at whole minutes of its zone")
        if _zone(self.zone) is None:
            raise ValueError(f"there is no time zone {self.zone[:60]!a}")

    def __str__(self) -> str:
        return " ".join(self.words())

    def words(self) -> tuple[str, str, str]:
        """Days, hours and zone as `parse_window` reads them: `mon-fri`, `09:00-18:00`, `UTC`."""
        return _days_words(self.days), f"{self.opens:%H:%M}-{self.closes:%H:%M}", self.zone

    @property
    def always(self) -> bool:
        """Whether it never closes: whole days, all of them."""
        return len(self.days) == 7 and self.opens == self.closes

    def open_at(self, now: datetime) -> bool:
        """Whether it is open at `now`: from its opening, up to its close, not at the close."""
        # The day after as well: clocks that go back over midnight show the day before again.
        return any(opened <= now < closed for opened, closed in self._stretches(now, 3))

    def closes_at(self, now: datetime) -> datetime:
        """The first moment from `now` on at which it is closed, in UTC; `NEVER` if it never is.

        Stretches that touch are one: Friday's end at midnight is no close if Saturday is open.
        """
        if self.always:
            return NEVER
        end = now.astimezone(UTC)
        for opened, closed in self._stretches(now, _LOOK):
            if opened > end:
                break
            end = max(end, closed)
        return end

    def opens_at(self, now: datetime) -> datetime:
        """The first moment from `now` on at which it is open, in UTC: `now` itself, if it is."""
        moment = now.astimezone(UTC)
        for opened, closed in self._stretches(now, _LOOK):
            if closed > moment and closed > opened:
                return max(opened, moment)
        return NEVER

    def covers(self, other: "Window") -> bool:
        """Whether `other` is never open where this one is not.

        A yes is certain. It may say no where the zones differ, or are one by another name.
        """
        if self.always:
            return True
        if other.always or self.zone != other.zone:
            return False
        mine = _merged(_minutes(self))
        return all(
            any(begin <= first and last <= end for begin, end in mine)
            for first, last in _minutes(other)
            if 0 <= first < _WEEK
        )

    def _stretches(self, now: datetime, days: int) -> Iterator[tuple[datetime, datetime]]:
        """What is open on each of `days` days from the one before `now`'s on, in UTC, in order."""
        zone = _zone(self.zone) or UTC
        day = now.astimezone(zone).date() - _DAY
        for number in range(days):
            begun = day + number * _DAY
            if begun.weekday() in self.days:
                yield self._stretch(begun, zone)

    def _stretch(self, begun: date, zone: tzinfo) -> tuple[datetime, datetime]:
        ended = begun if self.opens < self.closes else begun + _DAY
        return (
            _reached(datetime.combine(begun, self.opens), zone),
            _reached(datetime.combine(ended, self.closes), zone),
        )


def parse_window(days: str | None, hours: str | None, tz: str | None) -> Window:
    """The window in texts such as `mon-fri`, `09:00-18:00`, `Europe/Berlin`. Raises BadInput.

    Without days it is every day, without hours the whole day, without a zone UTC; days or hours
    have to be there.
    """
    if days is None and hours is None:
        raise BadInput("A window needs days or hours: write them as in mon-fri and 09:00-18:00.")
    opens, closes = (time(), time()) if hours is None else _parse_hours(hours)
    read = frozenset(range(7)) if days is None else _parse_days(days)
    return Window(read, opens, closes, "UTC" if tz is None else _parse_zone(tz))


def _parse_days(text: str) -> frozenset[int]:
    if len(text) > 100:
        raise BadInput("The days are too long a text: write them as in mon-fri or sat,sun.")
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin = _parse_day(first, text)
        end = _parse_day(last, text) if dash else begin
        found |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return frozenset(found)


def _parse_day(text: str, whole: str) -> int:
    name = text.strip().lower()
    for known in (_NAMES, _FULL):
        if name in known:
            return known.index(name)
    close = difflib.get_close_matches(name, _NAMES, n=1)
    hint = f"do you mean {close[0]}?" if close else "write them as in mon-fri or sat,sun."
    raise BadInput(f"{whole[:40]!a} has a day that is none: {hint}")


def _parse_hours(text: str) -> tuple[time, time]:
    found = _HOURS.fullmatch(text.strip())
    opens = _parse_hour(found[1], found[2]) if found else None
    closes = _parse_hour(found[3], found[4]) if found else None
    if opens is None or closes is None or (found and found[1] == "24"):
        raise BadInput(f"{text[:40]!a} are no hours: write them as in 09:00-18:00.")
    return opens, closes


def _parse_hour(hour: str, minute: str) -> time | None:
    if (hour, minute) == ("24", "00"):
        return time()
    return time(int(hour), int(minute)) if int(hour) < 24 and int(minute) < 60 else None


def _parse_zone(text: str) -> str:
    name = text.strip()
    if _zone(name) is not None:
        return name
    known = {zone.lower(): zone for zone in available_timezones() if not _NO_PLACE.fullmatch(zone)}
    close = difflib.get_close_matches(name.lower()[:100], known, n=1)
    hint = f"do you mean {known[close[0]]}?" if close else "write one as in Europe/Berlin or UTC."
    raise BadInput(f"{name[:60]!a} is no time zone that this machine knows: {hint}")


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo | None:
    """The zone's rules. UTC needs no data, and small containers have none."""
    if name == "UTC":
        return UTC
    if _ZONE.fullmatch(name) is None or _NO_PLACE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _reached(wall: datetime, zone: tzinfo) -> datetime:
    """When the clock on the wall first shows `wall` (naive) or later, in UTC."""
    first, second = (
        wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1)
    )
    late, early = ((wall - offset).replace(tzinfo=UTC) for offset in (first, second))
    if late <= early:  # it is shown once, or twice: the first time counts (PEP 495)
        return late
    # Left out when the clock was put forward: find the second at which it was.
    while (late - early) > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            early = middle
        else:
            late = middle
    return late


def _minutes(window: Window) -> list[tuple[int, int]]:
    """Its stretches by the wall's clock, in minutes of the week, of three weeks around."""
    opens = window.opens.hour * 60 + window.opens.minute
    length = (window.closes.hour * 60 + window.closes.minute - opens) % 1440 or 1440
    begins = (
        week * _WEEK + day * 1440 + opens for week in (-1, 0, 1) for day in sorted(window.days)
    )
    return [(begin, begin + length) for begin in begins]


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in stretches:
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _days_words(days: frozenset[int]) -> str:
    """Runs of three and more as `mon-fri`, others one by one."""
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(
        f"{_NAMES[run[0]]}-{_NAMES[run[-1]]}"
        if len(run) > 2
        else ",".join(_NAMES[day] for day in run)
        for run in runs
    )
