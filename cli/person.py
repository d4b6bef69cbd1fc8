"""The person a verb works for: to be asked, waited beside, and heard when she has had enough.

Over SSH it is whoever signed in; here is whoever sits at this process's own terminal, and nobody.
Verbs do not know which: they speak to their desk.
"""

import select
import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from bastion.control import Voice
from bastion.workers import Stay

LONGEST = 1000
"""Characters of an answer."""

PATIENCE = 300.0
"""Seconds that an answer is waited for."""

ASKED_AGAIN = 0.5
"""Seconds that may pass within long work until it is asked again who somebody is."""


class Person(Protocol):
    """Whoever typed the command."""

    @property
    def line(self) -> str | None:
        """What was typed, as it came over SSH; None where a shell has read it."""

    @property
    def can_ask(self) -> bool:
        """Whether there is anybody to be asked."""

    def ask(self, prompt: str) -> str | None:
        """One line, at most LONGEST characters that print; None where there is no answer."""

    def pause(self, seconds: float) -> None:
        """Wait for so long. Raises KeyboardInterrupt after ctrl-c, BrokenPipeError without her."""

    def key(self, seconds: float) -> str | None:
        """One key, where one is typed in so many seconds. Raises as `pause` does."""

    def settle(self, stay: Stay) -> None:
        """The verb will stay long. Raises Unavailable where too many do."""

    def breathe(self) -> None:
        """Between two small pieces of long work. Raises as `pause` does."""

    def gone(self) -> bool:
        """Whether she has left, or wants no more."""


class Nobody:
    """A program, or a script."""

    line: str | None = None
    can_ask = False

    def ask(self, prompt: str) -> str | None:
        """Nobody answers."""
        return None

    def pause(self, seconds: float) -> None:
        """Wait for so long."""
        time.sleep(seconds)

    def key(self, seconds: float) -> str | None:
        """Nobody types keys that a verb would hear: they go to the programs that it starts."""
        self.pause(seconds)
        return None

    def settle(self, stay: Stay) -> None:
        """On the machine itself everybody has a process of her own."""

    def breathe(self) -> None:
        """The system sees to it."""

    def gone(self) -> bool:
        """It never leaves: it is ended."""
        return False


class AtTerminal(Nobody):
    """Somebody who types at the terminal that `stdin` is; `show` shows the question there."""

    can_ask = True

    def __init__(
        self, stdin: TextIO, show: Callable[[str], object], patience: float = PATIENCE
    ) -> None:
        self._stdin = stdin
        self._show = show
        self._patience = patience

    def ask(self, prompt: str) -> str | None:
        """One line; ctrl-c, ctrl-d and silence are no answer."""
        try:
            while (answer := self._asked(prompt)) is not None and len(answer) > LONGEST:
                self._show(f"At most {LONGEST} characters, please.\n")
        except KeyboardInterrupt:
            self._show("\n")
            return None
        return answer

    def _asked(self, prompt: str) -> str | None:
        self._show(prompt)
        typed, _, _ = select.select([self._stdin], [], [], self._patience)
        line = self._stdin.readline() if typed else ""
        if not line:
            self._show("\n")
            return None
        return "".join(filter(str.isprintable, line.replace("\t", " ")))


class SignedIn:
    """Whoever signed in, as a desk's person: after each wait it is asked who she is by now.

    Within long work that would be too often: there it is asked twice a second.
    """

    def __init__(
        self,
        voice: Voice,
        demand_as_before: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.line: str | None = voice.line
        self.can_ask = voice.can_ask
        self.gone = voice.gone
        self.settle = voice.settle
        self._voice = voice
        self._demand_as_before = demand_as_before
        self._clock = clock
        self._asked_at = clock()

    def ask(self, prompt: str) -> str | None:
        """One line, as `Voice.ask` has it."""
        answer = self._voice.ask(prompt)
        self._demand_as_before()
        return answer

    def pause(self, seconds: float) -> None:
        """Wait, as `Voice.pause` has it."""
        self._voice.pause(seconds)
        self._demand_in_time(seconds)

    def key(self, seconds: float) -> str | None:
        """Wait for a key, as `Voice.key` has it."""
        key = self._voice.key(seconds)
        self._demand_in_time(seconds)
        return key

    def breathe(self) -> None:
        """Let others have their turn, as `Voice.breathe` has it."""
        self._voice.breathe()
        self._demand_in_time()

    def _demand_in_time(self, waited: float = 0.0) -> None:
        """Ask again, unless it was asked a moment ago. Raises Refused."""
        now = self._clock()
        if waited >= ASKED_AGAIN or now - self._asked_at >= ASKED_AGAIN:
            self._asked_at = now
            self._demand_as_before()


def of_process(show: Callable[[str], object], stdin: TextIO | None = None) -> Person:
    """Whoever has started this process."""
    stdin = stdin or sys.stdin
    try:
        typing = stdin.isatty()
    except ValueError:  # closed
        typing = False
    return AtTerminal(stdin, show) if typing else Nobody()
