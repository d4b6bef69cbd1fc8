"""What a process that serves says of itself: lines on stderr, for people or as JSON.

Each event is one line: what strangers chose to be called can't begin another, nor change how a
terminal looks. The lines of a traceback are marked as what they are. All calls of `logging` go
this way; none has to know.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal

Form = Literal["people", "json"]

LONGEST: Final = 16_000
"""Characters of a value; what is longer is cut."""

_QUIET = ("asyncssh", "alembic")
"""What of them is no warning is said by us, or by nobody."""

_OURS = ("timestamp", "process", "level", "logger", "event", "exception")

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
"""What each record has; whatever else is there was given by the call."""

Fields = Mapping[str, object]


def log_to_stderr(name: str = "", form: Form = "people") -> None:
    """Times in UTC, save where the journal adds its own; `name` is which of several it is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(name, form, timed="JOURNAL_STREAM" not in os.environ))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)


def formatter(name: str, form: Form, *, timed: bool) -> logging.Formatter:
    """What makes a line of each record. JSON always has the time."""
    return _Lines(name, form, timed=timed or form == "json")


class _Lines(logging.Formatter):
    """Puts together what a line has, and makes it."""

    def __init__(self, name: str, form: Form, *, timed: bool) -> None:
        super().__init__()
        self._name = name
        self._line = _as_json if form == "json" else _for_people
        self._timed = timed

    def format(self, record: logging.LogRecord) -> str:
        """One event in one line; for people its traceback in some more."""
        fields = {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if self._timed:
            fields["timestamp"] = _written(record.created)
        if self._name:
            fields["process"] = self._name
        fields["level"] = record.levelname.lower()
        fields["logger"] = record.name
        fields["event"] = record.getMessage()
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return self._line(fields)


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _as_json(fields: Fields) -> str:
    """All in ASCII: no terminal acts on it, whatever is in it."""
    ours = {key: fields[key] for key in _OURS if key in fields}
    others = {key: value for key, value in fields.items() if key not in ours}
    return json.dumps({key: _cut(value) for key, value in (ours | others).items()}, default=str)


def _for_people(fields: Fields) -> str:
    ours = [fields.get(key, "") for key in ("timestamp", "process", "level")]
    ours[2] = str(ours[2]).upper()
    head = " ".join(str(word) for word in (*ours, fields["logger"]) if word)
    others = (f" {key}={_cut(value)}" for key, value in fields.items() if key not in _OURS)
    line = escaped(f"{head}: {_cut(fields['event'])}{''.join(others)}")
    trace = str(fields.get("exception", ""))[-LONGEST:].splitlines()
    return "\n".join((line, *(f"    | {escaped(each)}" for each in trace)))


def escaped(text: str) -> str:
    """`text` in one line, without anything that a terminal would act on."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(value: object) -> object:
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
