"""What the proxy wants done, gathered while it takes bytes in. Pure.

Whoever carries it out keeps the events first: by then nothing of what they tell has gone on.
"""

from dataclasses import dataclass, field

from recorder import FileEvent

MOST_SAID = 20
"""Sentences for a person in one session: a client may ask for thousands of things in vain."""


@dataclass(slots=True)
class Output:
    """In this order: keep `events`, say `said`, send both ways, end the input, end it all.

    `fault` is the sentence with which the session has to end.
    """

    events: list[FileEvent] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    to_client: list[bytes] = field(default_factory=list)
    to_target: list[bytes] = field(default_factory=list)
    eof: bool = False
    fault: str | None = None

    def add(self, later: "Output") -> None:
        """And then all of `later`."""
        self.events += later.events
        self.said += later.said
        self.to_client += later.to_client
        self.to_target += later.to_target
        self.eof = self.eof or later.eof
        self.fault = self.fault or later.fault


class Gathered:
    """What is wanted so far. A sentence is taken once in a session, and not without end."""

    def __init__(self) -> None:
        self._out = Output()
        self._said: set[str] = set()

    def tell(self, *events: FileEvent) -> None:
        """Keep what was done to files."""
        self._out.events += events

    def say(self, sentence: str) -> None:
        """Let the person know."""
        if len(self._said) < MOST_SAID and sentence not in self._said:
            self._said.add(sentence)
            self._out.said.append(sentence)

    def to_client(self, packet: bytes) -> None:
        """Send a packet."""
        self._out.to_client.append(packet)

    def to_target(self, packet: bytes) -> None:
        """Send a packet."""
        self._out.to_target.append(packet)

    def end_input(self) -> None:
        """Nothing more goes to the target."""
        self._out.eof = True

    def end(self, sentence: str) -> None:
        """The session can't go on."""
        self._out.fault = sentence

    def taken(self) -> Output:
        """All of it; from now on there is nothing."""
        taken, self._out = self._out, Output()
        return taken
