"""The side that speaks scp: what has come from it, and what is to go there. Sans-IO.

Who waits for something is a generator that yields until it is there; whoever feeds bytes in goes
on with it afterwards.
"""

from collections.abc import Generator
from typing import TypeVar

from bastion.errors import BadInput
from bastion.scp.records import LINE_LIMIT, Message, Record, parse_record

T = TypeVar("T")

Step = Generator[None, None, T]
"""Something that takes its time: each `yield` waits until anything has come, from either side."""

ENOUGH = 1 << 19
"""Bytes of the client's that may wait to be taken."""


class Gone(Exception):
    """The client sends no more, and something was still to come. It never leaves the machine."""


class Client:
    """One client. `errors` counts what it says went wrong on its side."""

    def __init__(self) -> None:
        self._come = bytearray()
        self._ended = False
        self._to_go: list[bytes] = []
        self.errors = 0

    @property
    def holding(self) -> bool:
        """Whether as much waits as should."""
        return len(self._come) >= ENOUGH

    # The outside

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        self._come += data

    def end(self) -> None:
        """No more will come."""
        self._ended = True

    def taken(self) -> list[bytes]:
        """What is to be sent."""
        taken, self._to_go = self._to_go, []
        return taken

    # What goes there

    def send(self, data: bytes) -> None:
        """Bytes of a file."""
        self._to_go.append(data)

    def tell(self, record: Record) -> None:
        """A line."""
        self._to_go.append(record.encode())

    def agree(self) -> None:
        """What it sent is taken; or a file that it gets is whole."""
        self._to_go.append(b"\0")

    def complain(self, what: bytes, why: str) -> None:
        """Something was not done, and the next thing is waited for."""
        self.tell(Message(1, b"scp: %b: %b" % (what, why.encode())))

    # What comes from there

    def record(self) -> Step[Record | None]:
        """The next line of a source; None where it has no more to say."""
        try:
            return parse_record((yield from self._line()))
        except Gone:
            if self._come:
                raise
            return None

    def agreed(self) -> Step[bool]:
        """Whether it takes what it was told. An error after which it goes raises Gone."""
        while not self._come:
            yield from self._wait()
        if self._come[0] == 0:
            del self._come[:1]
            return True
        if self._come[0] not in {1, 2}:
            raise BadInput("The client sent what is no answer of the scp protocol.")
        line = yield from self._line()
        self.errors += 1
        if line[0] == 2:
            raise Gone
        return False

    def some(self, most: int) -> Step[bytes]:
        """The next bytes of a file: 1 to `most`."""
        while not self._come:
            yield from self._wait()
        data = bytes(self._come[:most])
        del self._come[:most]
        return data

    def _line(self) -> Step[bytes]:
        while (end := self._come.find(b"\n", 0, LINE_LIMIT)) < 0:
            if len(self._come) >= LINE_LIMIT:
                raise BadInput(f"The client sent a line of more than {LINE_LIMIT} bytes.")
            yield from self._wait()
        line = bytes(self._come[:end])
        del self._come[: end + 1]
        return line

    def _wait(self) -> Step[None]:
        if self._ended:
            raise Gone
        yield
