"""The course of the bytes of one session, between its two sides: recorded, then passed on.

Most go as they are (`Plain`). Files go through a machine that judges them on the way (`Filed`): of
those the recording has each operation and each hash, and no contents.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from bastion.sftp import Output
from recorder import Recording, Stream


class Sides(Protocol):
    """The two ends, and the recording between them."""

    def keep(self, record: Callable[[Recording], None]) -> bool:
        """Record. False, and the end of the session, where that fails."""

    def to_target(self, data: bytes) -> None:
        """Pass on what the client sent."""

    def end_input(self) -> None:
        """Tell the target that no more will come."""

    def to_client(self, data: bytes, datatype: int | None) -> None:
        """Let the client see `data`."""

    def say(self, sentence: str) -> None:
        """Let the person know."""

    def give_up(self, sentence: str) -> None:
        """End the session: one side does not speak as it should."""

    def pace(self) -> None:
        """Read from the client, or stop reading, as `Course.holding` says."""


class Course(Protocol):
    """What happens to bytes on their way."""

    @property
    def holding(self) -> bool:
        """Whether nothing more should be read from the client for now."""

    @property
    def answers(self) -> bool:
        """Whether what the client sends may be answered without the target."""

    def begin(self) -> None:
        """Both ends are there, and nothing has come from either."""

    def exit_status(self, theirs: int) -> int:
        """What the client is told where the target ended with `theirs`."""

    def sent(self, data: bytes) -> None:
        """The client sent `data`."""

    def sent_eof(self) -> None:
        """The client sends no more."""

    def shown(self, data: bytes, datatype: int | None) -> None:
        """The target wrote `data`: to stdout, or (datatype 1) to stderr."""

    def over(self, why: str) -> None:
        """Nothing more comes from either side."""


class Machine(Protocol):
    """What parses and judges a transfer of files: `bastion.sftp.Proxy`, or what stands on it."""

    @property
    def holding(self) -> bool:
        """Whether it has as much of the client's as it takes."""

    @property
    def exit_status(self) -> int | None:
        """What the client is told in the end; None where that is the target's to say."""

    def begin(self) -> Output:
        """What to do before anything has come."""

    def from_client(self, data: bytes) -> Output:
        """What to do about bytes of the client."""

    def from_target(self, data: bytes) -> Output:
        """What to do about bytes of the target."""

    def client_eof(self) -> Output:
        """What to do when the client sends no more."""

    def ended(self, why: str) -> Output:
        """What is left to keep when one side is gone."""

    def wake_by(self, wake: Callable[[], None]) -> None:
        """Call `wake` when there is something to do though nothing has come: `resumed`."""

    def resumed(self) -> Output:
        """What to do now that its turn among other sessions has come, or is over."""


class Plain:
    """As they are."""

    holding = False
    answers = False

    def __init__(self, sides: Sides):
        self._sides = sides

    def begin(self) -> None:
        """Nothing goes by itself."""

    def exit_status(self, theirs: int) -> int:
        """As it is."""
        return theirs

    def sent(self, data: bytes) -> None:
        """Record, then pass on."""
        if self._sides.keep(lambda recording: recording.sent(data)):
            self._sides.to_target(data)

    def sent_eof(self) -> None:
        """Record, then pass on."""
        if self._sides.keep(lambda recording: recording.sent_eof()):
            self._sides.end_input()

    def shown(self, data: bytes, datatype: int | None) -> None:
        """Record, then let the client see it."""
        stream = Stream.OUT if datatype is None else Stream.ERR
        if self._sides.keep(lambda recording: recording.shown(data, stream)):
            self._sides.to_client(data, datatype)

    def over(self, why: str) -> None:
        """Nothing is left."""


class Filed:
    """Through `machine`. What it tells of files is kept before anything of it goes on."""

    answers = True

    def __init__(self, sides: Sides, machine: Machine):
        self._sides = sides
        self._machine = machine
        self._errors = Plain(sides)
        machine.wake_by(self._resume)

    @property
    def holding(self) -> bool:
        """Whether the machine waits for the target."""
        return self._machine.holding

    def begin(self) -> None:
        """A machine may have something to say first."""
        self._do(self._machine.begin())

    def exit_status(self, theirs: int) -> int:
        """The machine's, if it has one: the target only knows of SFTP."""
        ours = self._machine.exit_status
        return theirs if ours is None else ours

    def sent(self, data: bytes) -> None:
        """Count, then do what the machine says."""
        if self._sides.keep(lambda recording: recording.passed(sent=len(data))):
            self._do(self._machine.from_client(data))

    def sent_eof(self) -> None:
        """The target hears of it when all is done that was asked for."""
        self._do(self._machine.client_eof())

    def shown(self, data: bytes, datatype: int | None) -> None:
        """What a target writes to stderr is for the person."""
        if datatype is not None:
            self._errors.shown(data, datatype)
        else:
            self._do(self._machine.from_target(data))

    def over(self, why: str) -> None:
        """Keep what became of all that is still open."""
        self._kept(self._machine.ended(why))

    def _resume(self) -> None:
        self._do(self._machine.resumed())

    def _kept(self, out: Output) -> bool:
        """Whether all events are in the recording."""
        return all(self._sides.keep(partial(Recording.file, event=event)) for event in out.events)

    def _do(self, out: Output) -> None:
        if not self._kept(out):
            return
        if out.to_target:
            self._sides.to_target(b"".join(out.to_target))
        if out.to_client:
            self._show(b"".join(out.to_client))
        for sentence in out.said:  # it may let more come in from the target: so after all else
            self._sides.say(sentence)
        if out.eof:
            self._sides.end_input()
        if out.fault is not None:
            self._sides.give_up(out.fault)
        self._sides.pace()

    def _show(self, data: bytes) -> None:
        if self._sides.keep(lambda recording: recording.passed(shown=len(data))):
            self._sides.to_client(data, None)
