"""Sign-in failures: counted, bounded, and none forgotten."""

from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastion.failures import OTHERS, Failed, Failures
from tests.bastion.worlds import NOW, SECOND

MINUTE = timedelta(minutes=1)


def test_each_source_has_one_number_a_minute() -> None:
    """Any moment of a minute counts for it; what is taken is in order."""
    failures = Failures()
    failures.count("192.0.2.2", NOW + 59 * SECOND)
    failures.count("192.0.2.1", NOW, 3)
    failures.count("192.0.2.2", NOW)
    failures.count("192.0.2.1", NOW + MINUTE)
    assert failures.take(NOW + 2 * MINUTE) == [
        Failed("192.0.2.1", NOW, 3),
        Failed("192.0.2.2", NOW, 2),
        Failed("192.0.2.1", NOW + MINUTE, 1),
    ]


def test_a_minute_is_taken_once_and_when_it_is_over() -> None:
    """The minute that goes on is left alone, and what was taken is gone."""
    failures = Failures()
    failures.count("192.0.2.1", NOW)
    assert failures.take(NOW + 59 * SECOND) == []
    assert len(failures.take(NOW + MINUTE)) == 1
    assert failures.take(NOW + 60 * MINUTE) == []


def test_the_sources_beyond_the_limit_are_the_others() -> None:
    """Those that were known go on by name, however many come after them."""
    failures = Failures(sources=2)
    for source in ("a", "b", "c", "d", "a"):
        failures.count(source, NOW)
    assert failures.take(NOW + MINUTE) == [
        Failed("a", NOW, 2),
        Failed("b", NOW, 1),
        Failed(OTHERS, NOW, 2),
    ]


@given(
    told=st.lists(
        st.tuples(st.sampled_from("abcde"), st.integers(0, 9), st.integers(1, 5)), max_size=60
    )
)
def test_nothing_is_forgotten_and_nothing_grows(told: list[tuple[str, int, int]]) -> None:
    """Whatever comes: the sum is right, and so many numbers are kept at most."""
    failures = Failures(sources=2, minutes=3)
    for source, minute, times in told:
        failures.count(source, NOW + minute * MINUTE, times)
    taken = failures.take(NOW + 60 * MINUTE)
    assert sum(each.times for each in taken) == sum(times for _, _, times in told)
    assert len({each.minute for each in taken}) <= 3
    each_minute = Counter(each.minute for each in taken)
    assert all(number <= 3 for number in each_minute.values())
