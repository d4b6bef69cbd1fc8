"""What an event's sentence is made of: texts, times, names, as its details hold them. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from bastion.durations import format_duration
from bastion.events import Details, Happened

LONGEST: Final = 300
"""Characters of what somebody said: a reason, a command line."""

FEW: Final = 3
"""So many names of a list are said."""

Words: TypeAlias = Callable[[Happened], str]
"""What says an event of one kind."""


def printable(text: str) -> str:
    """`text` on one line, with what a terminal would act on as `\\x1b` escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def short(text: str, limit: int = LONGEST) -> str:
    """The beginning of a text that is too long, with `…`."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def texts(happened: Happened, name: str) -> str:
    """A few names of a list, and how many more there are."""
    value = happened.details.get(name)
    if isinstance(value, str) or not isinstance(value, Sequence):
        return "" if value is None else short(str(value))
    shown, more = value[:FEW], len(value) - FEW
    listed = ", ".join(short(str(each)) for each in shown)
    return f"{listed} and {more} more" if more > 0 else listed


def detail(happened: Happened, name: str, before: str = "", behind: str = "") -> str:
    """A detail between two texts; nothing where there is none."""
    found = texts(happened, name)
    return f"{before}{found}{behind}" if found else ""


def figure(happened: Happened, name: str) -> int:
    """A number among the details; 0 where there is none."""
    value = happened.details.get(name)
    return value if isinstance(value, int) else 0


def moment(happened: Happened, name: str, before: str) -> str:
    """A time among the details, to the minute."""
    try:
        at = datetime.fromisoformat(str(happened.details.get(name)))
    except ValueError:
        return ""
    zoned = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return f"{before}{zoned:%Y-%m-%d %H:%M} UTC"


def duration(happened: Happened, before: str) -> str:
    """How long it is for, or was."""
    seconds = figure(happened, "seconds")
    return f"{before}{format_duration(timedelta(seconds=seconds))}" if seconds > 0 else ""


def _allowed(details: Mapping[str, Details]) -> str:
    parts = ["a shell"] if details.get("shell") else _listed(details, "commands", "")
    parts += _listed(details, "sftp", "sftp ")
    parts += _listed(details, "forwards", "forward ")
    return short("; ".join(parts[:FEW])) or "access"


def _listed(details: Mapping[str, Details], key: str, before: str) -> list[str]:
    things = details.get(key)
    if not isinstance(things, Sequence) or isinstance(things, str):
        return []
    return [f"{before}{each}" for each in things]


def access(happened: Happened) -> str:
    """`a shell on web-1 as deploy`."""
    where = detail(happened, "hosts", " on ")
    return f"{_allowed(happened.details)}{where}{detail(happened, 'logins', ' as ')}"


def origin(happened: Happened) -> str:
    """`from 192.0.2.7`; nothing for what was done on the bastion."""
    return "" if happened.source == "local" else f" from {happened.source}"


def place(happened: Happened) -> str:
    """`web-1 as deploy`."""
    host = happened.host or "a host"
    return f"{host} as {happened.login}" if happened.login else host


def whose(happened: Happened) -> str:
    """Whom it is about, where that is another than who did it."""
    return happened.user if happened.user and happened.user != happened.actor else ""


def of(happened: Happened) -> str:
    """`of alice`, behind what is hers."""
    return f" of {whose(happened)}" if whose(happened) else ""
