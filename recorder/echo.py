"""Echo: which of the keys that were typed did the terminal show? A guess, and a careful one.

Nothing in SSH says whether a terminal echoes; a password prompt merely stops to. So each run of
characters is held against what was shown after it:

- A key counts as echoed when what is shown next begins with its character, or writes again what
  stands on the line and then the character, as shells do. Some noise may come before, not much.
- What had not been echoed when Enter was pressed must be shown at once, and then a new line: what
  a program prints after a password is no echo of it.
- A run is echoed when all of its characters are; of a longer one, which an editor draws in its
  own way, three quarters, and the others are masked. Any other run is masked whole.

In doubt it masks. By chance it can err in the other direction, too. Pure, and bounded.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from recorder.keys import Key, Kind

WINDOW: Final = 3.0
"""Seconds within which an echo comes."""

TRIES: Final = 3
"""Pieces of output that are looked at for a key."""

PAUSE: Final = 10.0
"""Seconds without a key after which another run begins."""

AT_ONCE: Final = 8
"""Keys that are tried against one piece of output: an echo skips no more."""

LONGEST_RUN: Final = 1000
"""Keys in a run."""

SHORT_RUN: Final = 4
"""Characters of a run that has to be echoed whole."""

MOST_OPEN: Final = 10_000
"""Characters, and runs, that may wait for an echo; where there are more, all are masked."""

_LOOKED_AT = 4096
_LINE = 256
_NO_TEXT = re.compile(
    r"\x08 \x08|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\x00-\x09\x0c\x0e-\x1f\x7f-\x9f]"
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown at `time`: text, and no sequence in it is torn."""

    time: float
    text: str


@dataclass(frozen=True, slots=True)
class Typed:
    """Keys that were typed one after the other, and whether they were not echoed: a guess."""

    keys: tuple[Key, ...]
    masked: bool

    @property
    def time(self) -> float:
        """When the first was."""
        return self.keys[0].time


def judged(moments: Iterable[Key | Shown]) -> Iterator[Typed]:
    """Everything that was typed, in its order, each piece when it is decided.

    `moments` come in the order of their times; a key before what was shown at the same time.
    """
    judge = _Judge()
    for moment in moments:
        if isinstance(moment, Key):
            judge.typed(moment)
        else:
            judge.shown(moment)
        yield from judge.decided()
    judge.end()
    yield from judge.decided()


@dataclass(slots=True)
class _Run:
    """Keys of which either all are characters, some taken back, or one is another key.

    `echoes` says of each key whether it was echoed; of what needs no echo, that it was. `waiting`
    is how many are still open. `entered` is a run that was handed in.
    """

    keys: list[Key]
    echoes: list[bool]
    waiting: int = 0
    closed: bool = False
    entered: bool = False

    def is_apart(self, key: Key) -> bool:
        """Whether a key begins another run."""
        return len(self.keys) >= LONGEST_RUN or key.time - self.keys[-1].time > PAUSE

    def pieces(self) -> Iterator[Typed]:
        """The run, judged."""
        texts = [
            echo for key, echo in zip(self.keys, self.echoes, strict=True) if key.kind is Kind.TEXT
        ]
        good = sum(texts)
        if good == len(texts):
            yield Typed(tuple(self.keys), masked=False)
        elif good < SHORT_RUN or good * 4 < len(texts) * 3:
            yield Typed(tuple(self.keys), masked=True)
        else:
            yield from self._in_parts()

    def _in_parts(self) -> Iterator[Typed]:
        begin = 0
        for end in range(1, len(self.keys) + 1):
            if end == len(self.keys) or self.echoes[end] != self.echoes[begin]:
                yield Typed(tuple(self.keys[begin:end]), masked=not self.echoes[begin])
                begin = end


@dataclass(slots=True)
class _Awaited:
    """A character that waits for its echo."""

    run: _Run
    place: int
    character: str
    time: float
    tries: int = 0


