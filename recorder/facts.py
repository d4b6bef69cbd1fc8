"""Facts written down to be signed: one line of JSON, and reading it back strictly. Pure.

Keys in order, no blanks, a newline at the end. Whoever reads a line compares it with what would be
written of its facts: a line that would be written otherwise is none.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import orjson

from recorder.errors import CorruptRecording

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LARGEST = 2**63 - 1
T = TypeVar("T")
V = TypeVar("V")


def line_of(written: Mapping[str, object]) -> str:
    """The line that says this."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(written, option=options).decode()


def read_back(
    line: str, thing: str, longest: int, read: Callable[["Facts"], V], again: Callable[[V], str]
) -> V:
    """What `read` makes of a line of at most `longest` characters, if `again` writes the same.

    Raises CorruptRecording, with one sentence about the `thing` ("manifest").
    """
    if len(line) > longest:
        raise CorruptRecording(f"the {thing} is too long")
    try:
        found = orjson.loads(line)
    except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
        raise CorruptRecording(f"the {thing} is not JSON") from error
    if not isinstance(found, dict):
        raise CorruptRecording(f"the {thing} is not an object")
    try:
        value = read(Facts(found))
        same = again(value) == line
    except (ValueError, OverflowError, TypeError) as error:
        raise CorruptRecording(f"the {thing} can't be read: {error}") from error
    if not same:
        raise CorruptRecording(f"the {thing} is not written as {thing}s are")
    return value


class Facts:
    """Takes facts out of an object; what is missing or of another kind is named.

    Raises ValueError, and OverflowError for times that no clock tells.
    """

    def __init__(self, read: dict[str, object]) -> None:
        self._read = read

    def __call__(self, name: str, kind: Callable[[object], T]) -> T:
        try:
            return kind(self._read[name])
        except KeyError:
            raise ValueError(f"it lacks {name}") from None
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None


def maybe(kind: Callable[[object], T]) -> Callable[[object], T | None]:
    """The same, or null."""
    return lambda value: None if value is None else kind(value)


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError("is not a text")
    return value


def number(value: object) -> int:
    """A number from 0 on that any database holds."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise ValueError("is not a number")
    return value


def named(prefix: str) -> Callable[[object], int]:
    """The number of a name such as `S-31`."""

    def of_name(value: object) -> int:
        letter, _, digits = text(value).partition("-")
        if letter != prefix or not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
            raise ValueError(f"is not written {prefix}-N")
        return number(int(digits))

    return of_name


def sha256(value: object) -> str:
    """A SHA-256 in hex."""
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise ValueError("is not a SHA-256")
    return value


def when(value: object) -> datetime:
    """A moment, in UTC."""
    at = datetime.fromisoformat(text(value))
    if at.tzinfo is None:
        raise ValueError("is a time without a zone")
    return at.astimezone(UTC)


def several(most: int, kind: Callable[["Facts"], T]) -> Callable[[object], tuple[T, ...]]:
    """A list of at most so many objects."""

    def of_list(value: object) -> tuple[T, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"are not a list of at most {most}")
        if not all(isinstance(each, dict) for each in value):
            raise ValueError("are not a list of objects")
        return tuple(kind(Facts(each)) for each in value)

    return of_list


def moment(at: datetime) -> str:
    """As events of the log have it: in UTC, always to the microsecond."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
