"""Growth: what is found to be a leak, and what is not."""

from dataclasses import replace

from tests.soak.growth import (
    DESCRIPTORS,
    MEGABYTE,
    TASKS,
    THREADS,
    USS,
    Sample,
    compared,
    started_again,
    table,
)

UNTIL = 100.0


def samples(what: str, by: float, *, resting: bool = True, pids: int = 1) -> list[Sample]:
    """One a second of a worker that has `by` more each time, in so many lives."""
    return [
        Sample(float(at), "worker 1", at * pids // 100, resting, {what: 100.0 + by * at})
        for at in range(100)
    ]


def test_what_stays_is_sound() -> None:
    """Also where there is more under load, and more before everything is warm."""
    still = samples(DESCRIPTORS, 0)
    loaded = samples(DESCRIPTORS, 5, resting=False)
    cold = [Sample(1.0, "worker 1", 0, True, {DESCRIPTORS: 7.0})]
    lines = compared([*cold, *still, *loaded], UNTIL)
    assert not any(line.grown for line in lines)
    assert {(line.resting, line.early) for line in lines} == {(True, 100.0), (False, 250.0)}


def test_one_that_is_kept_now_and_then_is_found() -> None:
    """A descriptor every five seconds, a task a second, memory of a megabyte a round."""
    for what, by in ((DESCRIPTORS, 0.2), (TASKS, 1.0), (USS, 0.2 * MEGABYTE)):
        (line,) = compared(samples(what, by), UNTIL)
        assert line.grown, line
        assert "GROWN" in table([line])


def test_a_new_process_begins_from_nothing() -> None:
    """It is told how often that was, and it is not judged."""
    some = samples(TASKS, 1.0, pids=3)
    assert compared(some, UNTIL) == []
    assert started_again(some) == {"worker 1": 2}


def test_threads_are_those_of_the_pools() -> None:
    """As many as these may have are no leak, however few there were; more are."""
    few = [replace(each, figures={THREADS: 30.0 + each.at / 5}) for each in samples(THREADS, 0)]
    assert not any(line.grown for line in compared(few, UNTIL))
    many = [replace(each, figures={THREADS: 30.0 + each.at}) for each in few]
    assert any(line.grown for line in compared(many, UNTIL))
