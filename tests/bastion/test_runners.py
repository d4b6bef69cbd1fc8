"""Runners: who carries sessions, and who of them is gone."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import Unavailable
from bastion.presence import Presence
from bastion.runners import SILENT, Roll, RollCall, Runner, Seen
from bastion.store import Store
from recorder import EndReason, Index, Kind, SessionInfo
from recorder.shipments import Shipments
from tests.bastion.worlds import NOW, SECOND
from tests.postgres import url_again

HERE, THERE = "here", "there"
NOBODY = Seen(frozenset(), frozenset())


def runner(boot: str, node: str = THERE, beats: int = 0) -> Runner:
    return Runner(boot, node, NOW, beats, NOW)


def seen(*held: str, free: tuple[str, ...] = ()) -> Seen:
    return Seen(frozenset(held), frozenset(free))


def roll(alive: str = "", gone: str = "", lost: str = "") -> Roll:
    return Roll(*(frozenset(each.split()) for each in (alive, gone, lost)))


def test_a_lock_tells_at_once() -> None:
    """Of a process of this home: held is alive, free is gone."""
    ours = [runner("a", HERE), runner("b", HERE)]
    assert RollCall(HERE).call(ours, seen("a", free=("b",)), 0) == roll(alive="a", gone="b")


def test_one_of_this_name_without_a_lock_is_gone_when_it_is_silent() -> None:
    """Its lock went with the directory; or it lives on a machine that was given this one's name."""
    call = RollCall(HERE)
    assert call.call([runner("c", HERE)], NOBODY, 0) == roll(alive="c")
    for second in range(round(SILENT) + 1):
        assert call.call([runner("c", HERE)], NOBODY, second) == roll(alive="c")
    assert call.call([runner("c", HERE)], NOBODY, SILENT + 0.1) == roll(gone="c")


def test_a_lock_tells_also_where_the_machine_has_another_name_by_now() -> None:
    """The home is the same, whatever it was called when the row was written."""
    assert RollCall(HERE).call([runner("a")], seen(free=("a",)), 0) == roll(gone="a")


def test_a_lock_without_a_row_was_ended_by_others() -> None:
    """They took it for lost; now that its home is back, what it left is to be mended."""
    assert RollCall(HERE).call([], seen(free=("a",)), 0) == roll(gone="a")


def roll_at(call: RollCall, time: float, beats: int) -> Roll:
    return call.call([runner("a", beats=beats)], NOBODY, time)


def test_silence_tells_of_another_machine() -> None:
    """Counted here, from when the last beat was seen: no clock of the other is asked."""
    call = RollCall(HERE)
    assert roll_at(call, 100, 1) == roll(alive="a")
    for second in range(round(SILENT) + 1):
        assert roll_at(call, 104 + second, 2) == roll(alive="a")
    assert roll_at(call, 104.1 + SILENT, 2) == roll(lost="a")
    assert roll_at(call, 105 + SILENT, 3) == roll(alive="a")


def test_a_database_that_was_away_is_nobodys_silence() -> None:
    """Nobody could beat, and nobody was heard: everybody gets the whole time again."""
    call = RollCall(HERE)
    assert roll_at(call, 100, 1) == roll(alive="a")
    for second in range(round(SILENT) + 1):
        assert roll_at(call, 400 + second, 1) == roll(alive="a")
    assert roll_at(call, 400.1 + SILENT, 1) == roll(lost="a")


@given(
    st.lists(
        st.builds(runner, st.sampled_from("abcd"), st.sampled_from([HERE, THERE])),
        unique_by=lambda each: each.boot,
    ),
    st.frozensets(st.sampled_from("abcde")),
    st.frozensets(st.sampled_from("abcde")),
)
def test_everybody_is_one_of_three(
    runners: list[Runner], held: frozenset[str], free: frozenset[str]
) -> None:
    """Whoever holds a lock is never taken for gone."""
    found = RollCall(HERE).call(runners, Seen(held, free - held), 0)
    assert found.alive | found.gone | found.lost >= {each.boot for each in runners} | held
    assert not found.alive & (found.gone | found.lost)
    assert not (found.gone & found.lost)
    assert held <= found.alive


