"""Idle sessions: warned once, ended in time, and any movement begins the count anew."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastion import metrics
from bastion.idling import Idling
from bastion.limits import Limit
from bastion.metrics import Meters
from bastion.reached import Case, Reached
from recorder import EndReason

CASE = Case(Limit.IDLE, "192.0.2.7", "alice", "web-1", 7)
HOUR = timedelta(hours=1)


@dataclass
class Desk:
    """A session, and the clock on its wall. What is said in it moves its terminal, too."""

    now: float = 0.0
    moved: int = 0
    said: list[tuple[float, str]] = field(default_factory=list)
    cut_at: float | None = None

    def __post_init__(self) -> None:
        self.meters = Meters()
        self.idling = Idling(
            Reached(self.meters, lambda: datetime(2026, 11, 23, tzinfo=UTC)), lambda: self.now
        )

    def begins(self, most: timedelta = HOUR) -> None:
        self.idling.begins(31, self, lambda: self.moved, most, CASE)

    def warn(self, sentence: str) -> None:
        self.moved += 1
        self.said.append((self.now, sentence))

    def cut(self, reason: EndReason, sentence: str) -> None:
        assert reason is EndReason.IDLE
        assert self.cut_at is None
        self.cut_at = self.now
        self.said.append((self.now, sentence))

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.idling.look()


def test_a_minute_before_it_is_said_and_then_it_is_over() -> None:
    """Once each, and counted."""
    desk = Desk()
    desk.begins()
    desk.wait(3700)
    assert desk.said == [
        (
            3540,
            "nothing has moved here for 59m; this session ends in 1m unless something does.",
        ),
        (3600, "nothing has moved here for 1h; this session is over."),
    ]
    assert desk.meters.figures()[metrics.LIMITS.name, "idle"] == 1


def test_after_a_warning_one_key_is_enough() -> None:
    """The whole time begins anew, and so does the warning."""
    desk = Desk()
    desk.begins()
    desk.wait(3550)
    desk.moved += 1
    desk.wait(3500)
    assert len(desk.said) == 1
    desk.wait(200)
    assert [at for at, _ in desk.said[1:]] == [3551 + 3540, 3551 + 3600]


def test_a_session_that_is_over_is_forgotten() -> None:
    """Nothing is said in it any more."""
    desk = Desk()
    desk.begins()
    desk.idling.ends(31)
    desk.wait(3700)
    assert desk.said == []


@given(st.integers(2, 300), st.lists(st.integers(1, 400), max_size=8))
def test_none_is_ended_before_its_time_nor_much_later(most: int, moves: list[int]) -> None:
    """However it moves: the end is a look after the limit, and a warning came before."""
    desk, last = Desk(), 0.0
    desk.begins(timedelta(seconds=most))
    for seconds in moves:
        desk.wait(seconds)
        if desk.cut_at is not None:
            break
        desk.moved += 1
        last = desk.now + 1  # it is seen at the next look
    desk.wait(2 * most + 2)
    assert desk.cut_at is not None
    assert desk.cut_at - last in (most, most + 1) or desk.cut_at <= last
    assert len(desk.said) >= 2
