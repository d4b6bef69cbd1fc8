"""The order of a host and login on the clock: nobody keeps others waiting for ever."""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bastion.across import Shared
from bastion.inventory import Host
from bastion.orders import Line, Orders

HOST = Host("web-1", "10.0.0.1")
LONG = 60.0
SHORT = 0.02


@dataclass(eq=False)
class Session:
    """One that writes down what it hears."""

    heard: list[str] = field(default_factory=list)

    def called(self) -> None:
        """Its turn has come."""
        self.heard.append("called")

    def overdue(self, sentence: str) -> None:
        """It has to end."""
        self.heard.append(sentence)


async def until(check: Callable[[], object]) -> None:
    """Watches until it is so."""
    deadline = asyncio.get_running_loop().time() + 2
    while not check():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)


async def test_who_waits_is_called_from_the_loop() -> None:
    """Not from inside of who leaves: that one is in the middle of its own."""
    line, one, other = Line(LONG, LONG), Session(), Session()
    assert line.enter(one, alone=True)
    assert not line.enter(other, alone=False)
    line.leave(one)
    assert other.heard == []
    await until(lambda: other.heard == ["called"])


async def test_who_keeps_others_waiting_is_ended_first() -> None:
    """With a sentence; the others go on when the target had time to be done with it."""
    line, slow, other = Line(SHORT, SHORT), Session(), Session()
    line.enter(slow, alone=True)
    line.enter(other, alone=True)
    await until(lambda: slow.heard)
    assert slow.heard[0].startswith("an operation on a path took more than 0.02 s")
    assert other.heard == []
    await until(lambda: other.heard == ["called"])


async def test_readers_that_keep_a_writer_waiting_are_ended() -> None:
    """All of them."""
    line, readers, writer = Line(SHORT, SHORT), [Session(), Session()], Session()
    for reader in readers:
        assert line.enter(reader, alone=False)
    line.enter(writer, alone=True)
    await until(lambda: writer.heard == ["called"])
    assert all(len(reader.heard) == 1 for reader in readers)


async def test_nobody_is_late_while_nobody_waits() -> None:
    """Nor does it count how long one was in before."""
    line, slow, other = Line(SHORT, LONG), Session(), Session()
    line.enter(slow, alone=True)
    line.enter(other, alone=True)
    line.leave(other)
    await asyncio.sleep(3 * SHORT)
    assert slow.heard == []


async def test_who_is_gone_while_changing_something_is_waited_for() -> None:
    """The target may still be at it; who only looked is out at once, and so is who waited."""
    line, writer, readers = Line(LONG, SHORT), Session(), [Session(), Session(), Session()]
    line.enter(writer, alone=True)
    for reader in readers:
        line.enter(reader, alone=False)
    line.abandon(readers[0])
    line.abandon(writer)
    await asyncio.sleep(0)
    assert readers[1].heard == []
    await until(lambda: readers[1].heard == readers[2].heard == ["called"])
    line.abandon(readers[1])
    assert not line.enter(writer, alone=True)
    line.abandon(readers[2])
    await until(lambda: writer.heard == ["called"])
    assert readers[0].heard == []


async def test_an_order_is_of_one_machine_and_login() -> None:
    """By whichever name the machine is known; and it is forgotten when nobody uses it."""
    orders = Orders()
    line = orders.of(HOST, "deploy")
    assert orders.of(Host("alias", "10.0.0.1"), "deploy") is line
    assert orders.of(HOST, "other") is not line
    assert orders.of(Host("web-1", "10.0.0.1", 2222), "deploy") is not line
    gc.collect()
    assert len(orders) == 1
    del line
    gc.collect()
    assert len(orders) == 0


def lines(place: Path) -> tuple[Line, Line]:
    """The order of one host and login in two processes."""
    return Line(LONG, LONG, Shared(place, "web")), Line(LONG, LONG, Shared(place, "web"))


async def test_processes_take_turns(tmp_path: Path) -> None:
    """Readers of both are in together; a writer of one waits for those of the other, and goes
    alone."""
    here, there = lines(tmp_path)
    one, other, writer, late = Session(), Session(), Session(), Session()
    assert here.enter(one, alone=False)
    assert there.enter(other, alone=False)
    assert not there.enter(writer, alone=True)
    there.leave(other)
    assert not here.enter(late, alone=False)  # it does not overtake the writer over there
    assert (writer.heard, late.heard) == ([], [])
    here.leave(one)
    await until(lambda: writer.heard == ["called"])
    assert late.heard == []
    there.leave(writer)
    await until(lambda: late.heard == ["called"])
    here.leave(late)
    assert there.enter(writer, alone=True)


async def test_who_gives_up_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Neither at the gate nor in the queue."""
    here, there = lines(tmp_path)
    one, gone, other = Session(), Session(), Session()
    assert here.enter(one, alone=True)
    assert not there.enter(gone, alone=True)
    there.abandon(gone)
    here.leave(one)
    assert here.enter(other, alone=True)
    assert gone.heard == []


async def test_who_keeps_another_process_waiting_is_ended(tmp_path: Path) -> None:
    """As one who keeps others of its own waiting."""
    here, there = Line(SHORT, SHORT, Shared(tmp_path, "web")), lines(tmp_path)[0]
    slow, other = Session(), Session()
    assert here.enter(slow, alone=True)
    assert not there.enter(other, alone=True)
    await until(lambda: slow.heard and other.heard == ["called"])
    assert slow.heard[0].startswith("an operation on a path took more than")


async def test_a_process_that_is_gone_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Its locks went with it."""
    gone, there, other = Shared(tmp_path, "web"), lines(tmp_path)[1], Session()
    assert gone.enter(alone=True)
    assert not there.enter(other, alone=True)
    del gone
    gc.collect()
    await until(lambda: other.heard == ["called"])
