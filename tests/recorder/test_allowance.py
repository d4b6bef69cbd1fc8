"""What may be taken at once, and with time."""

from recorder.allowance import Allowance


def test_it_grows_with_time_up_to_the_burst() -> None:
    """Time that goes back gives nothing."""
    allowance = Allowance(100, 10)
    assert allowance.take(0, 100)
    assert allowance.take(1, 10)
    assert allowance.left(0.5) == 0
    assert allowance.left(1e300) == 100


def test_who_asks_too_much_begins_anew() -> None:
    """So that nobody who goes on asking costs anything."""
    allowance = Allowance(100, 10)
    assert not allowance.take(0, 101)
    assert not allowance.take(1, 11)
    assert allowance.take(2, 10)
