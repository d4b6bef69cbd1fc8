"""Command templates: which command lines a grant lets through. Pure.

A template is written like the command itself, word by word, with placeholders in braces:

    systemctl restart {nginx,php-fpm}     one of several words
    tail -n {int:1-1000} {path:/var/log}  a number in a range; a path below a directory
    journalctl --no-pager --unit={re:[a-z0-9-]{1,32}}   what a pattern matches, behind a beginning
    uptime {word} {words}                 any one word; the rest of the words, only at the end
    {tty} top                             may be run on a terminal

Whole words are compared, so that quoting never matters: a line is taken apart by
`bastion.commands` first. Words that are written out follow the rules there; in quotes a brace is
itself. What each placeholder takes is told in `bastion.placeholders`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile

from bastion.commands import Command, blanks_end, checked, demand_short, piece
from bastion.errors import BadInput
from bastion.patterns import Pattern
from bastion.placeholders import (
    Below,
    Literal,
    Matching,
    Number,
    OneOf,
    Open,
    Part,
    Placeholder,
    Word,
    texts,
    within,
)

_KEPT = 512
"""Characters of a line of which it is remembered how it was read."""

_TERMINAL = re.compile(r"[ \t]*\{tty\}(?=[ \t]|$)")
_WORD = re.compile(r"\{word(!?)\}")
_REST = re.compile(r"\{words(!?)\}[ \t]*$")
_NUMBER = re.compile(r"\{int:([0-9]{1,18})-([0-9]{1,18})\}")
_PATTERN = re.compile(r"\{re(!?):")
_PATH = re.compile(r"\{path:")
_KINDS = "{word}, {words}, {a,b}, {int:1-1000}, {path:/DIR}, {re:PATTERN}; or quote the brace"


@dataclass(frozen=True, slots=True)
class Template:
    """A line of a grant: `parts` word by word, then any number of words that `rest` takes.

    `tty` is whether it may be run on a terminal too; `str` writes it in the one canonical way.
    """

    parts: tuple[Part, ...]
    rest: Word | None = None
    tty: bool = False
    _start: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _tests: tuple[tuple[int, Callable[[str], bool]], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Takes the words at its beginning apart, by which most lines are told from it at once."""
        if not self.parts or texts(self.parts[0]) is None:
            raise ValueError("a template names its program")
        start = takewhile(lambda part: isinstance(part, Literal), self.parts)
        object.__setattr__(self, "_start", tuple(word for p in start for word in texts(p) or ()))
        tests = tuple((n, part.test) for n, part in enumerate(self.parts))[len(self._start) :]
        object.__setattr__(self, "_tests", tests)

    def __str__(self) -> str:
        words = ["{tty}"] if self.tty else []
        words += map(str, self.parts)
        if self.rest is not None:
            words.append("{words!}" if self.rest.free else "{words}")
        return " ".join(words)

    def matches(self, argv: tuple[str, ...]) -> bool:
        """Whether it lets these words through."""
        count = len(self.parts)
        if len(argv) != count and (self.rest is None or len(argv) < count):
            return False
        if argv[: len(self._start)] != self._start:
            return False
        for number, takes in self._tests:
            if not takes(argv[number]):
                return False
        return self.rest is None or all(map(self.rest.takes, argv[count:]))

    @property
    def programs(self) -> tuple[str, ...]:
        """What its first word can be."""
        return tuple(texts(self.parts[0]) or ())

    @property
    def exact(self) -> Command | None:
        """The one command that it lets through, where it is one."""
        words = [part.word for part in self.parts if isinstance(part, Literal)]
        whole = self.rest is None and len(words) == len(self.parts)
        return Command(tuple(words)) if whole else None

    def within(self, wide: "Template") -> bool:
        """Whether `wide` lets everything through that this does: a yes is certain."""
        count = len(wide.parts)
        fewer = len(self.parts) < count or (wide.rest is None and len(self.parts) > count)
        if fewer or (self.tty and not wide.tty) or not self._rest_within(wide.rest):
            return False
        if not all(map(within, self.parts, wide.parts)):
            return False
        more = self.parts[count:]
        return wide.rest is None or all(within(part, Open("", wide.rest)) for part in more)

    def _rest_within(self, wide: Word | None) -> bool:
        return self.rest is None or (wide is not None and self.rest.free <= wide.free)


def literal(command: Command, *, tty: bool = False) -> Template:
    """The template that lets this one command through."""
    return Template(tuple(map(Literal, command.argv)), tty=tty)


def matching(templates: Iterable[Template], argv: tuple[str, ...]) -> Iterator[Template]:
    """Those that let `argv` through."""
    return (template for template in templates if template.matches(argv))


def parse_template(line: str) -> Template:
    """The template that `line` writes. Raises BadInput with the reason."""
    return _remembered(line) if len(line) <= _KEPT else _read(line)


@lru_cache(maxsize=4096)
def _remembered(line: str) -> Template:
    return _read(line)


