"""The side that speaks SFTP: requests for the target's files, through the machine that judges.

What is asked here is asked as any client of sftp would: nothing here is trusted by the judge.
"""

from collections.abc import Callable

from bastion.scp.client import Step
from bastion.sftp import Output, Proxy
from bastion.sftp.answers import Answer, Reply, Status, Version, parse_answer
from bastion.sftp.limits import read_and_write
from bastion.sftp.packets import (
    Malformed,
    OnHandle,
    Plain,
    Request,
    Verb,
    write_init,
    write_request,
)

PIECE = 32 * 1024
"""Bytes of one read or write that every server takes (section 3)."""


class Pending:
    """A request that is under way."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def wait(self) -> Step[Answer]:
        """Its answer."""
        while self.answer is None:
            yield
        return self.answer


class Remote:
    """The files of one session, behind `proxy`. `wanted` is what the proxy wants done."""

    def __init__(self, proxy: Proxy):
        self._proxy = proxy
        self._wanted = Output()
        self._under_way: dict[int, Pending] = {}
        self._asked = 0

    @property
    def holding(self) -> bool:
        """Whether the proxy has as much as it takes."""
        return self._proxy.holding

    # The outside

    def begin(self) -> None:
        """Say that SFTP is spoken. Requests may follow at once."""
        self._do(self._proxy.from_client(write_init()))

    def heard(self, data: bytes) -> None:
        """Bytes of the target."""
        self._do(self._proxy.from_target(data))

    def end(self) -> None:
        """Nothing more will be asked."""
        self._do(self._proxy.client_eof())

    def ended(self, why: str) -> None:
        """One side is gone."""
        self._do(self._proxy.ended(why))

    def wake_by(self, wake: Callable[[], None]) -> None:
        """Call `wake` when `resumed` has something to do."""
        self._proxy.wake_by(wake)

    def resumed(self) -> None:
        """Its turn among other sessions has come, or is over."""
        self._do(self._proxy.resumed())

    def taken(self) -> Output:
        """What is to be done."""
        taken, self._wanted = self._wanted, Output()
        return taken

    # What is asked

    def ask(self, request: Request) -> Pending:
        """Ask, and go on."""
        self._asked = (self._asked + 1) & 0xFFFF_FFFF
        pending = self._under_way[self._asked] = Pending()
        self._do(self._proxy.from_client(write_request(request, self._asked)))
        return pending

    def answer(self, request: Request) -> Step[Answer]:
        """Ask, and wait for the answer."""
        return (yield from self.ask(request).wait())

    def close(self, handle: bytes) -> Step[Answer]:
        """Close what is open."""
        return (yield from self.answer(OnHandle(Verb.CLOSE, 0, handle)))

    def pieces(self) -> Step[tuple[int, int]]:
        """The most bytes of one read, and of one write, that this target takes."""
        answer = yield from self.answer(Plain(Verb.LIMITS, 0))
        if not isinstance(answer, Reply):
            return PIECE, PIECE
        return read_and_write(answer.body)

    def _do(self, out: Output) -> None:
        packets, out.to_client = out.to_client, []
        self._wanted.add(out)
        for packet in packets:
            self._answered(parse_answer(memoryview(packet)[4:]))

    def _answered(self, answer: Version | Answer | Malformed) -> None:
        if not isinstance(answer, Version | Malformed):
            self._under_way.pop(answer.id).answer = answer


def why_not(answer: Answer) -> str:
    """What a status says, in words."""
    return answer.meaning if isinstance(answer, Status) else "not what was asked for"
