"""The control plane: what `ssh bastion VERB…` runs, as this package sees it.

The verbs themselves exist once, in the command line's package; here they are a small Protocol,
handed in by whoever starts the server.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bastion.policy import Identity


@dataclass(frozen=True, slots=True)
class Voice:
    """Where a verb's output goes: both take text, from any thread. `terminal` says what it is.

    `width` is the terminal's columns, or 80.
    """

    out: Callable[[str], None]
    err: Callable[[str], None]
    terminal: bool
    width: int


class Control(Protocol):
    """Runs one verb for somebody who has signed in. Blocks; called in a thread."""

    def run(self, identity: Identity, words: Sequence[str], voice: Voice) -> int:
        """Run `words` and return the exit status. Never raises for what a person did wrong."""
