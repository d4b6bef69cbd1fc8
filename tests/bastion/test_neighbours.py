"""What the workers of a machine count together: no limit is more for being met at several."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.admission import Admission, There
from bastion.limits import Limit
from bastion.neighbours import FAILURES, Neighbours, shared, vacate
from bastion.refusals import Failure, Refusals
from tests.bastion.test_admission import NEVER, places

WORKERS = 3


@pytest.fixture
def memory() -> Iterator[int]:
    """What three workers share."""
    descriptor = shared(WORKERS)
    yield descriptor
    os.close(descriptor)


def all_of(memory: int) -> list[Neighbours]:
    """As each of them sees it."""
    return [Neighbours(memory, number) for number in range(WORKERS)]


def test_a_limit_is_the_machines(memory: int) -> None:
    """Ten from one network are ten, at whichever worker each has come in; and the next finds room
    when one of them has gone, wherever that was."""
    workers = [Admission(places(100, 10, 100, 100), each) for each in all_of(memory)]
    tried = [workers[key % WORKERS].arrive(key, "192.0.2.7", NEVER) for key in range(12)]
    assert tried == [None] * 10 + [Limit.CONNECTIONS_PER_SOURCE] * 2
    assert workers[0].arrive("another", "192.0.2.8", NEVER) is None
    workers[1].leave(1)
    assert workers[2].arrive(13, "192.0.2.7", NEVER) is None
    assert workers[0].arrive(14, "192.0.2.7", NEVER) is Limit.CONNECTIONS_PER_SOURCE


def test_a_users_connections_are_counted_together(memory: int) -> None:
    """And don't count for a network of that name."""
    workers = [Admission(places(100, 2, 100, 100, each_user=2), each) for each in all_of(memory)]
    for key, worker in enumerate(workers):
        assert worker.arrive(key, str(key), NEVER) is None
    assert [worker.signed_in(key, "alice") for key, worker in enumerate(workers)] == [
        None,
        None,
        Limit.CONNECTIONS_PER_USER,
    ]
    assert workers[2].arrive(3, "alice", NEVER) is None


def test_who_was_killed_holds_nothing(memory: int) -> None:
    """What a worker had is forgotten when it is gone; whoever comes after it begins with none."""
    lost, kept, _ = (Admission(places(4, 4, 4, 4), each) for each in all_of(memory))
    assert [lost.arrive(key, "a", NEVER) for key in range(3)] == [None] * 3
    assert kept.arrive(3, "a", NEVER) is None
    assert kept.arrive(4, "a", NEVER) is Limit.CONNECTIONS
    vacate(memory, 0)
    after = Admission(places(4, 4, 4, 4), Neighbours(memory, 0))
    assert [after.arrive(key, "b", NEVER) for key in range(3)] == [None] * 3
    assert kept.arrive(4, "a", NEVER) is Limit.CONNECTIONS


def test_of_two_at_once_no_more_than_one_gets_the_last_place(memory: int) -> None:
    """Each takes first and looks then, so neither can miss the other."""

    class Meanwhile(Neighbours):
        def there(self, network: str) -> There:
            if second not in seen:
                seen.append(second)
                results.append(second.arrive("second", network, NEVER))
            return super().there(network)

    seen: list[Admission] = []
    results: list[Limit | None] = []
    first = Admission(places(1, 1, 1, 1), Meanwhile(memory, 0))
    second = Admission(places(1, 1, 1, 1), Neighbours(memory, 1))
    results.append(first.arrive("first", "a", NEVER))
    assert results.count(None) <= 1


def test_failures_count_at_all(memory: int) -> None:
    """Each of three workers sees two of six: the limit of six is met, at all of them; and at one
    that was started again, which knows what it has told before."""
    workers = [Refusals(6, 60.0, witnesses=each) for each in all_of(memory)]
    for number in range(5):
        workers[number % WORKERS].failed("a", 100.0)
    assert [each.wait("a", 100.0) for each in workers] == [0, 0, 0]
    workers[2].failed("a", 100.0)
    assert [each.wait("a", 101.0) > 0 for each in workers] == [True] * 3
    vacate(memory, 2)
    again = Refusals(6, 60.0, witnesses=Neighbours(memory, 2))
    assert again.wait("a", 101.0) > 0
    assert again.wait("b", 101.0) == 0


def test_only_so_many_failures_are_remembered(memory: int) -> None:
    """The newest; each is told once, and not to who saw it."""
    first, second, _ = all_of(memory)
    for number in range(FAILURES + 5):
        first.tell(Failure(f"2001:db8:1111:2222:3333:4444:5555:{number:x}/128", number, 2))
    heard = second.heard()
    assert [each.time for each in heard] == [*range(5, FAILURES + 5)]
    assert heard[-1].network == f"2001:db8:1111:2222:3333:4444:5555:{FAILURES + 4:x}/128"
    assert heard[-1].times == 2
    assert (second.heard(), first.heard()) == ([], [])


STEPS = st.lists(
    st.tuples(
        st.sampled_from("arrive sign leave kill".split()),
        st.integers(0, WORKERS - 1),
        st.integers(0, 9),
    ),
    max_size=60,
)


@given(STEPS)
def test_what_is_counted_together_is_what_there_is(steps: list[tuple[str, int, int]]) -> None:
    """Whatever comes, goes and is killed: never more than may be, and room for all that may."""
    descriptor = shared(WORKERS)
    try:
        workers = [Admission(places(5, 3, 4, 2, 3), each) for each in all_of(descriptor)]
        held: list[dict[int, bool]] = [{} for _ in workers]
        for what, at, key in steps:
            worker, mine = workers[at], held[at]
            if what == "arrive" and key not in mine:
                there = [k for some in held for k in some]
                network = [k for k in there if k % 3 == key % 3]
                nobody = [k for some in held for k, known in some.items() if not known]
                room = len(there) < 5 and len(network) < 3 and len(nobody) < 4
                room = room and sum(k % 3 == key % 3 for k in nobody) < 2
                assert (worker.arrive(key, str(key % 3), NEVER) is None) == room
                if room:
                    mine[key] = False
            elif what == "sign" and mine.get(key) is False:
                known = sum(known for some in held for known in some.values())
                mine[key] = worker.signed_in(key, "alice") is None
                assert mine[key] == (known < 3)
            elif what == "leave" and key in mine:
                worker.leave(key)
                del mine[key]
            elif what == "kill":
                vacate(descriptor, at)
                workers[at] = Admission(places(5, 3, 4, 2, 3), Neighbours(descriptor, at))
                mine.clear()
    finally:
        os.close(descriptor)
