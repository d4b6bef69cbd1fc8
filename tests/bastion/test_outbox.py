"""The outbox: what is kept of events, once; what is sent next; what is given up and forgotten."""

import threading
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bastion.errors import Conflict
from bastion.events import What
from bastion.grants import Grant
from bastion.notices import Draft
from bastion.store import Store
from bastion.store.inbox import Inbox
from bastion.store.journal import Journal
from bastion.store.outbox import STUBBORN, Outbox, Waiting
from bastion.windows import parse_window
from tests.bastion.tidings import request
from tests.bastion.worlds import BOB, HOUR, NOW, ROOT, grant, host

DAY = timedelta(days=1)


@pytest.fixture
def outbox(peopled: Store) -> Outbox:
    """The outbox of a store with three events: alice, bob and prod-host were added."""
    return Outbox(peopled)


def draft(key: str, channel: str = "ops", type_: str = "request.made") -> Draft:
    """A message that is not kept yet."""
    return Draft(channel, key, {"id": key, "type": type_})


def keys(waiting: Collection[Waiting]) -> list[str]:
    """What they are told apart by."""
    return [each.key for each in waiting]


def keep(outbox: Outbox, *named: str, at: datetime = NOW, channel: str = "ops") -> None:
    """Keep messages of these keys."""
    outbox.keep([draft(key, channel) for key in named], at)


# From events to messages


def test_news_are_read_once_and_in_batches(peopled: Store, outbox: Outbox) -> None:
    """The cursor goes on as far as was read; what nobody wants is passed over."""
    kinds = {What.USER_ADDED, What.HOST_ADDED}
    first = outbox.news("telling", kinds, 2)
    assert [event.happened.user for event in first.events] == ["alice", "bob"]
    assert (first.cursor, first.reached) == (0, 2)
    outbox.plan("telling", first, [draft("E-1"), draft("E-2")], NOW)
    second = outbox.news("telling", {What.REQUEST_MADE}, 2)
    assert (second.events, second.cursor, second.reached) == ([], 2, 3)
    outbox.plan("telling", second, [], NOW)
    third = outbox.news("telling", kinds)
    assert (third.cursor, third.reached) == (3, 3)
    peopled.add_host(host("web"), ROOT, NOW)
    assert [event.happened.host for event in outbox.news("telling", kinds).events] == ["web"]
    assert keys(outbox.next_of("ops")) == ["E-1", "E-2"]


def test_news_come_with_what_they_are_about(peopled: Store, outbox: Outbox) -> None:
    """Requests and grants as they stand now."""
    asked = Inbox(peopled).add(request(), ROOT, NOW).request
    given = peopled.add_grant(grant(), BOB, NOW)
    news = outbox.news("telling", {What.REQUEST_MADE, What.GRANT_GIVEN})
    assert list(news.requests) == [asked.id]
    assert news.grants == {given.id: given}


def test_two_tellers_at_once_keep_it_once(outbox: Outbox) -> None:
    """Whoever comes second finds the cursor moved, and keeps nothing."""
    news = outbox.news("telling", {What.USER_ADDED})
    outbox.plan("telling", news, [draft("E-1")], NOW)
    with pytest.raises(Conflict):
        outbox.plan("telling", news, [draft("E-1"), draft("E-2")], NOW)
    assert keys(outbox.next_of("ops")) == ["E-1"]
    outbox.keep([draft("E-1"), draft("E-1"), draft("E-1", "mail")], NOW)
    assert keys(outbox.waiting()) == ["E-1", "E-1"]


def test_messages_and_cursor_are_kept_together_or_not_at_all(
    peopled: Store, outbox: Outbox
) -> None:
    """A message that can't be kept leaves the cursor where it was."""
    news = outbox.news("telling", {What.USER_ADDED})
    broken = Draft("ops", "E-2", {"id": {"a set": object()}})  # type: ignore[dict-item]
    with pytest.raises(Exception, match="serializ"):
        outbox.plan("telling", news, [draft("E-1"), broken], NOW)
    assert outbox.waiting() == []
    assert outbox.news("telling", {What.USER_ADDED}).cursor == 0
    assert Journal(peopled).cursor("telling") is None


