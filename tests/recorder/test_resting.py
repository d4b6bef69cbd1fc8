"""What could not be done is left alone for a while, and then tried again."""

from datetime import UTC, datetime, timedelta

from recorder.resting import MOST, Resting

NOW = datetime(2026, 11, 30, tzinfo=UTC)
REST = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


def test_one_is_left_alone_for_a_while() -> None:
    """And no other with it."""
    resting = Resting(REST)
    resting.leave(2, NOW)
    assert resting.awake([1, 2, 3]) == [1, 3]
    resting.wake(NOW + REST - SECOND)
    assert resting.awake([1, 2, 3]) == [1, 3]
    resting.wake(NOW + REST)
    assert resting.awake([1, 2, 3]) == [1, 2, 3]


def test_no_more_are_remembered_than_there_is_room_for() -> None:
    """Those beyond are tried again at once."""
    resting = Resting(REST)
    for number in range(MOST + 1):
        resting.leave(number, NOW)
    assert resting.awake([MOST - 1, MOST]) == [MOST]
