"""Command lines: a strict tokenizer of our own, and exact commands as values.

What a contractor types is read as words or refused; what goes out is `shlex.join` of the words
that were judged, never the text that came in. The tokenizer knows words of safe characters,
`'…'`, `"…"` without `$ ` \\ !`, and blanks. Everything else that a shell could see something in
is refused: sshd runs every command as `$SHELL -c`, so the quoting is what counts.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bastion.errors import BadInput

LIMIT = 32_768
"""The longest command line that is read, in characters."""

_BLANK = re.compile(r"[ \t]+")
_UNSENT = r"\\!\x00-\x1f\x7f-\x9f"
_PIECE = re.compile(rf"[A-Za-z0-9_@%+=:,./-]+|'[^'{_UNSENT}]*'|\"[^\"$`{_UNSENT}]*\"")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+(?![^ \t])")
"""A word of one plain piece, as most are."""

_RESERVED = frozenset(
    "! [[ ]] { } case coproc do done elif else end esac fi for foreach function if in namespace "
    "nocorrect repeat select then time until while".split()
)


@dataclass(frozen=True, slots=True)
class Command:
    """One exact command: its argument words, the program first."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.argv)


def parse(line: str) -> Command:
    """The command that `line` is, word by word. Raises BadInput with the reason."""
    demand_short(line)
    words: list[str] = []
    at = blanks_end(line, 0)
    while at < len(line):
        word, at = _word(line, at)
        words.append(word)
        at = blanks_end(line, at)
    return Command(checked(words))


def demand_short(line: str) -> None:
    """Raises BadInput where `line` is longer than what is read."""
    if len(line) > LIMIT:
        raise BadInput(f"The command has {len(line)} characters; at most {LIMIT} are read.")


def blanks_end(line: str, at: int) -> int:
    """Where the blanks that begin at `at` end."""
    blank = _BLANK.match(line, at)
    return blank.end() if blank else at


def piece(line: str, at: int) -> tuple[str, int]:
    """What the plain or quoted piece of a word at `at` means, and its end. Raises BadInput."""
    found = _PIECE.match(line, at)
    if found is None:
        raise BadInput(_unreadable(line, at))
    text = found[0]
    return text[1:-1] if text[0] in "'\"" else text, found.end()


def _word(line: str, at: int) -> tuple[str, int]:
    if plain := _PLAIN.match(line, at):
        return plain[0], plain.end()
    pieces: list[str] = []
    while at < len(line) and line[at] not in " \t":
        text, at = piece(line, at)
        pieces.append(text)
    return "".join(pieces), at


def _unreadable(line: str, at: int) -> str:
    character = line[at]
    if character in "'\"":
        return f"A quoted word at character {at + 1} has no end, or holds what can't be quoted."
    return (
        f"{character!a} at character {at + 1} is not taken in a command: "
        "write plain words, or put them between '…'."
    )


def checked(words: Sequence[str]) -> tuple[str, ...]:
    """The words as they will be sent: `shlex.join` leaves some unquoted that a shell reads.

    Raises BadInput.
    """
    if not words or not words[0]:
        raise BadInput("The command is empty.")
    if not "".join(words).isprintable():
        raise BadInput("A character in the command does not show when printed: write plain text.")
    if words[0][0] in "-+%":
        raise BadInput(
            f"A command may not begin with {words[0][0]!r}: that is an option to shells."
        )
    if any(word[:1] == "=" for word in words):
        raise BadInput("A word may not begin with '=': zsh would look it up as a program.")
    if "=" in words[0]:  # zsh assigns to 1=x, ksh to a.b=x
        raise BadInput("A command may not begin with an assignment.")
    if words[0] in _RESERVED:
        raise BadInput(f"{words[0]!r} is a word of the shell's own, not a program.")
    return tuple(words)
