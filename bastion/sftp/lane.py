"""The flows of one session: one after another, and each in its turn among other sessions. Sans-IO.

A flow enters the order before it resolves its first path, and leaves when it is over. One that
waits keeps the ones behind it waiting, and nothing else of its session.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

from bastion.sftp.answers import Answer
from bastion.sftp.flows import Flow
from bastion.sftp.handles import Ask, Then
from bastion.sftp.order import Order
from bastion.sftp.packets import Flags, OnPath, OnTwo, Open, Request, Verb

_CHANGING = frozenset(
    {
        Verb.MKDIR,
        Verb.RMDIR,
        Verb.REMOVE,
        Verb.RENAME,
        Verb.POSIX_RENAME,
        Verb.HARDLINK,
        Verb.SYMLINK,
    }
)


def changes_tree(request: Open | OnPath | OnTwo) -> bool:
    """Whether a path may be there afterwards that was not, or lead elsewhere."""
    if isinstance(request, Open):
        return bool(request.flags & (Flags.CREAT | Flags.TRUNC))
    return request.verb in _CHANGING


class Lane:
    """What waits, and the flow that is under way. It is the session's turn in the order.

    `ask` sends a request and gives its answer to who waits.
    """

    def __init__(self, order: Order, ask: Ask):
        self._order = order
        self._ask = ask
        self._flows: deque[tuple[Then, Flow, bool]] = deque()
        self._called = False
        self._over = False
        self.late: str | None = None
        self.wake: Callable[[], None] = _nobody

    def __len__(self) -> int:
        return len(self._flows)

    def add(self, then: Then, flow: Flow, *, alone: bool) -> None:
        """A flow, behind the others; `then` gets its answer. `alone` is as the order has it."""
        self._flows.append((then, flow, alone))
        if len(self._flows) == 1:
            self._next()

    def end(self) -> None:
        """Nothing of it goes on."""
        if self._flows and not self._over:
            self._order.abandon(self)
        self._over = True
        self._flows.clear()

    # The order, which may speak at any time: who waits is woken, and then goes on

    def called(self) -> None:
        """Its turn has come."""
        self._called = True
        self.wake()

    def overdue(self, sentence: str) -> None:
        """It has to end."""
        self.late = sentence
        self.wake()

    def go_on(self) -> None:
        """If it was called, and is still there."""
        called, self._called = self._called, False
        if called and self._flows and self._advance(None):
            self._next()

    # One flow after another

    def _next(self) -> None:
        while self._flows and self._order.enter(self, alone=self._flows[0][2]):
            if not self._advance(None):
                return

    def _advance(self, answers: tuple[Answer, ...] | None) -> bool:
        """The flow that is in goes on; whether it is over by that."""
        then, flow, _ = self._flows[0]
        try:
            requests = next(flow) if answers is None else flow.send(answers)
        except StopIteration as over:
            self._flows.popleft()
            self._order.leave(self)
            then(over.value)
            return True
        self._ask_all(requests)
        return False

    def _ask_all(self, requests: tuple[Request, ...]) -> None:
        answers: dict[int, Answer] = {}

        def got(place: int, answer: Answer) -> None:
            answers[place] = answer
            if len(answers) == len(requests):
                every = tuple(answers[n] for n in range(len(requests)))
                if self._advance(every):
                    self._next()

        for place, request in enumerate(requests):
            self._ask(request, partial(got, place))


def _nobody() -> None:
    """Nobody carries out what it does: there is nobody else to wait for."""
