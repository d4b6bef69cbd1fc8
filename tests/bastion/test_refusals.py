"""Networks that fail again and again: refused for a while, longer each time, and forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from bastion.refusals import FIRST, Refusals

LONGEST = 60.0


def failing(refusals: Refusals, now: float, times: int = 3) -> float:
    """So many failures at once; what comes of it."""
    for _ in range(times):
        refusals.failed("a", now)
    return refusals.wait("a", now)


def test_who_fails_too_often_waits_longer_each_time() -> None:
    """Ten seconds, twenty, forty, and never more than the longest. Others don't wait."""
    refusals, now, waits = Refusals(3, LONGEST), 0.0, []
    assert failing(refusals, now, 2) == 0
    for _ in range(5):
        waits.append(failing(refusals, now))
        now += waits[-1]
        assert refusals.wait("a", now) == 0
    assert waits == [FIRST, 20, 40, 60, 60]
    assert refusals.wait("b", now) == 0


def test_who_fails_now_and_then_is_never_refused() -> None:
    """What was long ago is forgiven: three in a minute are too many, two are not."""
    refusals = Refusals(3, LONGEST)
    for minute in range(100):
        assert failing(refusals, 60.0 * minute, 2) == 0


def test_who_was_good_for_long_begins_anew() -> None:
    """After twice the longest without being refused."""
    refusals = Refusals(3, LONGEST)
    failing(refusals, 0)
    assert failing(refusals, 10) == 20
    assert failing(refusals, 30 + 2 * LONGEST + 1) == FIRST


def test_only_so_many_networks_are_remembered() -> None:
    """The one that failed longest ago is forgotten, and let in."""
    refusals = Refusals(1, LONGEST, networks=2)
    for network in "abc":
        refusals.failed(network, 0)
    assert [refusals.wait(network, 0) > 0 for network in "abc"] == [False, True, True]


@given(st.lists(st.tuples(st.floats(0, 500), st.integers(1, 5)), max_size=50))
def test_nobody_waits_for_longer_than_the_longest(steps: list[tuple[float, int]]) -> None:
    """However often it fails, and whenever; and a single failure refuses nobody."""
    refusals, now = Refusals(7, LONGEST), 0.0
    for later, times in steps:
        now += later
        before = refusals.wait("a", now)
        refusals.failed("a", now, times)
        assert 0 <= refusals.wait("a", now) <= LONGEST
        assert refusals.wait("a", now) >= before or before == 0
        assert refusals.wait("a", now + LONGEST) == 0
