"""A vigil: a session goes on only while somebody watches, and waits no longer than it may."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastion.events import Happened, What
from bastion.vigil import Change, Vigil
from bastion.watched import Watched
from recorder.session import EndReason, Kind, SessionInfo
from tests.bastion.worlds import NOW, SECOND

PATIENCE = 600 * SECOND

looks = st.lists(st.tuples(st.integers(0, 400), st.booleans()))


@given(looks)
def test_it_goes_on_exactly_while_somebody_watches(steps: list[tuple[int, bool]]) -> None:
    """And is given up once, after so long without anybody; then nothing more comes of it."""
    vigil, now, moves, alone, over = Vigil(PATIENCE, NOW), NOW, False, NOW, False
    for seconds, watched in steps:
        now += seconds * SECOND
        change = vigil.judge(watched=watched, now=now)
        if over:
            assert change is None
            continue
        match change:
            case Change.GO_ON:
                assert not moves
                moves = True
            case Change.FREEZE:
                assert moves
                moves, alone = False, now
            case Change.GIVE_UP:
                over = True
        assert over == (not moves and now - alone >= PATIENCE)
        if not over:
            assert moves == watched


class Side:
    """A session that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def freeze(self, sentence: str) -> None:
        self.told.append(f"freeze: {sentence}")

    def go_on(self, sentence: str) -> None:
        self.told.append(f"go on: {sentence}")

    def cut(self, reason: EndReason, sentence: str) -> None:
        self.told.append(f"{reason}: {sentence}")


def watched(
    hides: Callable[[], bool] = lambda: False,
) -> tuple[Watched, Side, list[Happened]]:
    """S-31, which nobody watches yet."""
    side, events = Side(), list[Happened]()
    info = SessionInfo(7, "alice", 8, "web-1", "deploy", Kind.SHELL, "192.0.2.7")
    session = Watched(31, info, side, PATIENCE, hides=hides, tell=events.append, now=NOW)
    return session, side, events


def test_the_person_hears_each_change_and_the_log_too() -> None:
    """Once each, however often it is looked at; who watched is for the log alone."""
    session, side, events = watched()
    at: datetime = NOW
    for seconds, names in ((1, []), (30, ["rita"]), (31, ["rita", "adam"]), (90, []), (91, [])):
        at = NOW + timedelta(seconds=seconds)
        session.heed(names, at)
    session.heed(["adam"], at + SECOND)
    assert side.told == [
        "go on: somebody watches S-31 now; it begins.",
        "freeze: nobody watches S-31 any more; it waits until somebody does.",
        "go on: somebody watches S-31 now; it goes on.",
    ]
    assert [each.what for each in events] == [
        What.SESSION_WAITING,
        What.SESSION_RESUMED,
        What.SESSION_FROZEN,
        What.SESSION_RESUMED,
    ]
    assert events[1].details == {"kind": "shell", "watchers": ["rita"], "seconds": 30}
    assert {(each.user, each.grant, each.session) for each in events} == {("alice", 8, 31)}


def test_one_that_nobody_comes_for_is_over() -> None:
    """Neither waiting lasts longer than it may, to the second; what it was is said."""
    session, side, _ = watched()
    session.heed([], NOW + PATIENCE - SECOND)
    assert side.told == []
    session.heed([], NOW + PATIENCE)
    session.heed(["rita"], NOW + PATIENCE)
    assert side.told == ["limit: nobody came to watch S-31 for 10m, so nothing was started."]
    session, side, _ = watched()
    session.heed(["rita"], NOW + PATIENCE - SECOND)
    session.heed([], NOW + PATIENCE)
    session.heed([], NOW + 2 * PATIENCE)
    assert side.told[-1] == "limit: nobody came to watch S-31 for 10m, so this session is over."


def test_one_that_nobody_can_follow_any_more_is_over() -> None:
    """Beyond its limit a recording tells no more what is shown: whoever watches would miss it."""
    full: list[bool] = []
    session, side, _ = watched(lambda: bool(full))
    session.heed(["rita"], NOW)
    full.append(True)
    session.heed(["rita"], NOW + SECOND)
    assert side.told[1:] == [
        "limit: the recording of S-31 is full, so nobody can watch on; this session is over."
    ]
