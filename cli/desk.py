"""The desk: what a verb has before it, whoever runs it and from where.

On the machine itself the home is opened when a verb first asks for it; over SSH the services of
the server that runs are handed in. Verbs do not know which.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol, Self

from bastion.actor import Actor
from bastion.app import Services
from bastion.policy import Identity
from bastion.workers import Stay
from cli.actor import acting
from cli.output import Output, printable
from cli.person import Nobody, Person


class Entry(Protocol):
    """The way to the services of a home."""

    def __call__(self, directory: Path | None, /) -> AbstractContextManager[Services]:
        """Open the home in `directory`, or in the usual place where that is None."""


class Desk:
    """Where one verb works.

    `program` is what it is called by (`bastion-admin`, `ssh bastion`), `actor` who acts, from when
    the services are there as the records will have it; `identity` who signed in, when that was
    over SSH. `directory` is what `--home` said. To be entered: what a verb opens is closed at the
    end.

    `person` is who can be asked and waited beside, the same way here and over SSH.
    """

    def __init__(
        self,
        program: str,
        output: Output,
        actor: Actor,
        entry: Entry,
        identity: Identity | None = None,
        *,
        person: Person | None = None,
    ) -> None:
        self.program = program
        self.output = output
        self.actor = actor
        self.identity = identity
        self.directory: Path | None = None
        self._entry = entry
        self._person = person or Nobody()
        self._stack = ExitStack()
        self._services: Services | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._services = None
        self._stack.close()

    @property
    def services(self) -> Services:
        """The services of the home, opened at the first time. Raises BastionError."""
        if self._services is None:
            self._services = self._stack.enter_context(self._entry(self.directory))
            self.actor = acting(self.actor, self._services.settings.accounts)
        return self._services

    @property
    def line(self) -> str | None:
        """What was typed, as it came over SSH; None on the machine, whose shell has read it."""
        return self._person.line

    @property
    def can_ask(self) -> bool:
        """Whether anybody is there who can be asked: somebody at a terminal."""
        return self._person.can_ask

    def ask(self, prompt: str) -> str | None:
        """One line from the person, at most 1000 characters that print.

        None after ctrl-c, ctrl-d or five minutes, and where nobody can be asked.
        """
        return self._person.ask(printable(prompt))

    def pause(self, seconds: float) -> None:
        """Wait for so long, and let others work meanwhile: whatever waits, waits by this.

        Raises KeyboardInterrupt at once after ctrl-c, BrokenPipeError when the person has left;
        Refused where she may not run this any more, Unavailable where too many wait.
        """
        self._person.pause(seconds)

    @property
    def processors(self) -> int:
        """How many a verb may keep busy beside its own thread: none in a server with others."""
        return len(os.sched_getaffinity(0)) if self.identity is None else 0

    def key(self, seconds: float) -> str | None:
        """One key that is typed over SSH at a terminal, within so many seconds; else None.

        What is typed on the machine itself is not heard by this. Raises as `pause` does.
        """
        return self._person.key(seconds)

    def settle(self, stay: Stay) -> None:
        """Say that this verb will stay long, so that it keeps nobody from what is soon done.

        Raises Unavailable, with a sentence, where too many stay for the same already.
        """
        self._person.settle(stay)

    def breathe(self) -> None:
        """To be called between small pieces of long work, some milliseconds each.

        Others have their turn meanwhile. Raises as `pause` does.
        """
        self._person.breathe()

    def gone(self) -> bool:
        """Whether the person has left, or wants no more: to be asked within long work."""
        return self._person.gone()

    def say_what_is_broken(self) -> None:
        """To whoever is on the machine: that the rules can't be read, and which are in force."""
        if self.identity is not None or self._services is None:
            return
        problem = self._services.rulebook.problem
        if problem is not None:
            self.output.note(f"{problem} The rules before it stay in force.")

    def later(self, act: Callable[[], None]) -> None:
        """Do this when the verb has ended, however it ends."""
        self._stack.callback(act)
