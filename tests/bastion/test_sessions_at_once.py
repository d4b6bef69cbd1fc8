"""Ceilings of sessions: held by the database, whoever comes at the same time."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bastion.store import Store
from recorder import (
    Ceiling,
    Ceilings,
    EndReason,
    Index,
    Kind,
    SessionInfo,
    Stored,
    TooMany,
    Whose,
)
from recorder.ceilings import Live
from recorder.session import Ending
from tests.bastion.worlds import NOW
from tests.postgres import url_again

INFO = SessionInfo(
    connection=1,
    user="alice",
    grant=7,
    host="web-1",
    login="deploy",
    kind=Kind.SHELL,
    source="192.0.2.7",
)
MOST = Ceilings(in_all=6, each_user=4, each_grant=3, each_host=5)


def begun(index: Index, info: SessionInfo = INFO) -> int | Ceiling:
    """The number of one more session, or what keeps it from beginning."""
    try:
        return index.add(info, NOW, lambda number: f"S-{number}", MOST).id
    except TooMany as error:
        return error.ceiling


def test_each_ceiling_holds_for_its_own(store: Store) -> None:
    """Of a grant, a user, a host, and in all; what is over makes room again."""
    index = Index(store.database)
    first = [begun(index) for _ in range(4)]
    assert first[3] is Ceiling.EACH_GRANT
    other_grant = replace(INFO, grant=8)
    assert [begun(index, other_grant) for _ in range(2)][1] is Ceiling.EACH_USER
    bob = replace(INFO, user="bob", grant=9)
    assert [begun(index, bob) for _ in range(2)][1] is Ceiling.EACH_HOST
    elsewhere = replace(bob, host="web-2")
    assert [begun(index, elsewhere) for _ in range(2)][1] is Ceiling.IN_ALL
    assert index.full(Whose("bob", 9, "web-2"), MOST) is Ceiling.IN_ALL
    assert isinstance(first[0], int)
    index.complete(first[0], Ending(EndReason.CLOSED, NOW), Stored("S-1"))
    assert index.full(Whose("bob", 9, "web-2"), MOST) is None
    assert isinstance(begun(index, elsewhere), int)


def test_who_is_refused_leaves_nothing_behind(store: Store) -> None:
    """No row, and no file was asked for."""
    index = Index(store.database)
    asked: list[int] = []

    def place(number: int) -> str:
        asked.append(number)
        return f"S-{number}"

    for _ in range(4):
        with suppress(TooMany):
            index.add(INFO, NOW, place, MOST)
    assert asked == [1, 2, 3]
    assert index.count() == 3


def test_of_many_at_once_no_more_begin_than_may(store: Store) -> None:
    """Each by a connection of its own, as processes and machines have: exactly so many."""
    others = [Store.open(url_again(store)) for _ in range(3)]
    try:
        indexes = [Index(each.database) for each in (store, *others)]
        with ThreadPoolExecutor(12) as threads:
            results = list(threads.map(begun, [*indexes, *indexes, *indexes]))
    finally:
        for each in others:
            each.close()
    assert sum(isinstance(each, int) for each in results) == 3
    assert results.count(Ceiling.EACH_GRANT) == 9
    assert len(indexes[0].live()) == 3


NUMBERS = st.integers(0, 9)


@given(st.builds(Live, NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def test_one_more_never_goes_beyond(live: Live) -> None:
    """Whatever goes on: it may begin where that keeps within all four, and only there."""
    within = (
        live.in_all < MOST.in_all
        and live.user < MOST.each_user
        and live.grant < MOST.each_grant
        and live.host < MOST.each_host
    )
    assert (MOST.reached(live) is None) is within
