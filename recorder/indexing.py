"""Indexing: the transcripts of what was recorded are brought into the text index, and kept so.

A session that goes on is looked at again and again, from where its recording was left; at its end
the rest of it is read. Each recording stands alone: one that can't be read is marked so, with the
reason, and is tried again only when all is made anew. It blocks, in pieces: `rest` is called
between small ones, and what it raises ends the turn.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from recorder.asciicast import Event
from recorder.chunks import filled, is_full
from recorder.errors import (
    Covered,
    IndexUnavailable,
    LetGo,
    NotYetStored,
    RecorderError,
    RecordingMissing,
    StoreAway,
)
from recorder.file_rows import FileRow
from recorder.index import Index
from recorder.lines import Line, Place, lines_of, offset
from recorder.reader import Reader
from recorder.session import Session
from recorder.texts import Standing, State, Texts, Update
from recorder.transcript import Transcriber, Transcripts

log = logging.getLogger(__name__)

AGAIN: Final = 30.0
"""Seconds between two looks at a session that goes on."""

PIECE: Final = 256 * 1024
"""Bytes of one recording that are read before another has its turn."""

TURN: Final = 2 * 1024 * 1024
"""Bytes that are read in one turn."""

TOGETHER: Final = 64
"""Updates that are kept in one transaction at most."""

FOLLOWED: Final = 2000
"""Sessions that are in work at most; live ones beyond wait until one of them is over."""

_PAGE = 500
_OVERLAP = 100
"""Sessions that are looked at again, as a row may be seen later than one behind it."""

_LOOK = 1024
"""What a look at a recording costs beside what is read of it, in bytes."""

_AT_ONCE = 16
"""Sessions that were over before they were taken up, and are in work at once; and recordings that
are kept open between two pieces, so that a load of long ones opens no more than that."""

_TRIES = 3
_TO_DO = frozenset({State.GROWING, State.AGAIN})

Clock = Callable[[], float]


class Recordings(Protocol):
    """Where recordings are opened (`Archive`)."""

    def open(self, session: Session, between: Callable[[], object] = ...) -> Reader:
        """What reads a session's recording. Raises RecorderError."""


@dataclass(slots=True)
class _Followed:
    """A session in work: how far its recording was read, and the lines that no chunk has yet.

    `events` goes on where a piece ended. One that is longer `waits` for its turn to be kept open.
    """

    number: int
    due: float = 0.0
    tries: int = 0
    session: Session | None = None
    transcriber: Transcriber | None = None
    position: int = 0
    events: Iterator[tuple[int, Event]] | None = None
    unfinished: bool = False
    waits: bool = False
    lines: list[Line] = field(default_factory=list)
    anew: bool = True

    def begin_anew(self) -> None:
        """What is kept of it is not known any more."""
        self.transcriber, self.events, self.position = None, None, 0
        self.anew, self.unfinished, self.due = True, False, 0.0
        self.lines.clear()


