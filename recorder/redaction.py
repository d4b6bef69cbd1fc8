"""Redaction: what is left out of transcripts and of exports for others. Never of the evidence.

A pattern is a regular expression of RE2, which takes time in proportion to the text, whatever
the pattern. What stands in its parentheses is replaced by `[redacted]`, without any all that it
finds. `set:NAME` is one of the sets below. Text goes in line by line, so a secret over several
lines is found only where a set knows its shape, as it knows private keys. Pure.
Source: https://github.com/google/re2/wiki/Syntax
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import re2  # type: ignore[import-untyped]

from recorder.errors import BadPattern

REDACTED: Final = "[redacted]"
MOST: Final = 100
LONGEST: Final = 1000
"""Patterns in the settings, and characters of one."""

_ALL: Final = "all"
_PREFIX: Final = "set:"
_LONGEST_BLOCK = 500

_VALUE = r"""(?:"([^"]+)"|'([^']+)'|([^\s"',;&|)]+))"""
_NAMED = r"(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|credentials?)"

SETS: Final[dict[str, tuple[str, ...]]] = {
    "passwords": (
        rf"(?i)(?:^|[^a-z0-9])[a-z0-9_.-]*{_NAMED}[a-z0-9_]*[\"']?\s*(?::=|=>|[:=])\s*{_VALUE}",
        rf"(?i)(?:^|\s)--?[a-z-]*{_NAMED}[= ]{_VALUE}",
        r"\bsshpass\s+-p\s*(\S+)",
        r"\bmysql[a-z]*\s(?:.*\s)?-p(\S+)",
        r"\bcurl\s(?:.*\s)?(?:-u|--user)[ =]?[^\s:]+:(\S+)",
    ),
    "urls": (r"(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@]*:([^\s/@]+)@",),
    "bearer-tokens": (
        r"(?i)\b(?:proxy-)?authorization\s*[:=]\s*[\"']?(?:bearer|basic|token|apikey)\s+([^\s\"']+)",
        r"(?i)\bbearer\s+([a-z0-9._~+/-]{16,}=*)",
    ),
    "jwt": (r"\b(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",),
    "aws-keys": (
        r"\b((?:AKIA|ASIA)[A-Z0-9]{16})\b",
        r"(?i)\baws_?(?:secret_?access_?key|session_?token)[\"']?\s*[:=]\s*[\"']?([a-z0-9/+=]{40,})",
    ),
    "tokens": (
        r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,})",
        r"\b(xox[abeoprs]-[A-Za-z0-9-]{10,}|npm_[A-Za-z0-9]{36}|hv[sb]\.[A-Za-z0-9_-]{24,})",
        r"\b([rs]k_(?:live|test)_[A-Za-z0-9]{16,}|AIza[A-Za-z0-9_-]{35}|sk-[A-Za-z0-9_-]{20,})",
        r"\b(AGE-SECRET-KEY-1[A-Z0-9]{58})",
    ),
    "password-hashes": (r"(\$(?:1|2[abxy]|5|6|7|y|gy|argon2id?)\$[./A-Za-z0-9$=,+-]{12,})",),
    "private-keys": (
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(.*)",
        r"^\s*([A-Za-z0-9+/]{64}(?:[A-Za-z0-9+/]{6})?)\s*$",
    ),
}
"""What secrets look like: patterns by the name of their set."""

_BLOCKS: Final = "private-keys"
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_OF_A_KEY = re.compile(r"[A-Za-z0-9+/=]*|[A-Za-z-]{4,}: .*")


class Redaction:
    """The patterns that are in force. Raises BadPattern, naming the one that can't be."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        if len(self.patterns) > MOST:
            raise BadPattern(f"there are more than {MOST} patterns")
        texts = list(dict.fromkeys(text for each in patterns for text in _expanded(each)))
        self._all = [_compiled(text) for text in texts]
        self._any = _any_of(texts)
        self.knows_keys = any(each in (_PREFIX + _BLOCKS, _PREFIX + _ALL) for each in patterns)

    def __bool__(self) -> bool:
        return bool(self._all)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in a line something is to be left out: from and behind, in order, apart."""
        data = text.encode("utf-8", "surrogatepass")
        if self._any is not None and self._any.search(data) is None:
            return []
        found = sorted(span for pattern in self._all for span in _found(pattern, data))
        return [_characters(data, span) for span in _joined(found)]


