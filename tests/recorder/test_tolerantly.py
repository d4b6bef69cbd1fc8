"""Rows that can't be read are told from a database that was away when it was asked for them."""

from collections.abc import Collection

import pytest
from sqlalchemy.exc import OperationalError

from recorder.database import renamed, tolerantly
from recorder.errors import ConnectionLost, IndexUnavailable

Rows = dict[int, str | None]


class Table:
    """Rows 1 to 3, of which one can't be read; `away` is how often it fails before it answers."""

    def __init__(self, away: int = 0, *, broken: int = 2, lost: bool = False) -> None:
        self.away = away
        self._broken = broken
        self._lost = lost
        self.asked = 0

    def fetched(self, numbers: Collection[int]) -> Rows:
        self.asked += 1
        if self.away:
            self.away -= 1
            with renamed():
                raise OperationalError("SELECT", {}, Exception(), connection_invalidated=self._lost)
        if self._broken in numbers:
            raise ValueError("no time")
        return dict.fromkeys(numbers, "row")

    def answers(self) -> None:
        if self.away > 2:
            raise IndexUnavailable("it is away")


def test_only_what_is_broken_is_left_out() -> None:
    """The others are read one by one."""
    table = Table()
    assert tolerantly(table.fetched, [1, 2, 3], table.answers) == {1: "row", 2: None, 3: "row"}


def test_a_moment_without_the_database_breaks_no_row() -> None:
    """It is asked again; a seal that was held for unreadable had the next one named no hash."""
    table = Table(away=1)
    assert tolerantly(table.fetched, [1], table.answers) == {1: "row"}


@pytest.mark.parametrize("numbers", [[1], [1, 3]])
def test_what_was_cut_off_is_not_known(numbers: list[int]) -> None:
    """Also where the next question is answered."""
    table = Table(away=2, lost=True)
    with pytest.raises(ConnectionLost):
        tolerantly(table.fetched, numbers, table.answers)


def test_one_that_is_away_says_so() -> None:
    """And is not asked any longer."""
    table = Table(away=9)
    with pytest.raises(IndexUnavailable):
        tolerantly(table.fetched, [1], table.answers)
    assert table.asked == 1
