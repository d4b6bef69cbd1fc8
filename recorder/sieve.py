"""Sifting: what of the chunks that an index of words gives holds what is looked for. Pure.

An index finds candidates by words, newest first; here each line is compared with the text itself,
up to as many hits as are wanted, and for no longer than a search may take. And whose a session is,
as words that an index keeps beside the others.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from recorder.chunks import Row, line_of, rows_of
from recorder.needle import Needle
from recorder.session import Session
from recorder.texts import MOST_OF_A_SESSION, Found, Hit, WantedLines

LOOKED_AT: Final = 3000
"""Chunks that are read for one search at most."""

PASSED: Final = 100_000
"""Chunks of sessions with enough hits that are passed over at most."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Search:
    """One search on its way through the chunks, the newest first."""

    def __init__(self, needle: Needle, wanted: WantedLines, limit: int) -> None:
        self._needle = needle
        self._wanted = wanted
        self._limit = limit
        self._of_each = limit + 1 if wanted.session is not None else MOST_OF_A_SESSION
        self._hits: list[Hit] = []
        self._of: Counter[int] = Counter()
        self._more_in: dict[int, None] = {}
        self._looked = self._passed = 0
        self._back_to: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether there is enough, or it has taken too long."""
        return len(self._hits) > self._limit or self._back_to is not None

    def look(self, session: int, began: int, body: bytes) -> None:
        """Look for it in one chunk."""
        if self.over:
            return
        if self._of[session] > self._of_each:
            self._passed += 1
        else:
            self._looked += 1
            self._in(session, began, rows_of(body))
        if self._looked >= LOOKED_AT or self._passed >= PASSED:
            self._back_to = moment(began)

    def found(self) -> Found:
        """What was found."""
        hits = sorted(self._hits, key=lambda hit: (hit.at, hit.line.time), reverse=True)
        return Found(
            hits[: self._limit],
            len(hits) > self._limit,
            tuple(self._more_in),
            self._back_to,
        )

    def _in(self, session: int, began: int, rows: Sequence[Row]) -> None:
        may_be_in = self._needle.may_be_in
        for row in reversed([row for row in rows if may_be_in(row[2])]):
            spans = tuple(self._needle.spans(row[2]))
            first = min(each[0] for each in rows) if spans else 0.0
            at = moment(began) + timedelta(seconds=row[0] - first)
            if spans and self._is_wanted(at):
                self._of[session] += 1
                if self._of[session] > self._of_each:
                    self._more_in[session] = None
                    return
                self._hits.append(Hit(session, at, line_of(row), spans))

    def _is_wanted(self, at: datetime) -> bool:
        since, until = self._wanted.since, self._wanted.until
        return (since is None or at >= since) and (until is None or at < until)


def whose(wanted: WantedLines) -> Iterator[str]:
    """The words that a session has to have."""
    given = {
        "user": wanted.user,
        "host": wanted.host,
        "login": wanted.login,
        "grant": wanted.grant,
        "kind": wanted.kind,
    }
    return (_word(name, value) for name, value in given.items() if value is not None)


def about_of(session: Session) -> str:
    """The words that a session has, blanks between them."""
    return " ".join(
        _word(name, value)
        for name, value in (
            ("user", session.user),
            ("host", session.host),
            ("login", session.login),
            ("grant", session.grant),
            ("kind", session.kind),
        )
    )


def _word(name: str, value: object) -> str:
    """A name and a value as one word, whatever is in them."""
    return hashlib.sha256(f"{name}\0{value}".encode("utf-8", "surrogateescape")).hexdigest()[:20]


def milliseconds(at: datetime) -> int:
    """A time as an index keeps it."""
    return int((at - _EPOCH) / timedelta(milliseconds=1))


def moment(kept: int) -> datetime:
    """The time that is kept so."""
    return _EPOCH + timedelta(milliseconds=kept)
