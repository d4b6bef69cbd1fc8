"""What only time brings: said once, also after a restart, and a moment late rather than never."""

import dataclasses
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.grants import Grant
from bastion.notices import Group, Notice
from bastion.particulars import Awaited
from bastion.reminders import Timing, last_close, of_grant, of_request
from bastion.requests import Approval, Request, Standing
from bastion.windows import parse_window
from tests.bastion.tidings import request
from tests.bastion.worlds import HOUR, NOW, TICK, grant

MINUTE = timedelta(minutes=1)
TIMING = Timing()
WEEKDAYS = parse_window("mon-fri", "09:00-18:00", "UTC")


def said(given: Grant, at: datetime, since: datetime = NOW - HOUR) -> list[str]:
    """The keys of what is said of a grant."""
    return [notice.key for notice in of_grant(given, since, at, TIMING)]


def of(asked: Request, at: datetime, since: datetime = NOW) -> list[Notice]:
    """What is said of a request."""
    awaited = Awaited(("one of @leads",), ("bob",))
    return list(of_request(asked, awaited, since, at, TIMING))


def test_a_grant_is_told_of_a_quarter_of_an_hour_before_its_end() -> None:
    """Not earlier; later rather than never; and not once it is over."""
    ending = f"G-7 ending {'2026-11-23T13:00:00Z'}"
    assert said(grant(), NOW + 45 * MINUTE - TICK) == []
    assert said(grant(), NOW + 45 * MINUTE) == [ending]
    assert said(grant(), NOW + HOUR - TICK) == [ending]
    assert said(grant(), NOW + HOUR) == ["G-7 ended 2026-11-23T13:00:00Z"]


def test_a_grant_that_was_extended_is_told_of_anew() -> None:
    """It has another end, and so another key."""
    extended = dataclasses.replace(grant(), ends_at=NOW + 2 * HOUR)
    assert said(extended, NOW + 50 * MINUTE) == []
    assert said(extended, NOW + 110 * MINUTE) == ["G-7 ending 2026-11-23T14:00:00Z"]


def test_a_grant_for_ten_minutes_is_not_announced_to_end_as_it_begins() -> None:
    """Whoever gave it knows."""
    short = grant(starts_at=NOW, ends_at=NOW + 10 * MINUTE)
    assert said(short, NOW + 5 * MINUTE, NOW) == []
    assert said(short, NOW + 10 * MINUTE, NOW) == ["G-7 ended 2026-11-23T12:10:00Z"]


def test_the_end_is_told_by_what_ends_the_grant() -> None:
    """A grant that was revoked or has not begun does not end; one that ended before was told."""
    revoked = dataclasses.replace(grant(), revoked_at=NOW, revoked_by="bob")
    assert said(revoked, NOW + 50 * MINUTE) == []
    assert said(revoked, NOW + 2 * HOUR) == []
    assert said(grant(starts_at=NOW + MINUTE, ends_at=NOW + 10 * MINUTE), NOW) == []
    assert said(grant(), NOW + 3 * HOUR, since=NOW + HOUR) == []


def test_what_is_told_of_an_end() -> None:
    """Whose it is, when, and the line that prolongs it."""
    (notice,) = of_grant(grant(), NOW, NOW + 50 * MINUTE, TIMING)
    assert notice.title == "G-7 of alice ends at 2026-11-23 13:00 UTC"
    assert notice.lines == ("ssh bastion extend G-7 --for 1h",)
    assert notice.type == "grant.ending"
    assert notice.group is Group.ENDS
    assert notice.audience.requester == "alice"
    (over,) = of_grant(grant(), NOW, NOW + 2 * HOUR, TIMING)
    assert (over.type, over.at) == ("grant.ended", NOW + HOUR)


def test_a_window_that_opens_again_is_no_end() -> None:
    """Monday evening is not told; Friday evening is, as the grant ends on Saturday."""
    monday = NOW.replace(hour=9)
    week = dataclasses.replace(
        grant(starts_at=monday, ends_at=monday + timedelta(days=5, hours=12)), window=WEEKDAYS
    )
    friday = monday + timedelta(days=4)
    assert said(week, monday.replace(hour=17, minute=50)) == []
    assert said(week, monday.replace(hour=19)) == []
    assert said(week, friday.replace(hour=17, minute=50)) == ["G-7 ending 2026-11-27T18:00:00Z"]
    over = said(week, friday.replace(hour=18), since=friday.replace(hour=17))
    assert over == ["G-7 ended 2026-11-28T21:00:00Z"]
    assert said(week, friday.replace(hour=20), since=friday.replace(hour=19)) == []
    (notice,) = of_grant(week, monday, friday.replace(hour=22), TIMING)
    assert notice.at == friday.replace(hour=18)
    assert last_close(week, monday) == friday.replace(hour=18)


