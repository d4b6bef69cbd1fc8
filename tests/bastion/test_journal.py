"""The journal: what is told is kept in its order, found by what it is about, passed on once."""

import itertools
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from bastion.audit import verified
from bastion.checkpoints import Sealed
from bastion.errors import Conflict
from bastion.events import START, Event, Happened, What
from bastion.store import Store
from bastion.store.events import MOST_ROWS, Wanted
from bastion.store.journal import Journal
from tests.bastion.logs import Log, happened
from tests.bastion.worlds import HOUR, NOW, SECOND
from tests.bench.log import fill, pages
from tests.postgres import url_again

PEOPLE = ("alice", "bob", "carol", "os:root")
HOSTS = ("web-1", "db-1")


@pytest.fixture
def journal(store: Store) -> Journal:
    """The journal of an empty store."""
    return Journal(store)


def some(number: int, chance: random.Random) -> tuple[Happened, datetime]:
    """Something that somebody did to somebody; the clock was set back once."""
    at = NOW + SECOND * number - (HOUR if 150 < number < 200 else timedelta())
    told = Happened(
        chance.choice((What.GRANT_GIVEN, What.SESSION_STARTED, What.DOOR_REFUSED)),
        chance.choice(PEOPLE),
        user=chance.choice((*PEOPLE, None)),
        host=chance.choice((*HOSTS, None)),
        login=chance.choice(("deploy", None)),
        request=chance.choice((None, 1, 2)),
        grant=chance.choice((None, 1, 2)),
        connection=chance.choice((None, 3)),
        session=chance.choice((None, 4)),
    )
    return told, at


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Journal, list[Event]]]:
    """A journal of 300 events, and these."""
    chance = random.Random(7)  # noqa: S311 (no secret)
    with Log(tmp_path_factory.mktemp("journal") / "bastion.db").life(migrate=True) as journal:
        yield journal, journal.tell_all([some(number, chance) for number in range(300)])


WANTED = st.builds(
    Wanted,
    what=st.none() | st.frozensets(st.sampled_from(list(What)[:20]), max_size=3),
    user=st.none() | st.sampled_from((*PEOPLE, "nobody")),
    host=st.none() | st.sampled_from((*HOSTS, "nowhere")),
    login=st.none() | st.sampled_from(("deploy", "root")),
    request=st.none() | st.integers(1, 3),
    grant=st.none() | st.integers(1, 3),
    connection=st.none() | st.integers(3, 4),
    session=st.none() | st.integers(3, 4),
    since=st.none() | st.integers(-3600, 400).map(lambda n: NOW + SECOND * n),
    until=st.none() | st.integers(-3600, 400).map(lambda n: NOW + SECOND * n),
)


def fits(event: Event, wanted: Wanted) -> bool:
    """What `Wanted` says, in as many words."""
    told = event.happened
    names = ("host", "login", "request", "grant", "connection", "session")
    return (
        all(getattr(wanted, name) in (None, getattr(told, name)) for name in names)
        and (wanted.what is None or told.what in wanted.what)
        and (wanted.user is None or wanted.user in (told.actor, told.user))
        and (wanted.since is None or event.at >= wanted.since)
        and (wanted.until is None or event.at < wanted.until)
    )


@settings(max_examples=300)
@given(wanted=WANTED, limit=st.integers(0, 40))
def test_a_list_is_what_was_wanted(
    crowded: tuple[Journal, list[Event]], wanted: Wanted, limit: int
) -> None:
    """The newest first, whichever index finds them; the pages put together are the whole."""
    journal, events = crowded
    expected = [event for event in reversed(events) if fits(event, wanted)]
    if wanted == Wanted(since=wanted.since, until=wanted.until) != Wanted():
        expected.sort(key=lambda event: (event.at, event.id), reverse=True)
    assert journal.events(wanted, limit=limit) == expected[:limit]
    if limit > 10:
        paged: list[Event] = []
        while page := journal.events(wanted, limit=limit, before=paged[-1].id if paged else None):
            paged += page
        assert paged == expected


@settings(max_examples=100)
@given(wanted=WANTED, number=st.integers(0, 310), limit=st.integers(1, 40))
def test_what_came_after_is_told_in_its_order(
    crowded: tuple[Journal, list[Event]], wanted: Wanted, number: int, limit: int
) -> None:
    """The oldest first, so that it can be followed."""
    journal, events = crowded
    expected = [event for event in events if event.id > number and fits(event, wanted)]
    assert journal.after(number, wanted, limit=limit) == expected[:limit]