def test_a_presence_ends_with_its_process(tmp_path: Path) -> None:
    """However that ends."""
    presence = Presence(tmp_path / "run")
    assert presence.seen() == NOBODY
    program = (
        "import sys, pathlib; from bastion.presence import Presence\n"
        "with Presence(pathlib.Path(sys.argv[1])).held('other'):\n"
        "    print('in', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "run")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with presence.held("me"):
            assert presence.seen() == seen("me", "other")
            other.kill()
            other.wait()
            assert presence.seen() == seen("me", free=("other",))
            presence.forget("me")
    assert presence.seen() == seen(free=("other",))
    presence.forget("other")
    assert presence.seen() == NOBODY


def test_nobody_is_taken_for_gone_while_it_enters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever calls the roll between the making of its file and its lock would end its sessions."""
    presence, flock = Presence(tmp_path / "run"), fcntl.flock
    found: list[Seen] = []

    def looked_at(descriptor: int, operation: int) -> None:
        if not found:
            found.append(NOBODY)
            found.append(presence.seen())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", looked_at)
    with presence.held("me"):
        assert found[1].free == frozenset()
        assert presence.seen() == seen("me")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_can_not_be_written_is_a_sentence(tmp_path: Path) -> None:
    """Nobody carries sessions whom nobody could see."""
    tmp_path.chmod(0o500)
    with pytest.raises(Unavailable, match="can't be used"), Presence(tmp_path / "run").held("me"):
        pass


@pytest.fixture
def other(store: Store) -> Iterator[Store]:
    """Another process's, on the same database."""
    with closing(Store.open(url_again(store), node="other")) as opened:
        yield opened


def test_a_runner_is_there_until_it_has_ended(store: Store, other: Store) -> None:
    """It beats; one whom others have ended is there again with its next beat."""
    store.enter_runner(NOW)
    other.enter_runner(NOW)
    assert {each.boot for each in store.runners()} == {store.chain.boot, other.chain.boot}
    assert other.beat_runner(NOW + SECOND)
    (found,) = (each for each in store.runners() if each.node == "other")
    assert (found.beats, found.beat_at) == (1, NOW + SECOND)
    store.end_runners([other.chain.boot], NOW)
    assert [each.boot for each in store.runners()] == [store.chain.boot]
    assert store.ended_runners([store.chain.boot, other.chain.boot]) == {other.chain.boot}
    assert not other.beat_runner(NOW + SECOND)
    assert other.beat_runner(NOW + SECOND)
    assert len(store.runners()) == 2


def info() -> SessionInfo:
    return SessionInfo(
        connection=1,
        user="alice",
        grant=1,
        host="web",
        login="deploy",
        kind=Kind.SHELL,
        source="192.0.2.7",
    )


def test_what_a_lost_machine_carried_is_lost(store: Store, other: Store) -> None:
    """And found again, where it was only away."""
    ours, theirs = (Index(each.database, each.chain.boot) for each in (store, other))
    mine = ours.add(info(), NOW, lambda number: f"S-{number}")
    lost = theirs.add(info(), NOW, lambda number: f"S-{number}")
    assert ours.runners() == {store.chain.boot, other.chain.boot}
    assert [each.id for each in ours.lose([other.chain.boot], NOW + SECOND)] == [lost.id]
    found = ours.get(lost.id)
    assert found is not None
    assert (found.ended_at, found.end_reason) == (NOW + SECOND, EndReason.LOST)
    assert [each.id for each in theirs.lost([other.chain.boot])] == [lost.id]
    assert theirs.find_again([lost.id]) == frozenset()
    again = ours.get(lost.id)
    assert again is not None
    assert again.live
    assert ours.get(mine.id) == mine


def test_what_others_have_recovered_is_not_found_again(store: Store, other: Store) -> None:
    """A machine that stood still for long goes on: such a session would be live, and nobody could
    see it or end it, as its row says that it is over and what there is of it was sealed."""
    ours, theirs = (Index(each.database, each.chain.boot) for each in (store, other))
    lost = theirs.add(info(), NOW, lambda number: f"S-{number}")
    [taken] = ours.lose([other.chain.boot], NOW + SECOND)
    assert Shipments(store.database).adopt(taken, store.chain.boot)
    assert theirs.find_again([lost.id]) == {lost.id}
    still = ours.get(lost.id)
    assert still is not None
    assert not still.live