def _read(line: str) -> Template:
    demand_short(line)
    terminal = _TERMINAL.match(line)
    at = blanks_end(line, terminal.end() if terminal else 0)
    parts: list[Part] = []
    rest: Word | None = None
    while at < len(line) and rest is None:
        last = _REST.match(line, at)
        if last is not None:
            rest, at = Word(bool(last[1])), len(line)
        else:
            part, at = _part(line, at)
            parts.append(part)
            at = blanks_end(line, at)
    _demand_sound(parts)
    return Template(tuple(parts), rest, terminal is not None)


def _part(line: str, at: int) -> tuple[Part, int]:
    before: list[str] = []
    while at < len(line) and line[at] not in " \t":
        if line[at] == "{":
            what, at = _placeholder(line, at)
            if at < len(line) and line[at] not in " \t":
                raise BadInput(f"A placeholder ends its word, but {line[at]!a} follows it.")
            return Open("".join(before), what), at
        text, at = piece(line, at)
        before.append(text)
    return Literal("".join(before)), at


def _placeholder(line: str, at: int) -> tuple[Placeholder, int]:
    """What stands in braces from `at` on, and where it ends."""
    if found := _WORD.match(line, at):
        return Word(bool(found[1])), found.end()
    if found := _NUMBER.match(line, at):
        return _number(int(found[1]), int(found[2])), found.end()
    if found := _PATTERN.match(line, at):
        end = _closing(line, found.end())
        return Matching(Pattern(line[found.end() : end]), bool(found[1])), end + 1
    if found := _PATH.match(line, at):
        return _path(line, found.end())
    for kind, mend in (
        ("{tty}", "stands first: {tty} systemctl status nginx."),
        ("{words}", "is the last word, and a word of its own."),
        ("{words!}", "is the last word, and a word of its own."),
        ("{int:", "takes two numbers: {int:1-1000}."),
    ):
        if line.startswith(kind, at):
            raise BadInput(f"{kind} {mend}")
    return _choices(line, at + 1)


def _number(low: int, high: int) -> Number:
    if low > high:
        raise BadInput(f"{{int:{low}-{high}}} has no number in it: write the smaller one first.")
    return Number(low, high)


def _closing(line: str, at: int) -> int:
    """Where the brace closes that was opened before `at`; a `\\` takes the next sign along."""
    depth = 1
    while at < len(line):
        if line[at] == "\\":
            at += 1
        else:
            depth += {"{": 1, "}": -1}.get(line[at], 0)
            if depth == 0:
                return at
        at += 1
    raise BadInput("A pattern has no } at its end: every brace has its other, or a \\ before it.")


def _path(line: str, at: int) -> tuple[Below, int]:
    pieces: list[str] = []
    while not line.startswith("}", at):
        text, at = _inside(line, at)
        pieces.append(text)
    directory = "".join(pieces)
    names = directory.strip("/").split("/") if directory.strip("/") else []
    if not directory.startswith("/") or not {"", ".", ".."}.isdisjoint(names):
        raise BadInput(f"{{path:{directory[:60]}}} names no directory: write one as /var/log.")
    checked(("x", directory))
    return Below("/" + "/".join(names)), at + 1


def _choices(line: str, at: int) -> tuple[OneOf, int]:
    words: list[str] = []
    word: str | None = None
    while True:
        if line.startswith((",", "}"), at):
            if word is None:
                raise BadInput("A choice between { } is empty: write '' if that is meant.")
            words.append(word)
            word = None
            at += 1
            if line[at - 1] == "}":
                break
        else:
            text, at = _inside(line, at, until=",")
            word = (word or "") + text
    if len(words) == 1:
        raise BadInput(f"{{{words[0][:40]}}} is no placeholder: write {_KINDS}.")
    if len(set(words)) < len(words):
        raise BadInput("The same choice stands twice between { }: write it once.")
    return OneOf(tuple(words)), at


def _inside(line: str, at: int, until: str | None = None) -> tuple[str, int]:
    """A piece within braces; a plain one only as far as `until`."""
    if at >= len(line):
        raise BadInput("A { has no }: write both, or put the brace between '…'.")
    if line[at] in " \t":
        raise BadInput("A blank stands between { }: write {a,b}, or quotes around what has one.")
    text, end = piece(line, at)
    if until is not None and until in text and line[at] not in "'\"":
        text = text[: text.index(until)]
        end = at + len(text)
    return text, end


def _demand_sound(parts: Sequence[Part]) -> None:
    """What is written out is held to the rules for commands. Raises BadInput."""
    if not parts:
        raise BadInput("The command is empty.")
    programs = texts(parts[0])
    if programs is None:
        raise BadInput("A template names its program: write it out, or a choice as {head,tail}.")
    for program in programs:
        checked((program,))
    for part in parts[1:]:
        beginning = part.before if isinstance(part, Open) else part.word
        checked(("x", beginning, *(texts(part) or ())))