def test_what_is_told_is_kept_in_a_chain(journal: Journal) -> None:
    """Numbers from 1, each with the hash of the one before."""
    first, second = journal.tell(happened(1), NOW), journal.tell(happened(2), NOW)
    assert (first.id, first.seq, first.prev) == (1, 1, START)
    assert (second.id, second.seq, second.prev) == (2, 2, first.hash)
    assert journal.event(2) == second
    assert journal.event(3) is None
    assert journal.last() == 2
    (head,) = journal.heads()
    assert (head.chain, head.seq, head.hash) == (second.chain, 2, second.hash)


def test_a_chain_says_what_it_came_after(journal: Journal, store: Store) -> None:
    """Another process's life begins another chain, and hangs it to the newest event of all."""
    newest = journal.tell(happened(1), NOW)
    with closing(Store.open(url_again(store))) as opened:
        other = Journal(opened)
        first = other.tell(happened(2), NOW)
        second = other.tell(happened(3), NOW)
    assert first.chain != newest.chain
    assert journal.node_of(first.chain.boot) == first.chain.node
    assert journal.node_of("nobody") is None
    assert first.happened.details["after"] == [1, newest.hash]
    assert "after" not in second.happened.details
    assert [head.seq for head in journal.heads()] in ([1, 2], [2, 1])


def test_several_are_one_transaction(journal: Journal, store: Store) -> None:
    """Each with its own time; the latest of these is the latest that was seen."""
    told = [(happened(number), NOW + SECOND * (9 - number)) for number in range(5)]
    kept = journal.tell_all(told)
    assert [event.id for event in kept] == [1, 2, 3, 4, 5]
    assert [event.at for event in kept] == [at for _, at in told]
    assert journal.after(0) == kept
    assert store.latest_time() == NOW + SECOND * 9
    assert journal.tell_all([]) == []


def test_many_at_once_are_one_chain(journal: Journal) -> None:
    """Threads write one after the other; no number is given twice, none is left out."""
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda n: journal.tell(happened(n), NOW), range(64)))
    assert sorted(event.id for event in kept) == list(range(1, 65))
    told = journal.after(0)
    assert [event.seq for event in told] == list(range(1, 65))
    assert all(a.hash == b.prev for a, b in itertools.pairwise(told))


def test_lists_are_bounded(journal: Journal) -> None:
    """Nobody gets more than a thousand at once."""
    journal.tell_all([(happened(number), NOW) for number in range(MOST_ROWS + 1)])
    assert len(journal.events(limit=10**6)) == MOST_ROWS
    assert journal.events(limit=-1) == []


@pytest.mark.parametrize(
    "forgery", ["what = 'coffee.made'", "at = 'noon'", "details = '{'", "details = '[]'"]
)
def test_a_row_that_can_not_be_read_keeps_no_other_from_being_read(
    log_of_three: Log, forgery: str
) -> None:
    """It stands in lists as what it is, with its number."""
    with log_of_three.forged() as raw:
        raw.execute(f"UPDATE events SET {forgery} WHERE id = 2")  # noqa: S608
    with log_of_three.life() as journal:
        found = [(event.id, event.happened.what) for event in journal.after(0)]
    assert found == [
        (1, What.DOOR_REFUSED),
        (2, What.EVENT_UNREADABLE),
        (3, What.DOOR_REFUSED),
    ]


@pytest.fixture
def log_of_three(tmp_path: Path) -> Log:
    """A log of three events."""
    log = Log(tmp_path / "bastion.db")
    with log.life(migrate=True) as journal:
        log.tell(journal, 3)
    return log


# At a million events


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Journal]]:
    """A log like the one that is measured, but small; with its store."""
    file = tmp_path_factory.mktemp("large") / "bastion.db"
    store = Store.open(f"sqlite:///{file}", migrate=True)
    fill(file, 3000)
    yield store, Journal(store)
    store.close()


def test_the_log_that_is_measured_is_a_log(large: tuple[Store, Journal]) -> None:
    """Nothing is found wrong with it."""
    _, journal = large
    verdict = verified(journal, lambda *_: None, {})
    assert (verdict.findings, verdict.events) == ((), 3000)


NO_INDEX = {"all"}
"""What is found by going back from the newest event."""


