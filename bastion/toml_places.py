"""Where in a TOML text each value stands, so that a mistake can be said with its line.

For a text that `tomllib` has taken: nothing is checked again here, and values are not read. Pure.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys, and for elements of lists their numbers from 0: `("rule", 2, "hosts", 0)`."""

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}'
    r'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
    r"|#[^\n]*|\n|[\[\]{},=.]|[^\s\[\]{},=.#\"']+",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    line: int


class Places:
    """The line, from 1, of every key and element of a TOML text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._tokens = _tokens(text)
        self._at = 0
        # How many tables of each [[name]] there were, to know which one is meant.
        self._counts: dict[Path, int] = {}
        self._statements()

    def __contains__(self, path: Path) -> bool:
        return path in self._lines

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line of `path`, or of what it would stand in; None where it would be the file."""
        for length in range(len(path), 0, -1):
            found = self._lines.get(tuple(path[:length]))
            if found is not None:
                return found
        return None

    def _peek(self) -> str:
        return self._tokens[self._at].text

    def _take(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _statements(self) -> None:
        table: Path = ()
        while self._peek():
            if self._peek() == "\n":
                self._take()
            elif self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        opened = self._take()
        many = self._peek() == "["
        if many:
            self._take()
        *above, last = self._key("]")
        self._at += 2 if many else 1
        table: Path = ()
        for part in above:
            table = self._within((*table, part), opened.line)
        table = (*table, last)
        if many:
            self._lines.setdefault(table, opened.line)
            self._counts[table] = self._counts.get(table, 0) + 1
            table = self._within(table, opened.line)
        else:
            self._lines.setdefault(table, opened.line)
        return table

    def _within(self, table: Path, line: int) -> Path:
        """The table that further keys go to: of several [[name]], the latest."""
        if table in self._counts:
            table = (*table, self._counts[table] - 1)
        self._lines.setdefault(table, line)
        return table

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._at].line
        path = table
        for part in self._key("="):
            path = (*path, part)
            self._lines.setdefault(path, line)
        self._take()
        self._value(path)

    def _key(self, end: str) -> list[str]:
        parts: list[str] = []
        while self._peek() != end:
            word = self._take().text
            if word[0] in "\"'":
                parts.append(next(iter(tomllib.loads(f"{word} = 0"))))
            elif word != ".":
                parts.append(word)
        return parts

    def _value(self, path: Path) -> None:
        if self._peek() == "[":
            self._list(path)
        elif self._peek() == "{":
            self._take()
            while self._skipped() != "}":
                self._pair(path)
            self._take()
        else:
            while self._peek() not in {"\n", ",", "]", "}", ""}:
                self._take()

    def _list(self, path: Path) -> None:
        self._take()
        number = 0
        while self._skipped() != "]":
            self._lines[*path, number] = self._tokens[self._at].line
            self._value((*path, number))
            number += 1
        self._take()

    def _skipped(self) -> str:
        """The next token that is neither a comma nor an end of a line."""
        while self._peek() in {"\n", ","}:
            self._take()
        return self._peek()


def _tokens(text: str) -> list[_Token]:
    """What `text` consists of without blanks and comments; an empty one at the end."""
    line, at, found = 1, 0, []
    for match in _TOKEN.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        if match[0][0] != "#":
            found.append(_Token(match[0], line))
    return [*found, _Token("", line)]
