"""What became of one file that went over, or was to: the value, and its line. Pure.

Who read it out of sftp or scp, and judged it, is not known here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeAlias

DONE = "done"
"""The result of an operation that went well; any other result is a sentence or a status."""

BEGUN = "begun"
"""The result of an operation that is about to be asked of the target: another event follows."""

_LONGEST_RESULT = 200
_ESCAPE = re.compile(
    r"\\(?:\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4})", re.ASCII
)
_SIGNS = {"\\": b"\\", "n": b"\n", "r": b"\r", "t": b"\t"}

Raw: TypeAlias = bytes
"""A path as the target has it: not necessarily UTF-8."""


class Direction(StrEnum):
    """Which way: from the target, or to it. Writing is no reading."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class FileEvent:
    """One operation on a file of the target: over for good, or (BEGUN) about to be.

    operation   the word a person would type: get, put, mkdir, rename, remove
    path        the target's path, in bytes
    other       the second path of an operation that has two
    direction   which way contents went, if they did
    bytes       how many bytes of contents went over
    sha256      of exactly those bytes, in hex; None when none could go
    result      DONE, BEGUN, or why not
    sequential  whether the bytes came one after another from the first on, so that the hash is
                the file's own, as far as it went
    """

    operation: str
    path: Raw
    other: Raw | None
    direction: Direction | None
    bytes: int
    sha256: str | None
    result: str
    sequential: bool = True

    def line(self) -> str:
        """`get /var/log/app.log 12 345 bytes sha256 …`, safe to print on any terminal."""
        words = [self.operation, shown(self.path)]
        if self.other is not None:
            words += ["to", shown(self.other)]
        if self.direction is not None:
            words += [f"{self.bytes:,}".replace(",", " "), "byte" if self.bytes == 1 else "bytes"]
        if not self.sequential:
            words.append("in pieces")
        if self.sha256 is not None:
            words += ["sha256", self.sha256]
        told = "" if self.result == DONE else f": {_plain(self.result[:_LONGEST_RESULT])}"
        return " ".join(words) + told

    def facts(self) -> dict[str, object]:
        """The event as JSON can hold it: paths are `escaped`, a long result is cut."""
        return {
            "operation": self.operation,
            "path": escaped(self.path),
            "other": None if self.other is None else escaped(self.other),
            "direction": self.direction,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "result": _plain(self.result[:_LONGEST_RESULT]),
            "sequential": self.sequential,
        }

    @classmethod
    def of(cls, facts: Mapping[str, object]) -> Self:
        """The event that `facts` tell of. Raises ValueError for what no recorder wrote."""
        match facts:
            case {
                "operation": str() as operation,
                "path": str() as path,
                "other": None | str() as other,
                "direction": None | str() as way,
                "bytes": int() as length,
                "sha256": None | str() as sha256,
                "result": str() as result,
                "sequential": bool() as sequential,
            } if 0 <= length < 2**63:
                return cls(
                    operation,
                    unescaped(path),
                    None if other is None else unescaped(other),
                    None if way is None else Direction(way),
                    length,
                    sha256,
                    result,
                    sequential,
                )
        raise ValueError("this tells of no file")


def shown(path: Raw) -> str:
    """A path as text that has one meaning: what does not print is escaped, blanks are quoted."""
    text = escaped(path)
    if text and not set(text) & set("\"': "):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def escaped(path: Raw) -> str:
    """A path as text that prints and has one meaning, without quotes around it."""
    return _plain(path.decode("utf-8", "surrogateescape").replace("\\", "\\\\"))


def unescaped(text: str) -> Raw:
    """The path that `escaped` made `text` of. Raises ValueError for any other text."""
    parts: list[Raw] = []
    at = 0
    for escape in _ESCAPE.finditer(text):
        parts += [text[at : escape.start()].encode(), _meant(escape[0][1:])]
        at = escape.end()
    path = b"".join([*parts, text[at:].encode()])
    if escaped(path) != text:
        raise ValueError("this is no path as we write it")
    return path


def _meant(escape: str) -> Raw:
    """The bytes of one escape, without its backslash."""
    if escape in _SIGNS:
        return _SIGNS[escape]
    number = int(escape[1:], 16)
    return bytes([number]) if escape[0] == "x" else chr(number).encode()


def _plain(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """A byte that was no UTF-8 comes as a lone surrogate, and goes back to the byte it was."""
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if "\x80" <= character <= "\xff":
        return f"\\u{ord(character):04x}"
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
