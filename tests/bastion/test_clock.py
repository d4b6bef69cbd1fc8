"""The clock that counts: nothing is prolonged by setting it back."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastion.clock import Clock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Hands:
    """A wall clock and a boot clock that a test moves."""

    def __init__(self) -> None:
        self.wall = NOON
        self.boot = 1000.0

    def clock(self, latest: datetime | None = None) -> Clock:
        return Clock(lambda: self.wall, lambda: self.boot, latest)

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.boot += seconds


def test_a_wall_clock_set_back_does_not_prolong_anything() -> None:
    """After an hour, with the wall clock set back by two, it is still an hour later."""
    hands = Hands()
    clock = hands.clock()
    hands.pass_by(3600)
    hands.wall -= timedelta(hours=2)
    assert clock.now() == NOON + timedelta(hours=1)
    assert clock.jumped() == timedelta(hours=-2)


def test_a_wall_clock_set_forward_ends_things_early() -> None:
    """It fails closed."""
    hands = Hands()
    clock = hands.clock()
    hands.wall += timedelta(hours=1)
    assert clock.now() == NOON + timedelta(hours=1)


def test_a_clock_behind_what_was_kept_opens_nothing() -> None:
    """A process that starts an hour before the latest time in the store is behind."""
    hands = Hands()
    assert hands.clock(NOON + timedelta(hours=1)).behind()
    assert not hands.clock(NOON).behind()
    assert not hands.clock(NOON + timedelta(seconds=2)).behind()
    assert not hands.clock().behind()


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(-1e5, 1e5)), max_size=20))
def test_it_never_runs_slower_than_time_passes(steps: list[tuple[float, float]]) -> None:
    """Whatever is done to the wall clock, what has passed since the start has passed."""
    hands = Hands()
    clock = hands.clock()
    passed = 0.0
    for seconds, shove in steps:
        hands.pass_by(seconds)
        hands.wall += timedelta(seconds=shove)
        passed += seconds
        assert clock.now() - NOON >= timedelta(seconds=passed) - timedelta(milliseconds=1)
