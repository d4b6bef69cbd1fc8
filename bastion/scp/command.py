"""A command line that is the server's side of `scp -O`, by its whole argv. Pure.

The client sends the path as it was typed and leaves `*` to the target's shell. Here no shell reads
it: the path is one word, and goes to the target as a path of SFTP.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from bastion.commands import parse
from bastion.errors import BadInput
from recorder import Direction

_OPTIONS = re.compile(r"-[ftrpdvq]+")
_BEGINNING = r"[ \t]*scp(?:[ \t]+-[ftrpdvq]+)+[ \t]+(?:--[ \t]+)?"
_LOOKS_LIKE_SCP = re.compile(_BEGINNING)
_FROM_HOME = re.compile(rf"({_BEGINNING})~(?:/+|[ \t]*\Z)")
_PATTERN = re.compile(r"[*?\[]")


class Way(StrEnum):
    """Which side of the protocol the target has."""

    SOURCE = "-f"
    SINK = "-t"


@dataclass(frozen=True, slots=True)
class ScpRun:
    """One `scp -t` or `scp -f`. `path` is as it was typed, from the home if it is relative.

    `directory` is whether the client says that the path has to be one (`-d`).
    """

    way: Way
    path: str
    recursive: bool = False
    times: bool = False
    directory: bool = False

    @property
    def direction(self) -> Direction:
        """What the run does with the target's files."""
        return Direction.READ if self.way is Way.SOURCE else Direction.WRITE


def recognise(line: str) -> ScpRun | None:
    """The run of scp that `line` is, or None if it is anything else.

    `~/x` without quotes is a path from the home, as a shell has it. Raises BadInput for a line that
    is scp, but whose path only a shell could read.
    """
    home = _FROM_HOME.match(line)
    plain = line if home is None else home[1] + (line[home.end() :] or ".")
    try:
        words = parse(plain).argv
    except BadInput:
        if _LOOKS_LIKE_SCP.match(line):
            raise BadInput(_UNREADABLE) from None
        return None
    return _of(words)


def _of(words: tuple[str, ...]) -> ScpRun | None:
    options = _options(words)
    rest = words[1 + len(options) :]
    if rest[:1] == ("--",):
        rest = rest[1:]
    elif rest and rest[0].startswith("-"):
        return None
    letters = "".join(option[1:] for option in options)
    if words[0] != "scp" or len(rest) != 1 or ("f" in letters) is ("t" in letters):
        return None
    if _PATTERN.search(rest[0]):
        raise BadInput(_UNREADABLE)
    return ScpRun(
        Way.SOURCE if "f" in letters else Way.SINK,
        rest[0] or ".",
        recursive="r" in letters,
        times="p" in letters,
        directory="d" in letters,
    )


def _options(words: tuple[str, ...]) -> tuple[str, ...]:
    options: list[str] = []
    for word in words[1:]:
        if not _OPTIONS.fullmatch(word):
            break
        options.append(word)
    return tuple(options)


_UNREADABLE = (
    "The path of scp -O has to be one plain word, with no '*', '?', '[' or '~name' in it: "
    "leave -O away, `scp` without it finds the files by itself."
)
