"""Files as a grant names them: `read:/var/log/**`, `write:/srv/upload/*`. Pure.

A path here is the target's real one: absolute, normal, in bytes, as names on a target need not be
UTF-8. Who resolves it, and what an operation needs, is told elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from bastion.errors import BadInput

LONGEST = 1024
"""Characters of a glob."""

EVERYTHING = "/**"

T = TypeVar("T")


class Direction(StrEnum):
    """Which way: from the target, or to it. Writing is no reading."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Files:
    """Files that may be read, or written: their real paths match `glob`.

    `*` and `?` stay inside one part of a path, `**` is a part of its own and means any number of
    parts, none too. Writing includes to create, remove, rename and change the attributes.
    """

    direction: Direction
    glob: str = EVERYTHING

    def __str__(self) -> str:
        return str(self.direction) if self.glob == EVERYTHING else f"{self.direction}:{self.glob}"

    def matches(self, path: bytes) -> bool:
        """Whether `path` is one of them. What is not absolute and normal is none."""
        return normal(path) and _tree(path, self.glob)

    def within(self, wide: "Files") -> bool:
        """Whether `wide` has all of these files: sound, but not sure of every pair."""
        return self.direction is wide.direction and _within(_parts(self.glob), _parts(wide.glob))

    @property
    def named(self) -> frozenset[str]:
        """The parts that are written out: what login reads is only meant where it is named."""
        return frozenset(part for part in _parts(self.glob) if not set(part) & {"*", "?"})


def parse_files(text: str) -> Files:
    """What `read`, `write`, `read:GLOB` or `write:GLOB` means. Raises BadInput."""
    word, colon, glob = text.partition(":")
    try:
        direction = Direction(word)
    except ValueError:
        raise BadInput(
            f"{text[:60]!a} names no files: write read:/DIR/** or write:/DIR/*."
        ) from None
    if not colon:
        return Files(direction)
    return Files(direction, _glob(glob))


def normal(path: bytes) -> bool:
    """Whether a path is absolute, with no empty, `.` or `..` part and no NUL."""
    if path == b"/":
        return True
    if not path.startswith(b"/") or b"\0" in path:
        return False
    return not {b"", b".", b".."} & set(path[1:].split(b"/"))


def _glob(text: str) -> str:
    if len(text) > LONGEST:
        raise BadInput(f"A pattern of files has at most {LONGEST} characters.")
    if not text.isprintable():
        raise BadInput("A character in the pattern of files does not show when printed.")
    if not text.startswith("/"):
        raise BadInput(f"{text[:60]!a} is no absolute path: begin with '/', '~' is not taken.")
    parts = _parts(text)
    if text != "/" and {"", ".", ".."} & set(parts):
        raise BadInput(f"{text[:60]!a} has an empty part, '.' or '..': write the real path.")
    if any("**" in part and part != "**" for part in parts):
        raise BadInput(f"{text[:60]!a}: '**' has to be a part of its own, as in /var/log/**.")
    return text


def _parts(glob: str) -> tuple[str, ...]:
    return tuple(glob[1:].split("/"))


@lru_cache(maxsize=4096)
def _pattern(glob: str) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in _parts(glob))


def _tree(path: bytes, glob: str) -> bool:
    """A `**` at the end takes at least one part: a directory is not below itself."""
    pattern = _pattern(glob)
    if glob == EVERYTHING:
        return True
    below = (*pattern, b"*") if pattern[-1] == b"**" else pattern
    return _wild(path[1:].split(b"/"), below, b"**", _name)


def _name(name: bytes, pattern: bytes) -> bool:
    """A part of a path, by a part of a pattern without `**`."""
    if not set(pattern) & set(b"*?"):
        return name == pattern
    return _wild(name, pattern, ord("*"), lambda byte, sign: sign in (byte, ord("?")))


def _wild(things: Sequence[T], pattern: Sequence[T], star: T, same: Callable[[T, T], bool]) -> bool:
    """Whether `pattern`, in which `star` stands for any number of them, means `things`.

    Only the last star is ever tried anew, so it takes at most their lengths multiplied.
    """
    at = sign = 0
    last, back = -1, 0
    while at < len(things):
        if sign < len(pattern) and pattern[sign] == star:
            last, back, sign = sign, at, sign + 1
        elif sign < len(pattern) and same(things[at], pattern[sign]):
            at, sign = at + 1, sign + 1
        elif last >= 0:
            back += 1
            at, sign = back, last + 1
        else:
            return False
    return all(left == star for left in pattern[sign:])


def _within(narrow: tuple[str, ...], wide: tuple[str, ...]) -> bool:
    """Part by part; only a `**` at the end of `wide` takes what is left of `narrow`."""
    for number, part in enumerate(wide):
        if part == "**" and number == len(wide) - 1:
            return len(narrow) > number or not wide[1:]
        if number >= len(narrow) or not _part_within(narrow[number], part):
            return False
    return len(narrow) == len(wide)


def _part_within(narrow: str, wide: str) -> bool:
    if narrow == wide:
        return True
    if narrow == "**":
        return False
    if wide == "*":
        return True
    literal = not set(narrow) & {"*", "?"}
    return literal and _name(narrow.encode(), wide.encode())
