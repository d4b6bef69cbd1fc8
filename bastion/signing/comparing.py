"""The book held against the ledger: each certificate stands in both, or somebody has to say why.

Of the book are kept eight bytes for each certificate, so that millions of them fit. Pure.
"""

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from bastion.authority import Which
from bastion.ledger import Entry
from bastion.signing.book import NOTHING, read_line

GRACE: Final = timedelta(minutes=1)
"""A certificate that was signed this short a time ago may be on its way into the ledger."""

_SHA256: Final = re.compile("[0-9a-f]{64}")

OF_LEDGER: Final = (Which.USER_CA.value, Which.TARGET_CA.value)
"""Whose certificates stand in the ledger."""


class Difference(StrEnum):
    """What is wrong."""

    CHANGED = "changed"
    UNKNOWN = "unknown"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is not as it should be, in a sentence."""

    difference: Difference
    what: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the book, as far as it is looked at. `sha256` is a certificate's, if it is one."""

    number: int
    at: datetime
    ca: str
    serial: int | None
    what: str
    sha256: str | None
    before: str
    text: str

    @classmethod
    def of(cls, text: str) -> "Line":
        """What a line says. Raises ValueError."""
        entry = read_line(text)
        number, at, ca, what = (entry.get(name) for name in ("n", "at", "ca", "what"))
        serial, sha256, before = (entry.get(name) for name in ("serial", "sha256", "before"))
        if not isinstance(number, int) or not isinstance(serial, int | None):
            raise ValueError("a number that is none")
        moment = datetime.fromisoformat(str(at)).astimezone(UTC)
        whole = None if sha256 is None else str(sha256)
        if whole is not None and _SHA256.fullmatch(whole) is None:
            raise ValueError("a hash that is none")
        return cls(number, moment, str(ca), serial, str(what), whole, str(before), text)

    @property
    def certificate(self) -> str | None:
        """The SHA-256 by which the ledger should know it; None where it should not.

        Without a serial are those to judge revocation lists with: good for one second in 1970.
        """
        return self.sha256 if self.ca in OF_LEDGER and self.serial is not None else None


@dataclass(slots=True)
class Comparison:
    """Reads a book, then a ledger, and says what does not fit: of what was signed after `since`."""

    now: datetime
    since: datetime | None = None
    begins: datetime | None = None
    lines: int = 0
    certificates: int = 0
    _known: "array[int]" = field(default_factory=lambda: array("Q"))

    def read(self, texts: Iterable[str], *, whole: bool = True) -> Iterator[Line | Found]:
        """The lines of one book, from its first one; where it is not `whole`, from any."""
        before: str | None = NOTHING if whole else None
        number = 0 if whole else None
        for text in texts:
            try:
                line = Line.of(text)
            except ValueError:
                yield Found(Difference.CHANGED, f"A line of the book can't be read: {text[:60]!a}.")
                before = number = None
                continue
            if before not in (None, line.before) or number not in (None, line.number - 1):
                yield Found(
                    Difference.CHANGED,
                    f"The book was changed before its line {line.number}: what is there is not "
                    "what was written.",
                )
            before, number = hashlib.sha256(text.encode()).hexdigest(), line.number
            self._keep(line)
            yield line

    def _keep(self, line: Line) -> None:
        self.lines += 1
        self.begins = line.at if self.begins is None else min(self.begins, line.at)
        if line.certificate is not None:
            self.certificates += 1
            self._known.append(int(line.certificate[:16], 16))

    def missing(self, lines: Sequence[Line], kept: Collection[str]) -> Iterator[Found]:
        """Those of the book whose certificates the ledger has not `kept`."""
        for line in lines:
            if line.certificate is None or line.certificate in kept:
                continue
            if self.since is not None and line.at < self.since:
                continue
            if line.at < self.now - GRACE:
                yield Found(
                    Difference.UNKNOWN,
                    f"Certificate {line.serial} ({line.what}) was signed at "
                    f"{line.at:%Y-%m-%d %H:%M:%S} UTC and is not in the ledger: the bastion or "
                    "the signer broke off then, or somebody else had it signed.",
                )

    def sort(self) -> None:
        """To be called between the book and the ledger."""
        self._known = array("Q", sorted(self._known))

    def unsigned(self, entries: Iterable[Entry]) -> Iterator[Found]:
        """Those of the ledger that were signed since the book began, and are not in it."""
        for entry in entries:
            if self.begins is None or entry.signed_at < max(self.begins, self.since or self.begins):
                continue
            wanted = int(entry.sha256[:16], 16)
            at = bisect_left(self._known, wanted)
            if at == len(self._known) or self._known[at] != wanted:
                yield Found(
                    Difference.UNSIGNED,
                    f"Certificate {entry.serial} ({entry.key_id}) is in the ledger and not in the "
                    "book: the signer did not sign it.",
                )
