"""The machine between a client and a target: packets in, packets and events out. Sans-IO.

What names a path goes one after another, each as a flow; what names a handle goes at once. The
target sees ids and handles of ours, never the client's, so it can't be told what was not judged,
and the client can't be answered what it did not ask.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from bastion.files import Files
from bastion.sftp.answers import (
    Answer,
    Attributes,
    Code,
    Data,
    Handle,
    Names,
    Reply,
    Status,
    Version,
    parse_answer,
    write_answer,
    write_version,
)
from bastion.sftp.flows import Flows, Lie
from bastion.sftp.framer import Framer
from bastion.sftp.handles import Handles, Then
from bastion.sftp.lane import Lane, changes_tree
from bastion.sftp.opened import OpenFiles
from bastion.sftp.order import Order, Unshared
from bastion.sftp.output import Gathered, Output
from bastion.sftp.packets import (
    EXTENSIONS,
    VERSION,
    CopyData,
    Init,
    Malformed,
    OnHandle,
    OnPath,
    OnTwo,
    Open,
    Plain,
    Read,
    Request,
    Unknown,
    Verb,
    Write,
    parse_request,
    write_init,
    write_request,
)

MOST_PENDING = 1024
"""Requests that wait for an answer; a client that sends more has to wait."""

_EXPECTED: dict[Verb, type[Answer]] = {
    **dict.fromkeys((Verb.OPEN, Verb.OPENDIR), Handle),
    **dict.fromkeys((Verb.READDIR, Verb.READLINK, Verb.REALPATH, Verb.EXPAND_PATH), Names),
    **dict.fromkeys((Verb.STAT, Verb.LSTAT, Verb.FSTAT), Attributes),
    **dict.fromkeys((Verb.STATVFS, Verb.FSTATVFS, Verb.LIMITS, Verb.USERS_GROUPS), Reply),
    Verb.READ: Data,
}


class Proxy:
    """One session, by one grant's `files`; `grant` is what people call it.

    Feed it what comes from either side, and carry out what it gives back. `order` is that of all
    sessions of the same login on the same host.
    """

    exit_status = None
    """It is the target's to say how it ended."""

    def __init__(self, files: tuple[Files, ...], grant: str, order: Order | None = None):
        self._out = Gathered()
        self._opened = OpenFiles()
        self._flows = Flows(files, grant, self._opened, self._out)
        self._handles = Handles(self._opened, self._flows, self._out, self._ask)
        self._from_client = Framer()
        self._from_target = Framer()
        self._inbox: deque[memoryview | Malformed] = deque()
        self._lane = Lane(order or Unshared(), self._ask)
        self._waiting: dict[int, tuple[Verb, Then]] = {}
        self._asked = 0
        self._greeted = False
        self._ready = False
        self._ending = False
        self._over = False

    @property
    def holding(self) -> bool:
        """Whether no more should be read from the client for now."""
        return bool(self._inbox)

    # The outside

    def begin(self) -> Output:
        """The client speaks first."""
        return self._out.taken()

    def from_client(self, data: bytes) -> Output:
        """What to do about bytes of the client."""
        if not self._over:
            self._inbox.extend(self._from_client.feed(data))
        return self._stepped(self._take)

    def from_target(self, data: bytes) -> Output:
        """What to do about bytes of the target."""
        packets = [] if self._over else self._from_target.feed(data)
        return self._stepped(partial(self._hear, packets))

    def client_eof(self) -> Output:
        """The client sends no more; the target is told when all that it sent is done."""
        self._ending = True
        return self._stepped(self._take)

    def ended(self, why: str) -> Output:
        """One side is gone: what was open is told as it stands."""
        self._over = True
        self._lane.end()
        for file in self._opened.take_all():
            file.failed(why)
            self._out.tell(*file.events())
        return self._out.taken()

    def wake_by(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from the loop, when `resumed` has something to say."""
        self._lane.wake = wake

    def resumed(self) -> Output:
        """What to do now that its turn among other sessions has come, or is over."""
        return self._stepped(self._resume)

    def _stepped(self, step: Callable[[], None]) -> Output:
        if self._lane.late is not None:
            self._fault(self._lane.late)
        try:
            step()
        except Lie as lie:
            self._fault(str(lie))
        return self._out.taken()

    def _fault(self, sentence: str) -> None:
        if not self._over:
            self._over = True
            self._out.end(sentence)

    def _resume(self) -> None:
        if not self._over:
            self._lane.go_on()
        self._take()

    # What the client sends

    def _take(self) -> None:
        while self._inbox and self._may_take:
            packet = self._inbox.popleft()
            self._asked_for(packet if isinstance(packet, Malformed) else parse_request(packet))
        if self._ending and not self._inbox and not self._pending and not self._over:
            self._ending = False
            self._out.end_input()

    @property
    def _may_take(self) -> bool:
        """Until the target has told its version, only the client's first packet is taken."""
        begun = self._ready or not self._greeted
        return begun and self._pending < MOST_PENDING and not self._over

    @property
    def _pending(self) -> int:
        return len(self._waiting) + len(self._lane)

    def _asked_for(self, request: Init | Request | Unknown | Malformed) -> None:
        if not self._greeted:
            self._greet(request)
        elif isinstance(request, Open | OnPath | OnTwo):
            then = partial(self._answer, request.id)
            self._lane.add(then, self._flows.of(request), alone=changes_tree(request))
        elif isinstance(request, Unknown):
            self._answer(request.id, Status(0, Code.OP_UNSUPPORTED, b"bastion: not known"))
        elif isinstance(request, Malformed):
            self._malformed(request)
        elif isinstance(request, Init):
            self._fault("The client began twice.")
        else:
            self._handles.of(request, partial(self._answer, request.id))

    def _malformed(self, packet: Malformed) -> None:
        if packet.id is None:
            self._fault(packet.sentence)
        else:
            self._answer(packet.id, Status(0, Code.BAD_MESSAGE, packet.sentence.encode()))

    def _greet(self, request: Init | Request | Unknown | Malformed) -> None:
        if not isinstance(request, Init) or request.version < VERSION:
            self._fault("What the client speaks is not SFTP of version 3.")
            return
        self._greeted = True
        self._out.to_target(write_init())

    def _answer(self, number: int, answer: Answer) -> None:
        self._out.to_client(write_answer(answer, number))

    # What the target answers

    def _hear(self, packets: list[memoryview | Malformed]) -> None:
        for packet in packets:
            if self._over:
                return
            self._heard(packet if isinstance(packet, Malformed) else parse_answer(packet))
        self._take()

    def _heard(self, answer: Version | Answer | Malformed) -> None:
        if isinstance(answer, Malformed):
            self._fault(answer.sentence)
        elif isinstance(answer, Version):
            self._versioned(answer)
        else:
            verb, then = self._waiting.pop(answer.id, (None, _nothing))
            if verb is None or not _fits(verb, answer):
                raise Lie("The target answered what it was not asked.")
            then(answer)

    def _versioned(self, theirs: Version) -> None:
        if self._ready or not self._greeted or theirs.version != VERSION:
            raise Lie("The target does not speak SFTP of version 3.")
        self._ready = True
        known = tuple(pair for pair in theirs.extensions if pair[0] in EXTENSIONS)
        version = write_version(Version(VERSION, known))
        self._lane.add(lambda _: self._out.to_client(version), self._flows.begin(), alone=False)

    def _ask(self, request: Request, then: Then) -> None:
        self._asked = (self._asked + 1) & 0xFFFF_FFFF
        self._waiting[self._asked] = (_verb(request), then)
        self._out.to_target(write_request(request, self._asked))


def _nothing(_: Answer) -> None:
    """Nobody waits for it."""


def _verb(request: Request) -> Verb:
    match request:
        case Open():
            return Verb.OPEN
        case Read():
            return Verb.READ
        case Write():
            return Verb.WRITE
        case CopyData():
            return Verb.COPY_DATA
        case OnPath() | OnTwo() | OnHandle() | Plain():
            return request.verb


def _fits(verb: Verb, answer: Answer) -> bool:
    """Whether an answer is of the kind that was asked for, or says why there is none."""
    expected = _EXPECTED.get(verb, Status)
    if isinstance(answer, Status):
        return expected is Status or answer.code is not Code.OK
    return isinstance(answer, expected)