def test_ten_messages_for_the_same_key_from_many_threads_are_one(outbox: Outbox) -> None:
    """The key is unique on its channel, whoever keeps it first."""
    threads = [threading.Thread(target=keep, args=(outbox, "G-7 ending")) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys(outbox.waiting()) == ["G-7 ending"]


def test_the_cursor_of_time_goes_forward_only(outbox: Outbox) -> None:
    """A clock that was set back makes nothing be told again."""
    assert outbox.looked_at("time") is None
    outbox.plan_until("time", [draft("a")], NOW)
    outbox.plan_until("time", [], NOW - HOUR)
    assert outbox.looked_at("time") == NOW
    outbox.plan_until("time", [], NOW + HOUR)
    assert outbox.looked_at("time") == NOW + HOUR


# What time may bring something for


def numbers(grants: Collection[Grant]) -> list[int]:
    """Which they are."""
    return [each.id for each in grants]


def test_grants_that_end_soon_or_have_a_window(peopled: Store, outbox: Outbox) -> None:
    """Not the revoked, not those that ended long ago or end later; a page at a time."""
    ending = peopled.add_grant(grant(), BOB, NOW)
    revoked = peopled.add_grant(grant(), BOB, NOW)
    peopled.revoke_grant(revoked.id, BOB, "over", NOW)
    later = peopled.add_grant(grant(ends_at=NOW + DAY), BOB, NOW)
    windowed = replace(grant(ends_at=NOW + DAY), window=parse_window(None, "09:00-18:00", None))
    windowed = peopled.add_grant(windowed, BOB, NOW)
    soon = NOW + 2 * HOUR
    assert numbers(outbox.grants_about_to_end(NOW, soon, 0)) == [ending.id, windowed.id]
    assert numbers(outbox.grants_about_to_end(NOW, soon, 0, 1)) == [ending.id]
    assert numbers(outbox.grants_about_to_end(NOW, soon, ending.id, 1)) == [windowed.id]
    assert numbers(outbox.grants_about_to_end(NOW + HOUR, soon, 0)) == [windowed.id]
    assert later.id in numbers(outbox.grants_about_to_end(NOW, NOW + 2 * DAY, 0))


def test_break_glass_that_nobody_has_looked_at(peopled: Store, outbox: Outbox) -> None:
    """Until it is reviewed, also when it is over."""
    taken = peopled.add_grant(replace(grant(), emergency=True), BOB, NOW)
    peopled.add_grant(grant(), BOB, NOW)
    assert numbers(outbox.grants_unreviewed(0)) == [taken.id]
    peopled.review_grant(taken.id, ROOT, "fine", NOW)
    assert outbox.grants_unreviewed(0) == []


def test_requests_that_nobody_has_decided(peopled: Store, outbox: Outbox) -> None:
    """Those that wait, and those that went stale since; the newest first, page by page."""
    inbox = Inbox(peopled)
    asked = [inbox.add(request(), ROOT, NOW).request.id for _ in range(3)]
    inbox.deny(asked[1], BOB, "no", NOW)
    found = outbox.requests_undecided(NOW, NOW + HOUR, None)
    assert [each.id for each in found] == [asked[2], asked[0]]
    assert [each.id for each in outbox.requests_undecided(NOW, NOW, asked[2])] == [asked[0]]
    assert outbox.requests_undecided(NOW + DAY, NOW + DAY, None) == []
    assert len(outbox.requests_undecided(NOW + DAY - HOUR, NOW + DAY + HOUR, None)) == 2


# Delivering


def test_a_channel_is_sent_its_messages_in_their_order(outbox: Outbox) -> None:
    """One that has failed keeps its place, until it has failed often: then others go first."""
    keep(outbox, "a", "b", "c")
    keep(outbox, "x", channel="other")
    first = outbox.next_of("ops")[0]
    outbox.failed(first.id, "answered 500", 1, NOW + HOUR)
    head = outbox.next_of("ops", 2)
    assert keys(head) == ["a", "b"]
    assert (head[0].tries, head[0].next_at, head[0].error) == (1, NOW + HOUR, "answered 500")
    outbox.failed(first.id, "answered 500", STUBBORN, NOW + HOUR)
    assert keys(outbox.next_of("ops")) == ["b", "c", "a"]
    outbox.try_again("ops", NOW)
    assert outbox.next_of("ops")[2].next_at == NOW
    outbox.done(first.id, NOW)
    assert keys(outbox.next_of("ops")) == ["b", "c"]


def test_what_is_done_stays_done(outbox: Outbox) -> None:
    """A late word of failure does not bring it back; it is kept with how often it was tried."""
    keep(outbox, "a")
    (only,) = outbox.next_of("ops")
    outbox.failed(only.id, "answered 500", 1, NOW)
    outbox.done(only.id, NOW + HOUR)
    outbox.failed(only.id, "late", 2, NOW)
    outbox.done(only.id, NOW + 2 * HOUR)
    assert outbox.waiting() == []
    assert outbox.troubled() == []


def test_what_nobody_takes_is_given_up_and_that_is_an_event(peopled: Store, outbox: Outbox) -> None:
    """One event for each channel, with how many; the last error is kept."""
    keep(outbox, "a", "b")
    keep(outbox, "x", channel="gone")
    keep(outbox, "young", at=NOW + 2 * DAY)
    (first, *_) = outbox.next_of("ops")
    outbox.failed(first.id, "answered 500", 30, NOW)
    assert outbox.give_up(NOW, NOW + 3 * DAY) == 0
    assert outbox.give_up(NOW + DAY, NOW + 3 * DAY) == 3
    assert outbox.give_up(NOW + DAY, NOW + 3 * DAY) == 0
    assert keys(outbox.waiting()) == ["young"]
    gone = outbox.troubled()
    assert keys(gone) == ["x", "b", "a"]
    assert [each.given_up for each in gone] == [True] * 3
    assert gone[2].error == "answered 500"
    assert "nobody has tried" in (gone[0].error or "")
    news = outbox.news("telling", {What.NOTICE_GIVEN_UP})
    assert [event.happened.details for event in news.events] == [
        {"channel": "gone", "count": 1, "first": "x"},
        {"channel": "ops", "count": 2, "first": "a"},
    ]


def test_giving_up_what_said_so_of_another_channel_is_no_news(outbox: Outbox) -> None:
    """Two channels that are both away would tell of each other for ever."""
    outbox.keep([draft("E-9", type_="notice.given_up")], NOW)
    assert outbox.give_up(NOW + HOUR, NOW + HOUR) == 1
    assert outbox.news("telling", {What.NOTICE_GIVEN_UP}).events == []


def test_what_was_done_long_ago_is_forgotten(outbox: Outbox) -> None:
    """Taken and given up alike, and never what still waits."""
    keep(outbox, "a", "b", "c")
    outbox.done(outbox.next_of("ops")[0].id, NOW)
    outbox.done(outbox.next_of("ops")[0].id, NOW + DAY)
    assert outbox.prune(NOW) == 0
    assert outbox.prune(NOW + HOUR) == 1
    keep(outbox, "b")
    assert keys(outbox.waiting()) == ["c"]
    keep(outbox, "a")
    assert keys(outbox.waiting()) == ["a", "c"]


def test_however_many_wait_only_the_next_few_are_read(outbox: Outbox) -> None:
    """10 000 for a channel that is away do not come into memory at once."""
    for start in range(0, 10_000, 2000):
        keep(outbox, *(f"E-{number}" for number in range(start, start + 2000)))
    assert keys(outbox.next_of("ops", 3)) == ["E-0", "E-1", "E-2"]
    assert len(outbox.next_of("ops")) == 50
    assert len(outbox.waiting()) == 500
