"""Playing a recording at its own pace, on a clock and with keys of the test's."""

import pytest

from recorder import Archive, EndReason, Index, Reader, Size
from recorder.playing import LONGEST_WAIT, perform
from recorder.replay import Pace
from recorder.screen import CLEAR
from recorder.screen_filter import LEAVE
from tests.recorder.places import Clock, exec_of, shell

Seen = list[tuple[float, str]]


class Reviewer:
    """Somebody at a terminal: time flies while she waits. `keys` says what she types, and when.

    Her terminal takes `slow` seconds for each thing that is shown.
    """

    def __init__(self, *keys: tuple[float, str], slow: float = 0.0) -> None:
        self.seen: Seen = []
        self._now = 0.0
        self._keys = list(keys)
        self._slow = slow

    def watch(self, reader: Reader, pace: Pace | None = None) -> Seen:
        """What she sees and when; her terminal is put right at the end."""
        perform(reader, pace or Pace(), self._show, key=self._key, clock=lambda: self._now)
        assert self.seen.pop()[1] == LEAVE
        return self.seen

    def _show(self, text: str) -> None:
        self.seen.append((round(self._now, 3), text))
        self._now += self._slow

    def _key(self, seconds: float) -> str | None:
        assert 0 <= seconds <= LONGEST_WAIT
        if self._keys and self._keys[0][0] <= self._now + seconds:
            at, key = self._keys.pop(0)
            self._now = max(self._now, at)
            return key
        self._now += seconds
        return None


@pytest.fixture
async def reader(archive: Archive, index: Index, clock: Clock) -> Reader:
    """Something at 0, 10, 20 and 30 seconds."""
    async with archive.record(shell(Size(20, 3))) as recording:
        for text in (b"zero", b" ten", b" twenty\x1b]0;title\x07", b" thirty"):
            recording.shown(text)
            clock.seconds += 10
        recording.end(EndReason.CLOSED)
    session = index.get(1)
    assert session is not None
    return archive.open(session)


async def test_everything_is_shown_at_its_time(reader: Reader) -> None:
    """And harmlessly; faster and without long pauses where that is wanted."""
    assert Reviewer().watch(reader) == [(0, "zero"), (10, " ten"), (20, " twenty"), (30, " thirty")]
    assert Reviewer().watch(reader, Pace(speed=10, idle=5)) == [
        *((0, "zero"), (0.5, " ten"), (1, " twenty"), (1.5, " thirty"))
    ]


async def test_it_begins_with_the_screen_as_it_stood(reader: Reader) -> None:
    """Not with all that was shown until then."""
    first, *rest = Reviewer().watch(reader, Pace(start=15))
    assert first[0] == 0
    assert first[1].startswith(CLEAR)
    assert "zero ten" in first[1]
    assert rest == [(5, " twenty"), (15, " thirty")]
    (only,) = Reviewer().watch(reader, Pace(start=1000))
    assert "thirty" in only[1]


async def test_space_holds_it_and_lets_it_go_on(reader: Reader) -> None:
    """However long it was held, what comes next comes as much later; other keys do nothing."""
    seen = Reviewer((4, " "), (5, "x"), (5, "\x1b"), (5, "["), (104, " ")).watch(reader)
    assert seen == [(0, "zero"), (110, " ten"), (120, " twenty"), (130, " thirty")]


async def test_a_dot_shows_the_next_thing_of_what_is_held(reader: Reader) -> None:
    """It goes on from there; while it plays, a dot does nothing."""
    seen = Reviewer((3, "."), (4, " "), (50, "."), (60, "."), (61, " ")).watch(reader)
    assert seen == [(0, "zero"), (50, " ten"), (60, " twenty"), (71, " thirty")]


@pytest.mark.parametrize("key", ["q", "\x04"])
async def test_a_key_ends_it(reader: Reader, key: str) -> None:
    """While it plays, and while it is held."""
    assert Reviewer((15, key)).watch(reader) == [(0, "zero"), (10, " ten")]
    assert Reviewer((1, " "), (15, key)).watch(reader) == [(0, "zero")]


async def test_a_slow_terminal_holds_it_up_and_it_catches_up(reader: Reader) -> None:
    """It is never ahead of its time; keys are heard although there is always something to show."""
    seen = Reviewer(slow=14).watch(reader)
    assert seen == [(0, "zero"), (14, " ten"), (28, " twenty"), (42, " thirty")]
    assert Reviewer((20, "q"), slow=14).watch(reader) == [(0, "zero"), (14, " ten")]
    caught_up = Reviewer(slow=14).watch(reader, Pace(speed=0.1))
    assert [at for at, _ in caught_up] == [0, 100, 200, 300]


async def test_without_a_terminal_at_the_target_lines_begin_at_the_left(
    archive: Archive, index: Index
) -> None:
    """As the contractor's own terminal has shown them."""
    async with archive.record(exec_of("ls")) as recording:
        recording.shown(b"one\ntwo\n")
    session = index.get(1)
    assert session is not None
    assert Reviewer().watch(archive.open(session)) == [(0, "one\r\ntwo\r\n")]
