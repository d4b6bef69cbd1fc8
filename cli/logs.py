"""What a process that serves says of itself: lines on stderr, for people or as JSON.

Each event is one line: what strangers chose to be called can't begin another, nor change how a
terminal looks. The lines of a traceback are marked as what they are. All calls of `logging` go
this way; none has to know.
"""

import json
import logging
import os
import sys
from typing import Final, Literal

import structlog
from structlog.typing import EventDict, Processor

Form = Literal["people", "json"]

LONGEST: Final = 16_000
"""Characters of a value; what is longer is cut."""

_QUIET = ("asyncssh", "alembic")
"""What of them is no warning is said by us, or by nobody."""

_OURS = ("timestamp", "process", "level", "logger", "event", "exception")


def log_to_stderr(name: str = "", form: Form = "people") -> None:
    """Times in UTC, save where the journal adds its own; `name` is which of several it is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(name, form, timed="JOURNAL_STREAM" not in os.environ))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)


def formatter(name: str, form: Form, *, timed: bool) -> logging.Formatter:
    """What makes a line of each record. JSON always has the time."""

    def named(_: object, __: str, event: EventDict) -> EventDict:
        if name:
            event["process"] = name
        return event

    before: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        named,
    ]
    if timed or form == "json":
        before.append(structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True))
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _as_json if form == "json" else _for_people,
        ],
    )


def _as_json(_: object, __: str, event: EventDict) -> str:
    """All in ASCII: no terminal acts on it, whatever is in it."""
    ours = {key: event[key] for key in _OURS if key in event}
    others = {key: value for key, value in event.items() if key not in ours}
    return json.dumps({key: _cut(value) for key, value in (ours | others).items()}, default=str)


def _for_people(_: object, __: str, event: EventDict) -> str:
    ours = [event.get(key, "") for key in ("timestamp", "process", "level")]
    ours[2] = str(ours[2]).upper()
    head = " ".join(str(word) for word in (*ours, event.get("logger", "")) if word)
    others = (f" {key}={_cut(value)}" for key, value in event.items() if key not in _OURS)
    line = escaped(f"{head}: {_cut(event.get('event', ''))}{''.join(others)}")
    trace = str(event.get("exception", ""))[-LONGEST:].splitlines()
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
