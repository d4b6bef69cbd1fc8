"""What a verb's thread and the loop share of one console: what is said, asked and answered.

The thread speaks into a short queue, which the loop empties as fast as the client reads; where
that is full, the thread waits. Nothing here knows a channel or a key of a keyboard: the console
carries both ways.
"""

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bastion.workers import Place, Stay

MOST_UNSENT = 128 * 1024
"""Bytes that a verb has said and the loop has not taken; then the verb waits."""

PIECE = 32 * 1024
"""Bytes that the loop takes at once."""

BLINK = 0.05
"""Seconds that a verb waits for its reader before others get its turn; one that stays waits for
its reader most of the time, so there it would be others who wait."""

ANSWERED = 2.0
"""Seconds for which an answer of the client is good."""

MOST_KEYS = 64
"""Keys that were typed and not yet looked at; those after them are lost."""

LONGEST_WAIT = 3600.0
"""Seconds; nothing waits longer, whatever has become of the loop."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a verb was asked for: the line that was typed, and at what.

    `patience` is in seconds: so long is waited for an answer.
    """

    line: str
    terminal: bool
    colour: bool
    patience: float


@dataclass(eq=False, slots=True)
class Question:
    """A line that is asked for. `answer` is None where there is none."""

    answered: bool = False
    answer: str | None = None