class Redactor:
    """Redacts the lines of one text, in their order. It counts the places."""

    def __init__(self, redaction: Redaction) -> None:
        self.count = 0
        self._redaction = redaction
        self._inside = 0

    @property
    def active(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._redaction)

    def another(self) -> "Redactor":
        """One by the same patterns, for another text."""
        return Redactor(self._redaction)

    def __call__(self, line: str) -> str:
        """The line as it may be told."""
        spans = self.spans(line)
        self.count += len(spans)
        return replaced(line, spans)

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Where in the next line something is to be left out."""
        if not self._redaction.knows_keys:
            return self._redaction.spans(line)
        text = line.strip()
        if self._inside and _OF_A_KEY.fullmatch(text) is not None:
            self._inside -= 1
            begin = line.index(text)
            return [(begin, begin + len(text))] if text else []
        self._inside = 0
        spans = self._redaction.spans(line)
        if _BEGIN.search(line) is not None and _END.search(line) is None:
            self._inside = _LONGEST_BLOCK
        return spans


def replaced(line: str, spans: Sequence[tuple[int, int]]) -> str:
    """A line with `[redacted]` in these places."""
    parts, at = [], 0
    for begin, end in spans:
        parts += [line[at:begin], REDACTED]
        at = end
    return "".join([*parts, line[at:]])


def _expanded(pattern: str) -> tuple[str, ...]:
    """The texts of a set, or the pattern itself."""
    if len(pattern) > LONGEST:
        raise BadPattern(f"a pattern is longer than {LONGEST} characters: {pattern[:40]!a}…")
    if not pattern.startswith(_PREFIX):
        return (pattern,)
    name = pattern.removeprefix(_PREFIX)
    if name == _ALL:
        return tuple(text for texts in SETS.values() for text in texts)
    if name not in SETS:
        known = ", ".join([*SETS, _ALL])
        raise BadPattern(f"{pattern[:60]!a} is no set of patterns; there are {known}")
    return SETS[name]


def _any_of(patterns: Sequence[str]) -> "re2._Regexp | None":
    """What finds a text in which one of them finds something: most texts hold nothing."""
    if not patterns:
        return None
    try:
        return _compiled("|".join(f"(?:{each})" for each in patterns))
    except BadPattern:
        return None


def _compiled(pattern: str) -> "re2._Regexp":
    import re2  # noqa: PLC0415 - where there are no patterns it is not needed

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode(), options=options)
    except (re2.error, UnicodeEncodeError) as error:
        raise BadPattern(f"{pattern[:60]!a} is no pattern of RE2: {_reason(error)}") from error
    if compiled.search(b"") is not None:
        raise BadPattern(f"{pattern[:60]!a} finds nothing at all everywhere")
    return compiled


def _reason(error: Exception) -> str:
    (said,) = error.args[:1] or ("",)
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _found(pattern: "re2._Regexp", data: bytes) -> Iterator[tuple[int, int]]:
    for match in pattern.finditer(data):
        groups = [match.span(number) for number in range(1, pattern.groups + 1)]
        captured = [span for span in groups if span[0] >= 0]
        for begin, end in captured or [match.span()]:
            if begin < end:
                yield begin, end


def _joined(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans that touch as one; `spans` are sorted."""
    begun: tuple[int, int] | None = None
    for span in spans:
        if begun is not None and span[0] <= begun[1]:
            begun = (begun[0], max(begun[1], span[1]))
            continue
        if begun is not None:
            yield begun
        begun = span
    if begun is not None:
        yield begun


def _characters(data: bytes, span: tuple[int, int]) -> tuple[int, int]:
    """A span of bytes as one of characters; a pattern may cut one in two."""
    begin, end = span
    before = len(data[:begin].decode("utf-8", "ignore"))
    return before, len(data[:end].decode("utf-8", "ignore"))
