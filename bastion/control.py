"""The control plane: what `ssh bastion VERB…` runs, as this package sees it.

The verbs themselves exist once, in the command line's package; here they are a small Protocol,
handed in by whoever starts the server.
"""

from collections.abc import Sequence
from typing import Protocol

from bastion.policy import Identity
from bastion.workers import Stay


class Voice(Protocol):
    """The person who asked for a verb, as the verb's thread hears her and speaks to her.

    Every call but the properties may block. Where the person has left, it raises BrokenPipeError
    (with errno EPIPE); after ctrl-c, KeyboardInterrupt, once. Raises Unavailable where it has to
    wait and too many verbs wait already.
    """

    @property
    def line(self) -> str:
        """What was typed, as it came."""

    @property
    def terminal(self) -> bool:
        """Whether she sits at a terminal."""

    @property
    def colour(self) -> bool:
        """Whether it shows colours."""

    def columns(self) -> int:
        """The columns of the terminal, as wide as it is now; 80 where there is none."""

    def out(self, text: str) -> None:
        """Show `text`. A slow reader makes the verb wait; one who stops reading ends it."""

    def err(self, text: str) -> None:
        """Show `text` beside the answer."""

    def data(self, data: bytes) -> None:
        """Hand over bytes as they are."""

    @property
    def can_ask(self) -> bool:
        """Whether she can be asked anything."""

    def ask(self, prompt: str) -> str | None:
        """One line from her, at most `keystrokes.LONGEST` characters that print.

        None where she gives up by ctrl-c or ctrl-d, does not answer in time, or can't be asked.
        """

    def pause(self, seconds: float) -> None:
        """Let other verbs work for so long; ends at once when she leaves or types ctrl-c."""

    def key(self, seconds: float) -> str | None:
        """One key that she types within so many seconds, while other verbs work.

        None where she types none, and where there is no terminal: it waits all the same. From the
        first call on what is typed comes by this.
        """

    def settle(self, stay: Stay) -> None:
        """The verb will stay long: from now on it takes no place of those that are soon done.

        Raises Unavailable where too many stay for the same already.
        """

    def breathe(self) -> None:
        """Between two small pieces of long work: let others have their turn."""

    @property
    def taken(self) -> bool:
        """Whether all that was said has been taken, as far as the connection can tell."""

    @property
    def answers(self) -> bool:
        """Whether her client has answered a moment ago. From the first call on it is asked each
        second: one that was stopped, or whose network is gone, says nothing by itself."""

    def gone(self) -> bool:
        """Whether she has left, or wants no more by ctrl-c."""


class Control(Protocol):
    """Runs one verb for somebody who has signed in. Blocks; called in a thread."""

    def run(self, identity: Identity, words: Sequence[str], voice: Voice) -> int:
        """Run `words` and return the exit status. Never raises for what a person did wrong.

        What `voice` raises where nobody listens any more goes through.
        """