class Conversation:
    """Implements `control.Voice` for the verb's thread; the loop has the other half.

    `wake` has the loop call `attended`, and take what there is; it may be called in any thread.
    """

    def __init__(self, setting: Setting, columns: int, wake: Callable[[], None]) -> None:
        self._setting = setting
        self._columns = columns
        self._wake = wake
        self._woken = False
        self._news = threading.Condition()
        self._unsent: deque[tuple[bytearray, bool]] = deque()
        self._size = 0
        self._left = False
        self._interrupted = False
        self._full = False
        self._keys = ""
        self._listening = False
        self._asks = False
        self._answered: float | None = None
        self._question: Question | None = None
        self._place: Place | None = None

    # The verb's half

    def begin(self, place: Place) -> None:
        """The verb has its place among the workers: what waits from now on lets go of it."""
        self._place = place

    @property
    def line(self) -> str:
        """What was typed, as it came."""
        return self._setting.line

    @property
    def terminal(self) -> bool:
        """Whether it was typed at a terminal."""
        return self._setting.terminal

    @property
    def colour(self) -> bool:
        """Whether that shows colours."""
        return self._setting.colour

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to be asked."""
        return self._setting.terminal

    def columns(self) -> int:
        """The columns of the terminal, as wide as it is now."""
        return self._columns

    def out(self, text: str) -> None:
        """Show `text`."""
        self._speak(text, False)

    def err(self, text: str) -> None:
        """Show `text` beside the answer; on a terminal there is no beside."""
        self._speak(text, not self.terminal)

    def data(self, data: bytes) -> None:
        """Hand over bytes as they are."""
        for at in range(0, len(data), PIECE):
            self._put(data[at : at + PIECE], False)

    def ask(self, prompt: str) -> str | None:
        """One line from the person, or None."""
        if not self.can_ask:
            return None
        self.out(prompt)
        question = Question()
        self._wait(lambda: question.answered, self._setting.patience, question)
        if not question.answered:
            self.out("\n")
        return question.answer

    def pause(self, seconds: float) -> None:
        """Let other verbs work for so long."""
        self._wait(lambda: False, seconds)

    def key(self, seconds: float) -> str | None:
        """One key, where one is typed in so many seconds."""
        if not self._listening:
            self._listening = self.terminal
            self._call()
        self._wait(lambda: bool(self._keys), seconds)
        with self._news:
            key, self._keys = self._keys[:1], self._keys[1:]
        return key or None

    def settle(self, stay: Stay) -> None:
        """The verb stays for this, to its end."""
        self._placed().settle(stay)

    def breathe(self) -> None:
        """Between two pieces of long work: others have their turn."""
        with self._news:
            self._heed()
        self._placed().breathe()

    @property
    def taken(self) -> bool:
        """Whether all that was said has been taken."""
        return not (self._full or self._unsent)

    @property
    def answers(self) -> bool:
        """Whether the client has answered a moment ago; from now on it is asked."""
        if not self._asks:
            self._asks = True
            self._call()
        return self._answered is not None and time.monotonic() - self._answered < ANSWERED

    def gone(self) -> bool:
        """Whether the person has left, or wants no more."""
        return self._left or self._interrupted

    def _speak(self, text: str, aside: bool) -> None:
        for at in range(0, len(text), PIECE):
            self._put(self._shown(text[at : at + PIECE]), aside)

    def _shown(self, text: str) -> bytes:
        plain = text.replace("\n", "\r\n") if self.terminal else text
        return plain.encode(errors="replace")

    def _put(self, data: bytes, aside: bool) -> None:
        patience = BLINK if self._placed().stay is None else 0.0
        with self._news:
            soon = self._news.wait_for(lambda: self._has_room() or self.gone(), patience)
        if not soon:
            self._wait(self._has_room, LONGEST_WAIT)
        with self._news:
            self._heed()
            self._keep(data, aside)
        self._call()

    def _wait(
        self, happened: Callable[[], bool], seconds: float, question: Question | None = None
    ) -> None:
        """Wait for it while others work; raises where the person leaves or interrupts."""
        with self._placed().waiting(), self._asking(question), self._news:
            self._news.wait_for(lambda: happened() or self.gone(), seconds)
            self._heed()

    def _placed(self) -> Place:
        assert self._place is not None  # noqa: S101 (for the type: nothing is said before `begin`)
        return self._place

    @contextmanager
    def _asking(self, question: Question | None) -> Iterator[None]:
        """The question stands for as long as the block lasts."""
        if question is None:
            yield
            return
        self._question = question
        self._call()
        try:
            yield
        finally:
            self._question = None
            self._call()

    def _heed(self) -> None:
        """Raise what the person's leaving or ctrl-c is to a verb."""
        if self._left:
            raise BrokenPipeError(errno.EPIPE, "nobody listens any more")
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def _has_room(self) -> bool:
        return self._size < MOST_UNSENT

    def _keep(self, data: bytes, aside: bool) -> None:
        if not data:
            return
        self._size += len(data)
        if self._unsent and self._unsent[-1][1] == aside and len(self._unsent[-1][0]) < PIECE:
            self._unsent[-1][0].extend(data)
        else:
            self._unsent.append((bytearray(data), aside))

    def _call(self) -> None:
        """Wake the loop, unless it is about to look anyway."""
        with self._news:
            asleep, self._woken = not self._woken, True
        if asleep:
            self._wake()

    # The loop's half: nothing here waits

    def attended(self) -> None:
        """The loop looks now: it has to be woken for what comes after."""
        with self._news:
            self._woken = False

    def take(self) -> tuple[bytes, bool] | None:
        """The next bytes that were said, and whether they go beside the answer."""
        with self._news:
            if not self._unsent:
                return None
            data, aside = self._unsent.popleft()
            self._size -= len(data)
            self._news.notify_all()
        return bytes(data), aside

    @property
    def unsent(self) -> bool:
        """Whether there is something to take."""
        return bool(self._unsent)

    @property
    def question(self) -> Question | None:
        """What is being asked."""
        return self._question

    def remark(self, sentence: str) -> None:
        """One line of the console's own, beside the answer."""
        with self._news:
            self._keep(self._shown(f"bastion: {sentence}\n"), not self.terminal)

    def echo(self, text: str) -> None:
        """Show what is typed; where the reader is too slow for it, it is not shown."""
        with self._news:
            if self._has_room():
                self._keep(self._shown(text), False)

    def answer(self, question: Question, text: str | None) -> None:
        """The person has answered, or has given up."""
        with self._news:
            question.answered, question.answer = True, text
            self._news.notify_all()

    @property
    def listening(self) -> bool:
        """Whether keys are wanted one by one."""
        return self._listening

    def press(self, keys: str) -> None:
        """These were typed."""
        with self._news:
            self._keys = (self._keys + keys)[:MOST_KEYS]
            self._news.notify_all()

    def held(self, full: bool) -> None:
        """Whether the client's window is full: what was taken last has not gone out yet."""
        self._full = full

    @property
    def asks(self) -> bool:
        """Whether the client is to be asked, again and again, if it is still there."""
        return self._asks

    def answered(self) -> None:
        """It is."""
        self._answered = time.monotonic()

    def resized(self, columns: int) -> None:
        """The terminal has another width."""
        self._columns = columns

    def interrupt(self) -> None:
        """ctrl-c: what was said and not yet shown is not wanted."""
        with self._news:
            self._interrupted = True
            self._unsent.clear()
            self._size = 0
            self._news.notify_all()

    def leave(self) -> None:
        """Nobody listens any more."""
        with self._news:
            self._left = True
            self._unsent.clear()
            self._size = 0
            self._news.notify_all()
