"""The course of files: a machine goes on when its turn among other sessions comes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bastion.courses import Filed, Machine
from bastion.files import parse_files
from bastion.orders import Line
from bastion.scp import Scp, ScpRun, Way
from bastion.sftp import Proxy
from bastion.sftp.answers import Version, write_version
from bastion.sftp.order import Order
from bastion.sftp.packets import write_init
from recorder import Recording

LONG, SHORT = 60.0, 0.02


@dataclass
class Ends:
    """The two sides, and what they were told."""

    asked: list[bytes] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def keep(self, record: Callable[[Recording], None]) -> bool:
        """All can be recorded."""
        return True

    def to_target(self, data: bytes) -> None:
        """Asked of the target."""
        self.asked.append(data)

    def end_input(self) -> None:
        """No more."""

    def to_client(self, data: bytes, datatype: int | None) -> None:
        """Answered."""

    def say(self, sentence: str) -> None:
        """Said."""

    def give_up(self, sentence: str) -> None:
        """The session has to end."""
        self.ended.append(sentence)

    def pace(self) -> None:
        """Nothing is held here."""


@dataclass(eq=False)
class Other:
    """Another session, which changes something."""

    heard: list[str] = field(default_factory=list)

    def called(self) -> None:
        """Its turn has come."""
        self.heard.append("called")

    def overdue(self, sentence: str) -> None:
        """It is not."""
        raise AssertionError(sentence)


def sftp(order: Order) -> Machine:
    """A client of sftp."""
    return Proxy((parse_files("read"),), "G-7", order)


def scp(order: Order) -> Machine:
    """A client of scp, which another machine stands for."""
    return Scp(ScpRun(Way.SOURCE, "/x"), Proxy((parse_files("read"),), "G-7", order))


def begun(machine: Machine) -> tuple[Ends, Filed]:
    """Up to where the target has told its version."""
    ends = Ends()
    course = Filed(ends, machine)
    course.begin()
    if isinstance(machine, Proxy):
        course.sent(write_init())
    course.shown(write_version(Version(3, ())), None)
    return ends, course


@pytest.mark.parametrize("kind", [sftp, scp])
async def test_a_machine_goes_on_when_its_turn_comes(kind: Callable[[Order], Machine]) -> None:
    """By itself: nothing has come from either side."""
    line, other = Line(LONG, LONG), Other()
    line.enter(other, alone=True)
    ends, _ = begun(kind(line))
    before = len(ends.asked)
    line.leave(other)
    assert len(ends.asked) == before
    await asyncio.sleep(0)
    assert len(ends.asked) == before + 1


@pytest.mark.parametrize("kind", [sftp, scp])
async def test_a_machine_that_keeps_others_waiting_ends(kind: Callable[[Order], Machine]) -> None:
    """With a sentence; then whoever waited goes on."""
    line, other = Line(SHORT, SHORT), Other()
    ends, course = begun(kind(line))
    line.enter(other, alone=True)
    deadline = asyncio.get_running_loop().time() + 2
    while not ends.ended:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(SHORT / 10)
    assert ends.ended[0].startswith("an operation on a path took more than 0.02 s")
    assert other.heard == []
    course.over("the session ended")
    await asyncio.sleep(0)
    assert len(other.heard) == 1


@pytest.mark.parametrize("kind", [sftp, scp])
async def test_a_machine_that_is_over_is_not_called(kind: Callable[[Order], Machine]) -> None:
    """Also where it was about to be."""
    line, other = Line(LONG, SHORT), Other()
    line.enter(other, alone=True)
    ends, course = begun(kind(line))
    before = len(ends.asked)
    line.leave(other)
    course.over("the session ended")
    await asyncio.sleep(0)
    assert len(ends.asked) == before
    assert line.enter(other, alone=True)
