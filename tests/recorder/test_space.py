"""How much room there is for recordings, and what it leaves room for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.space import FEWEST_FILES, Disk, Marks, Room, Space, disk_of

GB = 10**9
MARKS = Marks(10 * GB, 5 * GB, GB)
TOTAL = 10_000 * GB


class Shrinking:
    """A disk that says what it is told to."""

    def __init__(self, free: int, total: int = TOTAL, files: int | None = 10**6) -> None:
        self.disk = Disk(total, free, files)

    def __call__(self, directory: Path) -> Disk:
        return self.disk


@pytest.mark.parametrize(
    ("free", "room"),
    [
        (TOTAL, Room.EVERYTHING),
        (10 * GB, Room.EVERYTHING),
        (10 * GB - 1, Room.WHAT_IS_LIVE),
        (5 * GB, Room.WHAT_IS_LIVE),
        (5 * GB - 1, Room.EMERGENCIES),
        (GB, Room.EMERGENCIES),
        (GB - 1, Room.NOTHING),
        (0, Room.NOTHING),
    ],
)
def test_marks(free: int, room: Room) -> None:
    """Each has its own meaning."""
    assert Space(Path(), MARKS, Shrinking(free)).look() is room


def test_what_each_room_means() -> None:
    """Break-glass begins, and goes on, where nothing else does."""
    begins = {room: (room.begins(emergency=False), room.begins(emergency=True)) for room in Room}
    goes_on = {room: (room.goes_on(emergency=False), room.goes_on(emergency=True)) for room in Room}
    assert begins == {
        Room.EVERYTHING: (True, True),
        Room.WHAT_IS_LIVE: (False, True),
        Room.EMERGENCIES: (False, True),
        Room.NOTHING: (False, False),
    }
    assert goes_on == {
        Room.EVERYTHING: (True, True),
        Room.WHAT_IS_LIVE: (True, True),
        Room.EMERGENCIES: (False, True),
        Room.NOTHING: (False, False),
    }


@given(st.lists(st.integers(0, 20 * GB), min_size=1, max_size=20), st.integers(0, TOTAL))
def test_never_more_than_there_is(frees: list[int], total: int) -> None:
    """Whatever was before: there is room for no more than the marks say, at once."""
    ask = Shrinking(0, total)
    space = Space(Path(), MARKS, ask)
    for free in frees:
        ask.disk = Disk(total, free, None)
        assert space.look() <= MARKS.fitted(total).room(free)


def test_nothing_flaps_at_a_mark() -> None:
    """A little more than a mark is not yet better; a good deal more is."""
    ask = Shrinking(10 * GB - 1)
    space = Space(Path(), MARKS, ask)
    assert space.look() is Room.WHAT_IS_LIVE
    for free, room in ((10 * GB + 1, Room.WHAT_IS_LIVE), (11 * GB, Room.EVERYTHING)):
        ask.disk = Disk(TOTAL, free, None)
        assert space.look() is room


@pytest.mark.parametrize(
    ("files", "room"), [(FEWEST_FILES - 1, Room.WHAT_IS_LIVE), (0, Room.NOTHING)]
)
def test_files_run_out_too(files: int, room: Room) -> None:
    """A disk with bytes and no inodes takes no recording."""
    assert Space(Path(), MARKS, Shrinking(TOTAL, files=files)).look() is room


def test_a_small_disk_has_small_marks() -> None:
    """Or nothing would ever begin on it."""
    assert Marks(GB, GB, GB).fitted(100) == Marks(10, 5, 2)


def test_a_disk_that_does_not_answer_has_no_room(tmp_path: Path) -> None:
    """And one that does says how large it is."""
    assert Space(tmp_path / "none", MARKS).look() is Room.NOTHING
    assert disk_of(tmp_path).total > 0
