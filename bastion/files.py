"""Files as a grant names them: `read:/var/log/**`, `write:/srv/upload/*`. Pure.

A path here is the target's real one: absolute, normal, in bytes, as names on a target need not be
UTF-8. Who resolves it, and what an operation needs, is told elsewhere.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from bastion.errors import BadInput
from recorder import Direction

LONGEST = 1024
"""Characters of a glob."""

EVERYTHING = "/**"

_SIZE = re.compile(r"(0|[1-9][0-9]{0,15})([KMGT]?)", re.ASCII)
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Files:
    """Files that may be read, or written: their real paths match `glob`.

    `*` and `?` stay inside one part of a path, `**` is a part of its own and means any number of
    parts, none too. Writing includes to create, remove, rename and change the attributes. `limit`
    is the most bytes that one of the files may have; None for any size.
    """

    direction: Direction
    glob: str = EVERYTHING
    limit: int | None = None

    def __str__(self) -> str:
        way = str(self.direction) if self.limit is None else f"{self.direction},{sized(self.limit)}"
        return way if self.glob == EVERYTHING else f"{way}:{self.glob}"

    def matches(self, path: bytes) -> bool:
        """Whether `path` is one of them. What is not absolute and normal is none."""
        return normal(path) and _tree(path, self.glob)

    def leads(self, path: bytes) -> bool:
        """Whether one of them could be below `path`."""
        return normal(path) and _leads([part for part in path[1:].split(b"/") if part], self.glob)

    def within(self, wide: "Files") -> bool:
        """Whether `wide` has all of these files: sound, but not sure of every pair."""
        if self.direction is not wide.direction or not _no_more(self.limit, wide.limit):
            return False
        return _within(_parts(self.glob), _parts(wide.glob))

    @property
    def named(self) -> frozenset[str]:
        """The parts that are written out: what login reads is only meant where it is named."""
        return frozenset(part for part in _parts(self.glob) if not set(part) & {"*", "?"})


def parse_files(text: str) -> Files:
    """What `read`, `write,100M`, `read:GLOB` or `write,1G:GLOB` means. Raises BadInput."""
    way, colon, glob = text.partition(":")
    word, comma, size = way.partition(",")
    try:
        direction = Direction(word)
    except ValueError:
        raise BadInput(
            f"{text[:60]!a} names no files: write read:/DIR/** or write:/DIR/*."
        ) from None
    limit = parse_size(size) if comma else None
    return Files(direction, _glob(glob) if colon else EVERYTHING, limit)


def parse_size(text: str) -> int:
    """The bytes that `512`, `100K`, `20M`, `1G` or `2T` mean: powers of 1 024. Raises BadInput."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise BadInput(f"{text[:30]!a} is no size of a file: write 512, 100K, 20M, 1G or 2T.")
    return int(found[1]) << _UNITS[found[2]]


def sized(size: int) -> str:
    """A size as it is read: `1G` for 1 073 741 824."""
    for unit, bits in reversed(_UNITS.items()):
        if size and size % (1 << bits) == 0:
            return f"{size >> bits}{unit}"
    return str(size)


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


def _leads(parts: Sequence[bytes], glob: str) -> bool:
    """Whether the pattern is not at its end after `parts`: every place is tried side by side."""
    pattern = _pattern(glob)
    places = _skipping({0}, pattern)
    for part in parts:
        stay = {place for place in places if pattern[place : place + 1] == (b"**",)}
        rest = {place for place in places - stay if place < len(pattern)}
        step = {place + 1 for place in rest if _name(part, pattern[place])}
        places = _skipping(stay | step, pattern)
    return any(place < len(pattern) for place in places)


def _skipping(places: set[int], pattern: Sequence[bytes]) -> set[int]:
    """With the places behind each `**`, as that may mean nothing, but not the one at the end."""
    found = set(places)
    for place in sorted(places):
        while place < len(pattern) - 1 and pattern[place] == b"**":
            place += 1
            found.add(place)
    return found


def _no_more(narrow: int | None, wide: int | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)


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
