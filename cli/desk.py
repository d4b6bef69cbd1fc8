"""The desk: what a verb has before it, whoever runs it and from where.

On the machine itself the home is opened when a verb first asks for it; over SSH the services of
the server that runs are handed in. Verbs do not know which.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol, Self

from bastion.actor import Actor
from bastion.app import Services
from bastion.policy import Identity
from cli.output import Output


class Entry(Protocol):
    """The way to the services of a home."""

    def __call__(self, directory: Path | None, /) -> AbstractContextManager[Services]:
        """Open the home in `directory`, or in the usual place where that is None."""


class Desk:
    """Where one verb works.

    `program` is what it is called by (`bastion-admin`, `ssh bastion`), `actor` who acts, as the
    records will have it; `identity` who signed in, when that was over SSH. `directory` is what
    `--home` said. To be entered: what a verb opens is closed at the end.
    """

    def __init__(
        self,
        program: str,
        output: Output,
        actor: Actor,
        entry: Entry,
        identity: Identity | None = None,
    ) -> None:
        self.program = program
        self.output = output
        self.actor = actor
        self.identity = identity
        self.directory: Path | None = None
        self._entry = entry
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
        return self._services

    def later(self, act: Callable[[], None]) -> None:
        """Do this when the verb has ended, however it ends."""
        self._stack.callback(act)