@given(st.integers(0, 4000), st.integers(0, 4000))
def test_however_often_one_looks_an_end_is_said_once(first: int, more: int) -> None:
    """Any two looks, one after the other, say it once between them, and only when it is over."""
    lasting = grant(starts_at=NOW, ends_at=NOW + 2000 * MINUTE)
    at, later = NOW + first * MINUTE, NOW + (first + more) * MINUTE
    seen = [*said(lasting, at, NOW), *said(lasting, later, at)]
    assert len([key for key in dict.fromkeys(seen) if "ended" in key]) == (first + more >= 2000)


def test_break_glass_is_brought_up_every_day_until_somebody_has_looked() -> None:
    """Also where it was revoked; to those who hear only what nobody answers; for thirty days."""
    taken = dataclasses.replace(grant(), emergency=True, granted_at=NOW)
    assert said(taken, NOW + 23 * HOUR, NOW + 2 * HOUR) == []
    day = timedelta(days=1)
    (notice,) = of_grant(taken, NOW + 2 * HOUR, NOW + day, TIMING)
    assert notice.key == "G-7 unreviewed 1"
    assert notice.unanswered
    assert notice.lines == ("ssh bastion review G-7",)
    revoked = dataclasses.replace(taken, revoked_at=NOW, revoked_by="bob")
    assert said(revoked, NOW + 3 * day, NOW + day) == ["G-7 unreviewed 3"]
    assert said(taken, NOW + 31 * day, NOW + day) == []
    reviewed = dataclasses.replace(taken, reviewed_at=NOW + HOUR, reviewed_by="olga")
    assert said(reviewed, NOW + day, NOW + 2 * HOUR) == []
    (over,) = of_grant(taken, NOW, NOW + HOUR, TIMING)
    assert over.lines == ("ssh bastion review G-7",)


@pytest.mark.parametrize(
    ("minutes", "key"),
    [
        (14, None),
        (15, "R-12 waiting 0"),
        (59, "R-12 waiting 0"),
        (60, "R-12 unanswered 0"),
        (600, "R-12 unanswered 0"),
        (1440, "R-12 stale"),
        (3000, "R-12 stale"),
    ],
)
def test_a_request_that_waits_is_brought_up_then_escalated_then_stale(
    minutes: int, key: str | None
) -> None:
    """Each stage once; whoever looks late says the latest only."""
    notices = of(request(), NOW + minutes * MINUTE)
    assert [notice.key for notice in notices] == ([] if key is None else [key])
    for notice in notices:
        assert notice.unanswered == ("unanswered" in notice.key)
        assert bool(notice.lines) == ("stale" not in notice.key)


def test_the_wait_begins_anew_when_somebody_has_agreed() -> None:
    """It is somebody else who is waited for then."""
    agreed = request(approvals=(Approval("bob", NOW + 50 * MINUTE),))
    assert of(agreed, NOW + HOUR) == []
    (notice,) = of(agreed, NOW + 65 * MINUTE)
    assert notice.key == "R-12 waiting 1"
    assert notice.title == "R-12 of alice still waits, for 15m now"
    assert dict(notice.fields)["waits for"] == "one of @leads"


def test_a_request_that_was_decided_waits_no_more() -> None:
    """However late it is; and what went stale long ago was told."""
    decided = request(decision=Standing.DENIED, decided_at=NOW, decided_by="bob")
    assert of(decided, NOW + 2 * HOUR) == []
    assert of(decided, NOW + 100 * HOUR) == []
    assert of(request(), NOW + 100 * HOUR, since=NOW + 50 * HOUR) == []


def test_the_requester_hears_that_nobody_decided() -> None:
    """And so do those who did."""
    (notice,) = of(request(), NOW + 24 * HOUR)
    assert notice.title == "R-12 of alice has gone stale: nobody decided in time"
    assert notice.group is Group.DECISIONS
    assert notice.audience.requester == "alice"
    assert notice.audience.approvers == frozenset({"bob"})