@pytest.mark.parametrize("name", pages(3000))
def test_a_page_is_read_by_an_index(large: tuple[Store, Journal], name: str) -> None:
    """In the order that is wanted: nothing is sorted that is not on the page."""
    store, journal = large
    plans: list[str] = []

    def explain(*told: Any) -> None:  # noqa: ANN401 (SQLAlchemy's own)
        connection, _, statement, parameters, *_ = told
        if statement.startswith("SELECT"):
            raw = connection.connection.driver_connection
            rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in rows)

    with store.read() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", explain)
    wanted = pages(3000)[name]
    try:
        journal.events(wanted, limit=100)
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    scans = [plan for plan in plans if re.match(r"SCAN events", plan) and "INDEX" not in plan]
    assert bool(scans) is (name in NO_INDEX), plans
    sorts = [plan for plan in plans if "TEMP B-TREE FOR ORDER BY" in plan]
    ways = 2 if wanted.user else len(wanted.what or {name})
    assert len(sorts) < ways, plans  # what several ways have found is put together, a page of each


# Cursors


def test_a_cursor_stays_where_it_was_moved(journal: Journal) -> None:
    """By its name; before it was ever moved it is nowhere."""
    assert journal.cursor("file") is None
    journal.move_cursor("file", 3, NOW)
    journal.move_cursor("anchor syslog", 1, NOW)
    journal.move_cursor("anchor 100%", 2, NOW)
    journal.move_cursor("file", 7, NOW)
    assert journal.cursor("file") == 7
    assert journal.cursors("anchor ") == {"syslog": 1, "100%": 2}


# Checkpoints


def test_there_is_nothing_to_seal_where_nothing_moved(tmp_path: Path) -> None:
    """And only what moved is in the next one, which names the one before."""
    log = Log(tmp_path / "bastion.db")
    with log.life(migrate=True) as first, log.life() as second:
        assert first.draft(NOW) is None
        log.tell(first, 2)
        log.tell(second, 1)
        log.seal(first)
        log.seal(second)
        log.tell(second, 1)
        log.seal(first)
        newest, oldest = first.checkpoints()
        (moved,) = newest.checkpoint.heads
        assert moved.seq == 2
        assert [head.seq for head in oldest.checkpoint.heads] in ([1, 2], [2, 1])
        assert (oldest.number, oldest.checkpoint.after) == (1, START)
        assert (newest.number, newest.checkpoint.after) == (2, oldest.sha256)
        assert (oldest.checkpoint.events, newest.checkpoint.events) == (3, 4)
        assert first.checkpoints(limit=1) == [newest]
        assert first.checkpoints(before=2) == [oldest]
        assert first.checkpoints_after(1) == [newest]


def test_two_who_seal_at_once_make_one_checkpoint(journal: Journal) -> None:
    """The other one hears that it was too late."""
    journal.tell(happened(1), NOW)
    draft = journal.draft(NOW)
    assert draft is not None
    sealed = Sealed(draft.number, draft.body(), "signature")
    journal.keep(sealed)
    with pytest.raises(Conflict, match="is sealed already"):
        journal.keep(sealed)
    assert journal.draft(NOW) is None


def test_what_is_missing_is_told(journal: Journal, store: Store) -> None:
    """Each with its own time; the same at another time, or in another chain, is something else."""
    told = [some(number, random.Random(number)) for number in range(6)]  # noqa: S311 (no secret)
    journal.tell_all(told[:3])
    journal.tell_missing(told)
    journal.tell_missing(told)
    journal.tell_missing([])
    assert [(event.happened, event.at) for event in journal.after(0)][1:] == told[1:]
    later = [(what, at + SECOND / 1000) for what, at in told]
    journal.tell_missing(later)
    with closing(Store.open(url_again(store))) as other:
        Journal(other).tell_missing(told)
    assert len(journal.after(0)) == 3 * len(told)


def test_a_seal_is_told_of_once(store: Store, journal: Journal) -> None:
    """In the transaction that keeps it: where that is taken back, so is the event."""
    seals = [
        (Happened(What.RECORDING_SEALED, "bastion", session=number), NOW) for number in (1, 2, 3)
    ]
    with store.write() as connection:
        journal.tell_seals(connection, seals[:2])
    with store.write() as connection:
        journal.tell_seals(connection, seals)
        connection.rollback()
    assert [each.happened.session for each in journal.seals_told([1, 2, 3])] == [1, 2]
    with store.write() as connection:
        journal.tell_seals(connection, seals)
        journal.tell_seals(connection, seals)
    assert [each.happened.session for each in journal.seals_told([1, 2, 3])] == [1, 2, 3]
