"""Who may be among a target's paths at a time, and what one session does with its turns."""

from dataclasses import dataclass, field
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.sftp.answers import Answer, Code, Status
from bastion.sftp.fields import NOTHING
from bastion.sftp.flows import Flow
from bastion.sftp.handles import Then
from bastion.sftp.lane import Lane, changes_tree
from bastion.sftp.order import Queue, Turn
from bastion.sftp.packets import Flags, OnPath, OnTwo, Open, Request, Verb

OK = Status(0, Code.OK)
PLACE = OnPath(Verb.REALPATH, 0, b"/")


@dataclass(eq=False)
class Session:
    """One that writes down when it is called."""

    calls: int = 0

    def called(self) -> None:
        """Its turn has come."""
        self.calls += 1

    def overdue(self, sentence: str) -> None:
        """Nobody is late where there is no clock."""
        raise AssertionError(sentence)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60),
    st.randoms(use_true_random=False),
)
def test_a_writer_is_alone_and_nobody_is_overtaken(
    steps: list[tuple[int, bool]], random: Random
) -> None:
    """Whoever comes, and whoever goes or gives up, in any order: readers share, a writer is by
    itself, they come in as they came, and somebody is in whenever somebody waits."""
    queue, turns = Queue(), [Session() for _ in range(6)]
    alone: dict[Turn, bool] = {}
    came: list[Turn] = []

    def admitted(*some: Turn) -> None:
        assert came[: len(some)] == list(some)
        del came[: len(some)]

    def check() -> None:
        inside = queue.inside
        assert len(inside) == 1 or not any(alone[turn] for turn in inside)
        assert queue.waiting == len(came)
        if came:
            assert alone[came[0]] or any(alone[turn] for turn in inside)
            assert inside

    for number, writes in steps:
        turn = turns[number]
        if turn in alone:
            del alone[turn]
            if turn in came:
                came.remove(turn)
            admitted(*queue.leave(turn))
        else:
            alone[turn] = writes
            came.append(turn)
            if queue.enter(turn, alone=writes):
                admitted(turn)
        check()
    while queue.inside:
        admitted(*queue.leave(random.choice(queue.inside)))
        check()
    assert (queue.inside, queue.waiting, came) == ((), 0, [])


@dataclass
class Deferred:
    """The order of a queue whose calls, as an event loop's, come when they are made."""

    queue: Queue = field(default_factory=Queue)
    calls: list[Turn] = field(default_factory=list)

    def enter(self, turn: Turn, *, alone: bool) -> bool:
        """At once, or later."""
        return self.queue.enter(turn, alone=alone)

    def leave(self, turn: Turn) -> None:
        """Others are to be called."""
        self.calls += self.queue.leave(turn)

    abandon = leave


@dataclass
class Many:
    """Four sessions at one target that answers when it is told to.

    `inside` are the flows that are under way, and whether each goes alone; `done` those that were
    done, in that order.
    """

    order: Deferred = field(default_factory=Deferred)
    asked: list[tuple[int, Then]] = field(default_factory=list)
    inside: dict[int, bool] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lanes = [Lane(self.order, partial(self._ask, number)) for number in range(4)]
        for lane in self.lanes:
            lane.wake = lane.go_on

    def _ask(self, number: int, request: Request, then: Then) -> None:
        self.asked.append((number, then))

    def flow(self, number: int, steps: int, *, alone: bool) -> Flow:
        """A flow of so many steps, which looks who else is there."""
        self.inside[number] = alone
        try:
            for _ in range(steps):
                self.look()
                yield (PLACE, PLACE)
            self.look()
            self.done.append(number)
            return OK
        finally:
            del self.inside[number]

    def look(self) -> None:
        """Nobody is there with one who goes alone."""
        assert len(self.inside) == 1 or not any(self.inside.values())

    def step(self, chance: int) -> bool:
        """One thing that may happen next: a call, or an answer. False where nothing may."""
        waiting = len(self.order.calls) + len(self.asked)
        if not waiting:
            return False
        place = chance % waiting
        if place < len(self.order.calls):
            self.order.calls.pop(place).called()
        else:
            _, then = self.asked.pop(place - len(self.order.calls))
            then(OK)
        return True

    def end(self, number: int) -> None:
        """A session is gone, and hears no more answers."""
        self.lanes[number].end()
        self.asked = [(lane, then) for lane, then in self.asked if lane != number]


FLOWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=20)


@given(FLOWS, st.lists(st.integers(0, 50)), st.sets(st.integers(0, 3)))
def test_flows_of_many_sessions_are_kept_apart(
    flows: list[tuple[int, int, bool]], chances: list[int], ending: set[int]
) -> None:
    """Whatever the target answers first, and whoever goes: no flow is in the middle while one is
    that goes alone, a session's are done in their order, and all of those that stay are done."""
    many = Many()
    for number, (at, steps, alone) in enumerate(flows):
        many.lanes[at].add(_nothing, many.flow(number, steps, alone=alone), alone=alone)
    for chance in chances:
        many.step(chance)
    for at in ending:
        many.end(at)
    while many.step(0):
        pass
    for number, lane in enumerate(many.lanes):
        own = [flow for flow, (of, _, _) in enumerate(flows) if of == number]
        done = [flow for flow in many.done if flow in own]
        assert done == own[: len(done)]
        assert number in ending or done == own
        assert number in ending or not len(lane)
    assert (many.order.queue.inside, many.order.queue.waiting) == ((), 0)


def _nothing(_: Answer) -> None:
    """Nobody looks."""


CHANGING = frozenset(
    {
        *(Verb.MKDIR, Verb.RMDIR, Verb.REMOVE, Verb.RENAME, Verb.POSIX_RENAME),
        *(Verb.HARDLINK, Verb.SYMLINK),
    }
)


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb is not Verb.OPEN])
def test_what_changes_the_tree_is_known(verb: Verb) -> None:
    """Names that come, go, or lead elsewhere; what only looks, or sets attributes, does not."""
    if verb in {Verb.RENAME, Verb.POSIX_RENAME, Verb.HARDLINK, Verb.SYMLINK}:
        assert changes_tree(OnTwo(verb, 0, b"/a", b"/b"))
    else:
        assert changes_tree(OnPath(verb, 0, b"/a")) is (verb in CHANGING)


@pytest.mark.parametrize("number", range(64))
def test_opening_changes_the_tree_where_it_makes_or_cuts(number: int) -> None:
    """By its flags, whatever else is set."""
    flags = Flags(number)
    changes = bool(flags & Flags.CREAT) or bool(flags & Flags.TRUNC)
    assert changes_tree(Open(0, b"/a", flags, NOTHING)) is changes
