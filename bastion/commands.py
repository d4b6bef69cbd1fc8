"""Command lines: a strict tokenizer of our own, and exact commands as values.

What a contractor types is read as words or refused; what goes out is `shlex.join` of the words
that were judged, never the text that came in. The tokenizer knows words of safe characters,
`'…'`, `"…"` without `$ ` \\ !`, and blanks. Everything else that a shell could see something in
is refused: sshd runs every command as `$SHELL -c`, so the quoting is what counts.
"""

import re
import shlex
from dataclasses import dataclass

from bastion.errors import BadInput

LIMIT = 32_768
"""The longest command line that is read, in characters."""

_BLANK = re.compile(r"[ \t]+")
_UNSENT = r"\\!\x00-\x1f\x7f-\x9f"
_PIECE = re.compile(rf"[A-Za-z0-9_@%+=:,./-]+|'[^'{_UNSENT}]*'|\"[^\"$`{_UNSENT}]*\"")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?\+?=")
_RESERVED = frozenset(
    "! [[ ]] { } case coproc do done elif else end esac fi for foreach function if in nocorrect "
    "repeat select then time until while".split()
)


_STARTERS = frozenset(
    "apt apt-get ash awk bash busybox chroot crontab csh dash dnf doas docker ed emacs env "
    "expect find fish gawk gcc gdb git ionice irb journalctl ksh kubectl less lftp lua make man "
    "mawk more mysql nano nc ncat nice nmap node nohup nsenter perl php pip podman psql python "
    "python2 python3 rsync ruby scp screen script sed setsid sftp sh socat sqlite3 ssh stdbuf "
    "strace su sudo systemctl tar taskset tclsh tcsh timeout tmux unshare vi view vim watch "
    "xargs yum zip zsh".split()
)


@dataclass(frozen=True, slots=True)
class Command:
    """One exact command: its argument words, the program first."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.argv)

    @property
    def may_start_others(self) -> bool:
        """Whether its program is one that is known to start others: a shell is then near.

        For a warning to whoever grants it; that none is given proves nothing.
        """
        return self.argv[0].rpartition("/")[2] in _STARTERS


def parse(line: str) -> Command:
    """The command that `line` is, word by word. Raises BadInput with the reason."""
    if len(line) > LIMIT:
        raise BadInput(f"The command has {len(line)} characters; at most {LIMIT} are read.")
    words: list[str] = []
    at = _skip(line, 0)
    while at < len(line):
        word, at = _word(line, at)
        words.append(word)
        at = _skip(line, at)
    return Command(_checked(words))


def _skip(line: str, at: int) -> int:
    blank = _BLANK.match(line, at)
    return blank.end() if blank else at


def _word(line: str, at: int) -> tuple[str, int]:
    pieces: list[str] = []
    while at < len(line) and line[at] not in " \t":
        piece = _PIECE.match(line, at)
        if piece is None:
            raise BadInput(_unreadable(line, at))
        pieces.append(piece[0][1:-1] if piece[0][0] in "'\"" else piece[0])
        at = piece.end()
    return "".join(pieces), at


def _unreadable(line: str, at: int) -> str:
    character = line[at]
    if character in "'\"":
        return f"A quoted word at character {at + 1} has no end, or holds what can't be quoted."
    return (
        f"{character!a} at character {at + 1} is not taken in a command: "
        "write plain words, or put them between '…'."
    )


def _checked(words: list[str]) -> tuple[str, ...]:
    """The words as they will be sent: `shlex.join` leaves some unquoted that a shell reads."""
    if not words or not words[0]:
        raise BadInput("The command is empty.")
    if not all(word.isprintable() for word in words):
        raise BadInput("A character in the command does not show when printed: write plain text.")
    if words[0][0] in "-+%":
        raise BadInput(
            f"A command may not begin with {words[0][0]!r}: that is an option to shells."
        )
    if any(word.startswith("=") for word in words):
        raise BadInput("A word may not begin with '=': zsh would look it up as a program.")
    if _ASSIGNMENT.match(words[0]):
        raise BadInput("A command may not begin with an assignment.")
    if words[0] in _RESERVED:
        raise BadInput(f"{words[0]!r} is a word of the shell's own, not a program.")
    return tuple(words)
