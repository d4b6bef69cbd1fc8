"""asciicast v3, as recordings are exported: intervals instead of times, and the exit as a status.

Lines in the order of the events; pure. What is a signal here is a status there, as shells have it.
Source: https://docs.asciinema.org/manual/asciicast/v3/
"""

from typing import Final

import orjson

from recorder.asciicast import Code, Event, Header, event_line

_BEYOND: Final = 128
_LARGEST: Final = 2**31 - 1

_NAMES = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM"
_SIGNALS: Final = {f"SIG{name}": number for number, name in enumerate(_NAMES.split(), 1)}
"""Those of RFC 4254, section 6.10, and two more, by their numbers on Linux."""


def header3_line(header: Header) -> bytes:
    """The header as a line."""
    term: dict[str, object] = {"cols": header.width, "rows": header.height}
    if header.term is not None:
        term["type"] = header.term
    value = {
        "version": 3,
        "term": term,
        "timestamp": header.timestamp,
        "title": header.title,
        "bastion": header.session,
    }
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


class Intervals:
    """Events as lines, each with the seconds since the one before. Roundings do not add up."""

    def __init__(self) -> None:
        self._microseconds = 0

    def line(self, event: Event) -> bytes:
        """The line of the next event; a time that goes back is no time at all."""
        now = max(self._microseconds, round(event.time * 1e6))
        interval, self._microseconds = now - self._microseconds, now
        data = _status(event.data) if event.code is Code.EXIT else event.data
        return event_line(interval / 1e6, event.code.value, data)


def _status(exit_: str) -> str:
    """A status, or a signal's number and 128; of one that nobody knows 255."""
    if exit_.isdecimal():
        return str(min(int(exit_[:20]), _LARGEST))
    return str(_BEYOND + _SIGNALS[exit_]) if exit_ in _SIGNALS else "255"