class Indexer:
    """Keeps `texts` up to date with the sessions of `index`. Raises IndexUnavailable.

    `clock` gives seconds that never go back. `shows` says whether what a session showed may be
    kept in plain; of one that is encrypted, only what its rows have is. What is not `mine` is left
    to others who share `texts`.
    """

    def __init__(
        self,
        index: Index,
        recordings: Recordings,
        texts: Texts,
        transcripts: Transcripts,
        *,
        clock: Clock,
        rest: Callable[[], object] = lambda: None,
        shows: Callable[[Session], bool] = lambda _: True,
        mine: Callable[[Session], bool] = lambda _: True,
    ) -> None:
        self._index = index
        self._recordings = recordings
        self._texts = texts
        self._transcripts = transcripts
        self._clock = clock
        self._rest = rest
        self._shows = shows
        self._mine = mine
        self._others: set[int] = set()
        self._followed: dict[int, _Followed] = {}
        self._waiting: dict[int, None] = {}
        self._newest = 0
        self._batch: list[tuple[_Followed, Update]] = []

    def turn(self) -> bool:
        """Some of what is to be done; whether there is more to do at once."""
        live = self._index.live()
        self._take_up(live)
        try:
            return self._advance(live)
        except BaseException:
            for each, _ in self._batch:
                each.begin_anew()
            raise
        finally:
            self._batch.clear()

    def _take_up(self, live: Set[int]) -> None:
        """What is new; and, some at once, what was left from before, and is to be made anew."""
        first, after = self._newest == 0, max(0, self._newest - _OVERLAP)
        self._others = {each for each in self._others if each > after}
        while numbers := self._index.numbers(after, _PAGE):
            for number in self._to_do(numbers):
                if first and number not in live:
                    self._waiting[number] = None
                else:
                    self._follow(number)
            after = self._newest = numbers[-1]
            self._rest()
        over = sum(number not in live for number in self._followed)
        if not self._waiting and not over:
            self._waiting.update((each, None) for each in self._texts.again(_PAGE))
        for number in list(islice(self._ready(live), max(0, _AT_ONCE - over))):
            del self._waiting[number]
            self._followed[number] = _Followed(number)

    def _ready(self, live: Set[int]) -> Iterator[int]:
        """What waits and can be taken up: what is over, however many live ones are in work."""
        room = len(self._followed) < FOLLOWED
        return (number for number in self._waiting if room or number not in live)

    def _to_do(self, numbers: Sequence[int]) -> list[int]:
        known = self._texts.between(numbers[0], numbers[-1])
        open_ = (each for each in numbers if known.get(each, State.GROWING) in _TO_DO)
        taken = (self._followed, self._waiting, self._others)
        return [each for each in open_ if not any(each in some for some in taken)]

    def _follow(self, number: int) -> None:
        """Take it into work, or let it wait where there is too much of it."""
        if len(self._followed) < FOLLOWED:
            self._followed[number] = _Followed(number)
        else:
            self._waiting[number] = None

    def _advance(self, live: Set[int]) -> bool:
        """Read on in those that are due, for as long as one turn may take."""
        left = TURN
        kept_open = sum(each.events is not None for each in self._followed.values())
        for each in self._due(live):
            before, was_open = each.position, each.events is not None
            if each.waits and not was_open and kept_open >= _AT_ONCE:
                continue
            update = self._advanced(each, each.number not in live)
            if each.events is not None and not was_open and kept_open >= _AT_ONCE:
                each.events, each.waits = None, True
            kept_open += (each.events is not None) - was_open
            if update is not None:
                self._batch.append((each, update))
            left -= max(_LOOK, each.position - before)
            if len(self._batch) >= TOGETHER:
                self._keep()
            if left <= 0:
                break
        self._keep()
        if left > 0:
            self._texts.tidy()
        unfinished = any(each.unfinished for each in self._followed.values())
        return unfinished or left <= 0 or next(self._ready(live), None) is not None

    def _due(self, live: Set[int]) -> list[_Followed]:
        """Those that are over first, then those that were not looked at for longest."""
        now = self._clock()
        due = (
            each for each in self._followed.values() if each.number not in live or each.due <= now
        )
        return sorted(due, key=lambda each: (each.number in live, each.due, each.number))

    def _keep(self) -> None:
        """Keep what there is of the turn until now."""
        if not self._batch:
            return
        try:
            self._texts.write([update for _, update in self._batch])
        except IndexUnavailable:
            # What there is in it is not known any more: all of it is looked at again.
            self._followed.clear()
            self._waiting.clear()
            self._newest = 0
            raise
        for each, update in self._batch:
            if update.standing.state is not State.GROWING:
                self._followed.pop(each.number, None)
        self._batch.clear()
        self._rest()

    def _advanced(self, each: _Followed, over: bool) -> Update | None:
        """Read on in a recording, and say what is new in it."""
        each.due = self._clock() + AGAIN
        each.session = each.session or self._index.get(each.number)
        if each.session is None or not self._mine(each.session):
            self._others.add(each.number)
            self._followed.pop(each.number)
            return None
        try:
            if self._shows(each.session):
                return self._read(each, each.session, over)
            return self._listed(each, each.session, over)
        except IndexUnavailable:
            each.begin_anew()
            raise
        except Covered:
            return self._listed(each, each.session, over)
        except LetGo:
            return Update(each.session, Standing(State.GONE), anew=True)
        except (RecordingMissing, StoreAway, OSError) as error:
            return self._missing(each, each.session, error)
        except RecorderError as error:
            each.lines += each.transcriber.end() if each.transcriber is not None else []
            return self._failed(each, each.session, str(error))
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            # A mistake of ours: it must not keep the others from being found.
            log.exception("the transcript of %s can't be made", each.session.name)
            reason = f"its transcript can't be made: {type(error).__name__}"
            return self._failed(each, each.session, reason)
        except BaseException:
            each.begin_anew()
            raise

    def _missing(self, each: _Followed, session: Session, error: Exception) -> Update | None:
        """It may have been compressed at this moment; or be on its way from another machine."""
        if isinstance(error, (NotYetStored, StoreAway)):
            each.session = None  # its row says when that is over
            return None
        each.tries += 1
        return None if each.tries < _TRIES else self._failed(each, session, str(error))

    def _read(self, each: _Followed, session: Session, over: bool) -> Update | None:
        reader = self._recordings.open(session, self._rest)
        if each.transcriber is None:
            each.transcriber = self._transcripts.begun(reader.header())
        if each.events is None:
            each.events = reader.events_from(each.position)
        begun, ended = each.position, self._fed(each, each.transcriber, each.events)
        if ended or not over:
            each.events = None
        each.unfinished, each.due = not ended, each.due if ended else self._clock()
        whole = ended and over
        each.lines += each.transcriber.end() if whole else each.transcriber.draw()
        if each.position == begun and not whole and not each.anew:
            return None
        tail = each.transcriber.pending() if ended and not whole else []
        each.transcriber.sleep()
        state = State.WHOLE if whole else State.GROWING
        return self._update(each, session, Standing(state, None, each.transcriber.left_out), tail)

    def _fed(
        self, each: _Followed, transcriber: Transcriber, events: Iterator[tuple[int, Event]]
    ) -> bool:
        """Read a piece; whether that was all that there is."""
        end = each.position + PIECE
        for position, event in events:
            each.lines += transcriber.feed(event)
            each.position = position
            if position >= end:
                return False
        return True

    def _update(
        self, each: _Followed, session: Session, standing: Standing, tail: Sequence[Line]
    ) -> Update:
        """What is full as chunks, the rest as the tail, which comes again with the next."""
        *chunks, last = filled(each.lines) if each.lines else [[]]
        if is_full(last):
            chunks, last = [*chunks, last], []
        each.lines, anew, each.anew = last, each.anew, False
        return Update(session, standing, chunks, [*last, *tail], anew)

    def _listed(self, each: _Followed, session: Session, over: bool) -> Update | None:
        """What the rows say of a session: its command line, and the files that went over."""
        if not over and not each.anew:
            return None
        each.begin_anew()
        lines = self._transcripts.redacted(_listed(session, self._index.files.of(session)))
        each.anew = False
        standing = Standing(State.CLOSED if over else State.GROWING)
        return Update(session, standing, list(filled(lines)), anew=True)

    def _failed(self, each: _Followed, session: Session, reason: str) -> Update:
        log.error("%s can't be searched: %s", session.name, reason)
        left_out = each.transcriber is not None and each.transcriber.left_out
        return self._update(each, session, Standing(State.FAILED, reason, left_out), [])


def _listed(session: Session, files: Iterable[FileRow]) -> Iterator[Line]:
    for command in (session.command or "").splitlines():
        yield from lines_of(0.0, command, Place.COMMAND)
    for row in files:
        time = offset((row.at - session.started_at).total_seconds())
        yield from lines_of(time, row.event.line(), Place.FILE)
