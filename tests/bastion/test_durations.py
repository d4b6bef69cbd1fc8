"""Durations, times and sizes: what people write, and what they get wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.durations import (
    LONGEST,
    Moment,
    format_duration,
    parse_duration,
    parse_past,
    parse_size,
    parse_time,
)
from bastion.errors import BadInput


@given(seconds=st.integers(1, int(LONGEST.total_seconds())))
def test_a_duration_reads_what_it_writes(seconds: int) -> None:
    """To the second."""
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1h30m", timedelta(minutes=90)),
        (" 2w ", timedelta(days=14)),
        ("3653d", LONGEST),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    """Seconds to weeks, one behind the other."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-2h", "is negative"),
        ("0s", "is no time at all"),
        ("0h0m", "is no time at all"),
        ("3654d", "longer than ten years"),
        ("999999999w", "longer than ten years"),
        ("", "is not a duration"),
        ("2", "is not a duration"),
        ("2 hours", "is not a duration"),
        ("2H", "is not a duration"),
        ("1.5h", "is not a duration"),
        ("٢h", "is not a duration"),
        ("9" * 1000 + "h", "is not a duration"),
        ("1e3s", "is not a duration"),
    ],
)
def test_durations_that_are_refused(text: str, said: str) -> None:
    """With the reason, and never more than forty characters of it."""
    with pytest.raises(BadInput, match=said) as refusal:
        parse_duration(text)
    assert len(str(refusal.value)) < 120


@pytest.mark.parametrize(
    ("text", "at", "zoned"),
    [
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC), False),
        ("2026-11-23T18:00", datetime(2026, 11, 23, 18, tzinfo=UTC), False),
        ("2026-11-23 18:00:30", datetime(2026, 11, 23, 18, 0, 30, tzinfo=UTC), False),
        ("2026-11-23T18:00Z", datetime(2026, 11, 23, 18, tzinfo=UTC), True),
        ("2026-11-23T18:00+01:00", datetime(2026, 11, 23, 17, tzinfo=UTC), True),
        ("2026-11-23T18:00:00.25-0530", datetime(2026, 11, 23, 23, 30, 0, 250000, UTC), True),
    ],
)
def test_times(text: str, at: datetime, zoned: bool) -> None:
    """Without a zone it is UTC, and the caller can say so."""
    read = parse_time(text)
    assert (read.at, read.zoned) == (at, zoned)
    assert read.at.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *["", "now", "tomorrow", "23.11.2026", "2026-13-01", "2026-02-30", "2026-11-23T25:00"],
        *["20261123", "2026-W48-1", "2026-11-23T18", "18:00", "0001-01-01T00:00+14:00"],
        *["9999-12-31T23:59-14:00", "2026-11-23T18:00 CET", "x" * 5000],
    ],
)
def test_times_that_are_refused(text: str) -> None:
    """What is no time, no day that exists, or no moment in UTC."""
    with pytest.raises(BadInput, match="write it as in 2026") as refusal:
        parse_time(text)
    assert len(str(refusal.value)) < 160


NOW = datetime(2026, 11, 23, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", datetime(2026, 11, 23, 16, tzinfo=UTC)),
        (" 1d ", datetime(2026, 11, 22, 18, tzinfo=UTC)),
        ("1h30m", datetime(2026, 11, 23, 16, 30, tzinfo=UTC)),
        ("2026-11-01T08:00Z", datetime(2026, 11, 1, 8, tzinfo=UTC)),
    ],
)
def test_looking_back_a_duration_is_so_long_ago(text: str, at: datetime) -> None:
    """A time stays what it is; neither is said to have no zone."""
    assert parse_past(text, NOW) == Moment(at, zoned=True)


@pytest.mark.parametrize("text", ["0m", "-2h", "2", "11y", "3000w", "yesterday", "2 h", "h"])
def test_what_is_no_time_ago(text: str) -> None:
    """One sentence, that names both ways."""
    with pytest.raises(BadInput, match=r"^.{1,160}$"):
        parse_past(text, NOW)


def test_of_what_is_to_come_a_duration_is_no_time() -> None:
    """`--until 2h` could mean either way, so it means neither."""
    with pytest.raises(BadInput, match=r"^'2h' is how long and not when: write it as in 2026"):
        parse_time("2h")


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_a_time_reads_what_iso_format_writes(moment: datetime) -> None:
    """Python's own ISO 8601."""
    assert parse_time(moment.isoformat()).at == moment


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("512MiB", 2**29), ("1 GiB", 2**30), ("2TiB", 2**41), ("64KiB", 65536), ("7B", 7)],
)
def test_sizes(text: str, size: int) -> None:
    """Powers of two, as they are called."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0GiB", "-1", "1GB", "1g", "GiB", "1.5GiB", "9" * 99])
def test_sizes_that_are_refused(text: str) -> None:
    """Nothing at all, and units that mean two things."""
    with pytest.raises(BadInput, match="is not a size"):
        parse_size(text)
