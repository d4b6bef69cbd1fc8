"""Keys: the bytes that were typed at a terminal, as keys and their spelling.

    \\r, ^C, <up>    keys that are no characters
    <answer ...>    no key: the terminal answers a program that has asked it something
    \\xff            a byte that is no character
    \\\\, \\<, \\^      characters that would otherwise be read as one of these

So nobody types a text that reads like a key. Pure, and bounded: of a sequence that has not ended,
nothing is held back.
Source: ECMA-48; https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

LONGEST_SEQUENCE: Final = 256
"""Characters of an answer of a terminal: beyond, it is taken for what it looks like, keys."""


class Kind(Enum):
    """What a key does.

    TEXT puts in a character, ERASE takes one back, ENTER hands in what was typed or gives it up,
    OTHER is any other key.
    """

    TEXT = auto()
    ERASE = auto()
    ENTER = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Key:
    """A key that was pressed at `time`: its character, or the sequence that it sent."""

    time: float
    kind: Kind
    text: str


def spelled(keys: Sequence[Key]) -> str:
    """Keys, written down in characters that print, on one line."""
    parts: list[str] = []
    behind = ""
    for key in reversed(keys):
        part = _spelled(key.text) if key.kind is Kind.TEXT else _named(key.text)
        if key.kind is Kind.TEXT and _READS_LIKE_A_KEY.match(part + behind):
            part = f"\\{part}"
        parts.append(part)
        behind = (part + behind)[:_LONGEST_NAME]
    return "".join(reversed(parts))


def spelled_text(text: str) -> str:
    """Text that was no typing, written down by the same rules: nothing in it reads like a key."""
    return _TO_SPELL.sub(lambda found: _spelt(found[0]), text)


class Keys:
    """Reads one terminal's input, given in any pieces. A torn character waits for its end."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def read(self, time: float, data: bytes) -> Iterator[Key]:
        """The keys of this piece."""
        text = self._decoder.decode(data)
        return (_key(time, pressed) for pressed in _PRESSED.findall(text))

    def end(self, time: float) -> Iterator[Key]:
        """What was torn at the end of all input."""
        text = self._decoder.decode(b"", final=True)
        return (Key(time, Kind.TEXT, character) for character in text)


_PRESSED = re.compile(
    r"\x1b\[[0-?]{0,32}[ -/]{0,2}[@-~]"
    r"|\x1bO[A-Za-z]"
    rf"|\x1b[\]P_^X][^\x00-\x1f\x7f-\x9f]{{0,{LONGEST_SEQUENCE}}}(?:\x07|\x1b\\)"
    r"|\r\n|[\s\S]"
)
_ANSWER = re.compile(r"\x1b[\]P_^X]|\x1b\[[?>=]?[\d;]+\$?[cRnty]\Z")
_MOUSE = re.compile(r"\x1b\[<[\d;]*[Mm]\Z")
_LONGEST_NAME = 16
_READS_LIKE_A_KEY = re.compile(r"\^[@-_?]|<(?:esc |answer |/?[a-z][a-z0-9-]*>)")

_FINALS = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "F": "end",
    "H": "home",
    "I": "focus",
    "O": "blur",
    "P": "f1",
    "Q": "f2",
    "R": "f3",
    "S": "f4",
    "Z": "back-tab",
}
_NUMBERS = {
    "1": "home",
    "2": "insert",
    "3": "delete",
    "4": "end",
    "5": "page-up",
    "6": "page-down",
    "15": "f5",
    "17": "f6",
    "18": "f7",
    "19": "f8",
    "20": "f9",
    "21": "f10",
    "23": "f11",
    "24": "f12",
    "200": "paste",
    "201": "/paste",
}
_WITH = {"2": "shift-", "3": "alt-", "5": "ctrl-", "6": "ctrl-shift-"}
_NAMES = {"\r": "\\r", "\n": "\\n", "\r\n": "\\r\\n", "\t": "<tab>", "\x1b": "<esc>"}
_ERASE = "\x08\x7f"
_ENTER = ("\r", "\n", "\r\n", "\x03", "\x04")


def _key(time: float, pressed: str) -> Key:
    if pressed in _ERASE:
        return Key(time, Kind.ERASE, pressed)
    if pressed in _ENTER:
        return Key(time, Kind.ENTER, pressed)
    controls = pressed < " " or "\x7f" <= pressed < "\xa0"
    return Key(time, Kind.OTHER if controls else Kind.TEXT, pressed)


def _spelled(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


_TO_SPELL = re.compile(r"[^ -\[\]-~]|\^(?=[@-_?]|[^ -~])|<(?=esc |answer |/?[a-z][a-z0-9-]*>)")


def _spelt(character: str) -> str:
    if character in _NAMES:
        return _NAMES[character]
    return f"\\{character}" if character in "^<" else _spelled(character)


def _named(pressed: str) -> str:
    if pressed in _NAMES:
        return _NAMES[pressed]
    if pressed in _ERASE:
        return "<backspace>"
    if len(pressed) == 1:
        return f"^{chr(ord(pressed) ^ 0x40)}" if pressed < " " else _spelled(pressed)
    if _ANSWER.match(pressed):
        return f"<answer {''.join(map(_spelled, pressed[1:]))}>"
    if _MOUSE.match(pressed):
        return "<mouse>"
    return f"<{_sequence(pressed)}>"


def _sequence(pressed: str) -> str:
    """The name of a sequence that a key sends; one that is not known is spelled."""
    number, _, shift = pressed[2:-1].partition(";")
    name = _NUMBERS.get(number) if pressed.endswith("~") else _FINALS.get(pressed[-1])
    known = name is not None and (number in ("", "1") or pressed.endswith("~"))
    if not known or (shift and shift not in _WITH):
        return "esc " + "".join(map(_spelled, pressed[1:]))
    return f"{_WITH.get(shift, '')}{name}"