@dataclass(slots=True)
class _Judge:
    _runs: deque[_Run] = field(default_factory=deque)
    _awaited: deque[_Awaited] = field(default_factory=deque)
    _unconfirmed: list[_Awaited] = field(default_factory=list)
    _line: str = ""

    def typed(self, key: Key) -> None:
        """Take one more key."""
        self._expire(key.time)
        if len(self._awaited) > MOST_OPEN or len(self._runs) > MOST_OPEN:
            self._doubt_all()
        run = self._runs[-1] if self._runs and not self._runs[-1].closed else None
        if key.kind is Kind.TEXT:
            self._take(key, run)
        elif key.kind is Kind.ERASE and run is not None and not run.is_apart(key):
            run.keys.append(key)
            run.echoes.append(True)
        else:
            if run is not None:
                run.closed, run.entered = True, key.kind is Kind.ENTER
            self._runs.append(_Run([key], [True], closed=True))

    def shown(self, shown: Shown) -> None:
        """Take what was shown."""
        self._expire(shown.time)
        if not (self._awaited or self._unconfirmed):
            self._stands(_plain(shown.text[-_LOOKED_AT:]))
            return
        text = _plain(shown.text[:_LOOKED_AT])
        at = 0
        while at < len(text) and (self._unconfirmed or self._awaited):
            whole = self._unconfirmed and not self._goes_on(self._unconfirmed[0].run)
            after = self._confirmed(text, at) if whole else self._echoed(text, at)
            if after is None:
                break
            self._stands(text[at:after])
            at = after
        self._stands(text[at:])
        self._stands(_plain(shown.text[_LOOKED_AT:][-_LOOKED_AT:]))

    def end(self) -> None:
        """Nothing more comes."""
        self._doubt_all()
        if self._runs:
            self._runs[-1].closed = True

    def decided(self) -> Iterator[Typed]:
        """What is decided, the oldest first."""
        while self._runs and self._runs[0].closed and not self._runs[0].waiting:
            yield from self._runs.popleft().pieces()

    def _take(self, key: Key, run: _Run | None) -> None:
        if run is None or run.is_apart(key):
            if run is not None:
                run.closed = True
            run = _Run([], [])
            self._runs.append(run)
        self._awaited.append(_Awaited(run, len(run.keys), key.text, key.time))
        run.keys.append(key)
        run.echoes.append(False)
        run.waiting += 1

    def _settle(self, awaited: _Awaited, *, echoed: bool) -> None:
        awaited.run.echoes[awaited.place] = echoed
        awaited.run.waiting -= 1

    def _expire(self, now: float) -> None:
        if self._unconfirmed and now - self._unconfirmed[0].time > WINDOW:
            self._doubt_unconfirmed()
        while self._awaited and now - self._awaited[0].time > WINDOW:
            self._settle(self._awaited.popleft(), echoed=False)

    def _stands(self, text: str) -> None:
        """More stands on the line, or on a new one."""
        line = (self._line + text).rpartition("\n")[2]
        self._line = line.replace("\r", "").replace("\v", "")[-_LINE:]

    def _goes_on(self, run: _Run) -> bool:
        return bool(self._awaited) and self._awaited[0].run is run

    def _confirmed(self, text: str, at: int) -> int:
        """What was shown only after Enter counts when a new line follows; where to go on."""
        new_line = _NEW_LINE.match(text, at)
        if new_line is None:
            self._doubt_unconfirmed()
            return at
        for awaited in self._unconfirmed:
            self._settle(awaited, echoed=True)
        self._unconfirmed.clear()
        return new_line.end()

    def _doubt_all(self) -> None:
        self._doubt_unconfirmed()
        while self._awaited:
            self._settle(self._awaited.popleft(), echoed=False)

    def _doubt_unconfirmed(self) -> None:
        for awaited in self._unconfirmed:
            self._settle(awaited, echoed=False)
        self._unconfirmed.clear()

    def _echoed(self, text: str, at: int) -> int | None:
        """Behind the echo of a character that is waited for; None where this holds none."""
        head = self._awaited[0]
        if head.run.entered:
            return self._echoed_late(head.run, text, at)
        for number, awaited in enumerate(islice(self._awaited, AT_ONCE)):
            if awaited.run.entered:
                break
            after = _behind_echo(text, at, self._line, awaited.character)
            if after is not None:
                for _ in range(number):
                    self._settle(self._awaited.popleft(), echoed=False)
                self._settle(self._awaited.popleft(), echoed=True)
                return after
        head.tries += 1
        if head.tries >= TRIES:
            self._settle(self._awaited.popleft(), echoed=False)
        return None

    def _echoed_late(self, run: _Run, text: str, at: int) -> int:
        """The rest of a run that was entered: the next that is shown is its echo, or none is."""
        after = _behind_echo(text, at, self._line, self._awaited[0].character)
        if after is None:
            self._doubt_unconfirmed()
            while self._goes_on(run):
                self._settle(self._awaited.popleft(), echoed=False)
            return at
        self._unconfirmed.append(self._awaited.popleft())
        return after


_MOVE = re.compile(r"\x1b\[[\d;]*[ABEFHdf]")
_NEW_LINE = re.compile(r"[\r\v]*\n|[\r\v]")


def _plain(text: str) -> str:
    """What stands to be read: characters, \\r and \\n; and \\v where the cursor goes elsewhere."""
    return _NO_TEXT.sub("", _MOVE.sub("\v", text.replace("\v", "")))


def _behind_echo(text: str, at: int, line: str, character: str) -> int | None:
    """Behind `character` where `text` shows it from `at` on, as an echo would."""
    while at < len(text) and text[at] in "\r\v":
        at += 1
    if text.startswith(character, at):
        return at + 1
    again = 0
    while at + again < len(text) and again < _LINE and text[at : at + again + 1] in line:
        again += 1
        behind = at + again
        if line.endswith(text[at:behind]) and text.startswith(character, behind):
            return behind + 1
    if again and text.startswith(character, at + again):
        return at + again + 1
    return None
