"""What stands on a terminal's screen, whatever was written to it."""

import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import CorruptRecording, Size
from recorder.screen import Screen, fed

SMALL = Size(20, 4)


def drawn(text: str, size: Size = SMALL) -> Screen:
    """A screen on which this was written."""
    screen = Screen(size)
    screen.show(text)
    return screen


def test_lines_are_as_they_are_seen() -> None:
    """Not as they were written: a line that was written over is what it became."""
    screen = drawn("one\r\n10 %\r50 %\r99 %\r\n\x1b[31mred\x1b[0m\r\n")
    assert screen.lines() == ["one", "99 %", "red", ""]


def test_what_was_on_the_other_screen_is_gone() -> None:
    """A full-screen program leaves what was before it."""
    screen = drawn("before\r\n\x1b[?1049h\x1b[H\x1b[2Jfull screen")
    assert screen.lines()[0] == "full screen"
    screen.show("\x1b[?1049l")
    assert screen.lines()[0] == "before"


@given(
    st.text(
        st.sampled_from("ab \r\n\x1b[0123456789;?hlmHJKABCDr\x07]\\é漢\U0001f600"), max_size=200
    )
)
def test_a_dump_draws_the_same(text: str) -> None:
    """On a terminal of the same size, that was just switched on."""
    screen = drawn(text)
    assert drawn(screen.dump()).lines() == screen.lines()


@given(
    st.lists(
        st.text(max_size=60) | st.tuples(st.integers(0, 2**32), st.integers(0, 2**32)), max_size=8
    )
)
def test_nothing_breaks_it(writes: list[str | tuple[int, int]]) -> None:
    """Any text, and any size that a client may name."""
    screen = Screen(Size(0, 0))
    for each in writes:
        if isinstance(each, str):
            screen.show(each)
        else:
            screen.resize(Size(*each))
    assert len(screen.lines()) <= 500


class Ticker:
    """Somebody else in the process, who wants the processor every millisecond."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick)

    def __enter__(self) -> "Ticker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tick(self) -> None:
        before = time.monotonic()
        while not self._over.wait(0.001):
            now = time.monotonic()
            self.longest, before = max(self.longest, now - before), now


@pytest.mark.parametrize("sequence", ["\x1b[2J", "\x1b[9999S", "\x1b[H\x1b[9999M", "\n"])
def test_nothing_that_is_drawn_stops_the_process(sequence: str) -> None:
    """What costs most, on the largest screen: others have their turn all the time."""
    screen = Screen(Size(60_000, 60_000))
    with Ticker() as other:
        screen.show(sequence * 4000)
    assert other.longest < 1


def test_a_wide_character_without_room_breaks_nothing() -> None:
    """On a terminal of one column that does not wrap, the engine used to end its thread."""
    for columns in (0, 1, 2):
        drawn("\x1b[?7l日本\U0001f600", Size(columns, 1)).resize(Size(1, 1))


def test_a_failure_of_the_engine_is_an_error_like_others() -> None:
    """PyO3's own is no Exception: it would end the thread, and the service with it."""

    class PanicException(BaseException):
        pass

    class Engine:
        def feed_str(self, text: str) -> object:
            raise PanicException if text else KeyboardInterrupt

    engine: Any = Engine()
    with pytest.raises(CorruptRecording):
        fed(engine, "text")
    with pytest.raises(KeyboardInterrupt):
        fed(engine, "")
