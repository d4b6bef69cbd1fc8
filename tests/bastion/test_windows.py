"""Windows: open by the clock on the wall, whatever summer time does to it."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.windows import NEVER, Window, parse_window

OFFICE = parse_window("mon-fri", "09:00-18:00", "Europe/Berlin")
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",  # went back at 00:01, over midnight
    "America/Havana",  # goes forward at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # left out a Friday in 2011
    "Asia/Kathmandu",
]

hours = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59]))
windows = st.builds(
    Window,
    st.frozensets(st.integers(0, 6), min_size=1),
    hours,
    hours,
    st.sampled_from(ZONES),
)
around_changes = st.sampled_from(
    [
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2010, 11, 7, 2, 31, tzinfo=UTC),
        datetime(2026, 3, 8, 5, tzinfo=UTC),
        datetime(2026, 4, 4, 15, tzinfo=UTC),
        datetime(2011, 12, 30, 10, tzinfo=UTC),
    ]
)
moments = st.builds(
    lambda middle, minutes: middle + timedelta(minutes=minutes),
    around_changes
    | st.builds(datetime.fromtimestamp, st.integers(1_200_000_000, 2_000_000_000), st.just(UTC)),
    st.integers(-4000, 4000),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(moment: datetime, zone: str) -> datetime:
    """What the clock on the wall shows that is never put back: the latest that it has shown."""
    place = UTC if zone == "UTC" else ZoneInfo(zone)
    shown = [
        (moment - timedelta(minutes=back)).astimezone(place).replace(tzinfo=None, fold=0)
        for back in range(121)
    ]
    return max(shown)


def open_by_the_wall(window: Window, moment: datetime) -> bool:
    """The definition, without any arithmetic in UTC."""
    shown = wall(moment, window.zone)
    today, minute = shown.weekday(), shown.time()
    if window.opens < window.closes:
        return today in window.days and window.opens <= minute < window.closes
    return (today in window.days and minute >= window.opens) or (
        (today - 1) % 7 in window.days and minute < window.closes
    )


def test_office_hours() -> None:
    """It opens at its minute and is closed at its close itself."""
    assert str(OFFICE) == "mon-fri 09:00-18:00 Europe/Berlin"
    assert not OFFICE.open_at(at("2026-11-23T07:59:59.999999"))  # a Monday, and winter: UTC+1
    assert OFFICE.open_at(at("2026-11-23T08:00"))
    assert OFFICE.open_at(at("2026-11-23T16:59:59.999999"))
    assert not OFFICE.open_at(at("2026-11-23T17:00"))
    assert OFFICE.closes_at(at("2026-11-23T12:00")) == at("2026-11-23T17:00")
    assert OFFICE.opens_at(at("2026-11-27T17:00")) == at("2026-11-30T08:00")  # over a weekend
    assert OFFICE.opens_at(at("2026-07-03T20:00")) == at("2026-07-06T07:00")  # summer: UTC+2


def test_what_is_closed_has_closed_and_what_is_open_has_opened() -> None:
    """Both answers are the first moment from now on, so now itself where it is so."""
    monday = at("2026-11-23T12:00")
    assert OFFICE.opens_at(monday) == monday
    sunday = at("2026-11-22T12:00")
    assert OFFICE.closes_at(sunday) == sunday


def test_over_midnight() -> None:
    """The stretch belongs to the day that it began on."""
    night = parse_window("fri", "22:00-06:00", None)
    assert not night.open_at(at("2026-11-27T05:00"))  # Thursday's night would be another's
    assert night.open_at(at("2026-11-27T22:00"))
    assert night.open_at(at("2026-11-28T05:59"))
    assert not night.open_at(at("2026-11-28T22:00"))
    assert night.closes_at(at("2026-11-27T23:00")) == at("2026-11-28T06:00")


def test_stretches_that_touch_are_one() -> None:
    """Nobody is thrown out at a midnight between two open days."""
    weekend = parse_window("sat,sun", None, None)
    assert weekend.closes_at(at("2026-11-28T12:00")) == at("2026-11-30T00:00")
    evenings = parse_window("mon-fri", "18:00-24:00", None)
    assert evenings.closes_at(at("2026-11-23T20:00")) == at("2026-11-24T00:00")
    all_but_a_minute = parse_window(None, "00:01-24:00", None)
    assert all_but_a_minute.closes_at(at("2026-11-23T20:00")) == at("2026-11-24T00:00")


def test_a_window_that_never_closes() -> None:
    """Whole days, all of them."""
    always = parse_window("mon-sun", None, "Europe/Berlin")
    assert always.always
    assert always.closes_at(at("2026-03-29T01:00")) == NEVER
    assert always.opens_at(at("2026-03-29T01:00")) == at("2026-03-29T01:00")
    assert parse_window(None, "09:00-09:00", None).always


def test_an_hour_that_is_left_out_has_no_length() -> None:
    """On 29 March 2026 Berlin has no 02:30."""
    early = parse_window("sun", "02:15-02:45", "Europe/Berlin")
    assert not early.open_at(at("2026-03-29T01:00"))
    assert early.opens_at(at("2026-03-29T00:00")) == at("2026-04-05T00:15")
    half = parse_window("sun", "02:30-04:00", "Europe/Berlin")
    assert half.opens_at(at("2026-03-29T00:00")) == at("2026-03-29T01:00")  # 03:00 there
    assert half.closes_at(at("2026-03-29T01:00")) == at("2026-03-29T02:00")


def test_an_hour_that_comes_twice_counts_once() -> None:
    """On 25 October 2026 Berlin has 02:30 at 00:30 and at 01:30 UTC."""
    early = parse_window("sun", "02:15-02:45", "Europe/Berlin")
    assert early.open_at(at("2026-10-25T00:30"))
    assert not early.open_at(at("2026-10-25T01:30"))
    long = parse_window("sun", "02:30-04:00", "Europe/Berlin")
    assert long.closes_at(at("2026-10-25T00:30")) == at("2026-10-25T03:00")


@given(window=windows, moment=moments)
@settings(max_examples=300)
def test_open_is_what_the_wall_says(window: Window, moment: datetime) -> None:
    """The arithmetic in UTC agrees with reading a clock that is never put back."""
    if window.zone == "Pacific/Apia":  # it left out a day, which the test's two hours can't see
        return
    assert window.open_at(moment) == open_by_the_wall(window, moment)


@given(window=windows, moment=moments)
@settings(max_examples=400)
@example(parse_window("mon-thu,sat,sun", None, "Pacific/Apia"), at("2011-12-25T00:00"))
@example(parse_window(None, "03:00-02:00", "Europe/Berlin"), at("2026-03-28T12:00"))
def test_closes_and_opens_agree_with_open(window: Window, moment: datetime) -> None:
    """It is open up to its close and closed at it; closed up to its opening and open at it."""
    closes, opens = window.closes_at(moment), window.opens_at(moment)
    tick = timedelta(microseconds=1)
    if window.open_at(moment):
        assert opens == moment
        assert closes > moment
        assert closes == NEVER or not window.open_at(closes)
        assert window.open_at(min(closes, moment + timedelta(days=7)) - tick)
    else:
        assert closes == moment
        assert opens > moment
        assert window.open_at(opens)
        assert not window.open_at(opens - tick)


@given(window=windows, moment=moments, part=st.integers(0, 999))
def test_nothing_changes_before_it_is_said(window: Window, moment: datetime, part: int) -> None:
    """Any moment before the change that was told is as now is."""
    is_open = window.open_at(moment)
    change = window.closes_at(moment) if is_open else window.opens_at(moment)
    between = min(change, moment + timedelta(days=20)) - moment
    assert window.open_at(moment + between * part // 1000) == is_open


@given(window=windows)
def test_words_are_read_again(window: Window) -> None:
    """What is shown is what a person would type."""
    assert parse_window(*window.words()) == window


@given(wide=windows, narrow=windows, moment=moments)
@settings(max_examples=400)
def test_covering_is_certain(wide: Window, narrow: Window, moment: datetime) -> None:
    """Where the wide one is said to cover it, the narrow one is never open alone."""
    if wide.covers(narrow) and narrow.open_at(moment):
        assert wide.open_at(moment)
    assert wide.covers(wide)


@pytest.mark.parametrize(
    ("wide", "narrow", "covered"),
    [
        (("mon-fri", "09:00-18:00"), ("tue", "10:00-11:00"), True),
        (("mon-fri", "09:00-18:00"), ("mon-fri", "09:00-18:00"), True),
        (("mon-fri", "09:00-18:00"), ("mon-sat", "10:00-11:00"), False),
        (("mon-fri", "09:00-18:00"), ("mon", "08:59-18:00"), False),
        (("mon-fri", "09:00-18:00"), ("mon", "17:00-02:00"), False),
        (("sat,sun", None), ("sat", "22:00-06:00"), True),
        (("sun,mon", None), ("sun", "22:00-06:00"), True),  # over the week's end
        (("sat", None), ("sat", "22:00-06:00"), False),
        (("mon-sun", None), ("mon-sun", None), True),
        (("mon-sat", None), ("mon-sun", None), False),
    ],
)
def test_covering(
    wide: tuple[str, str | None], narrow: tuple[str, str | None], covered: bool
) -> None:
    """Within one zone it says yes wherever it is so."""
    one, other = (parse_window(*texts, "Europe/Berlin") for texts in (wide, narrow))
    assert one.covers(other) is covered


def test_covering_in_another_zone() -> None:
    """Only what is always open is known to cover another zone's hours."""
    paris = parse_window("mon-fri", "10:00-11:00", "Europe/Paris")
    assert not OFFICE.covers(paris)
    assert parse_window("mon-sun", None, None).covers(paris)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mon-fri", "mon-fri"),
        ("sat,sun", "sat,sun"),
        ("mon,wed-fri", "mon,wed-fri"),
        ("Fri-Mon", "mon,fri-sun"),
        ("Monday - friday", "mon-fri"),
        ("tue", "tue"),
        ("sun,mon,tue,wed,thu,fri,sat", "mon-sun"),
    ],
)
def test_days(text: str, words: str) -> None:
    """Ranges may go over Sunday."""
    assert parse_window(text, None, None).words()[0] == words


@pytest.mark.parametrize(
    ("days", "hours", "zone", "said"),
    [
        ("", None, None, "a day that is none: write them as in mon-fri"),
        ("mo-fri", None, None, "'mo-fri' has a day that is none: do you mean mon?"),
        ("mon-", None, None, "a day that is none"),
        ("mon-fri-sat", None, None, "a day that is none"),
        ("mon," * 50, None, None, "too long"),
        (None, "9-18", None, "'9-18' are no hours: write them as in 09:00-18:00"),
        (None, "09:00-25:00", None, "are no hours"),
        (None, "09:60-18:00", None, "are no hours"),
        (None, "24:00-18:00", None, "are no hours"),
        (None, "09:00", None, "are no hours"),
        (None, "٠٩:00-18:00", None, "are no hours"),
        ("mon", None, "europe/berlin", "do you mean Europe/Berlin?"),
        ("mon", None, "Europe/Berln", "do you mean Europe/Berlin?"),
        ("mon", None, "Europe", "no time zone"),
        ("mon", None, "../../etc/passwd", "no time zone"),
        ("mon", None, "right/Europe/Berlin", "no time zone"),
        ("mon", None, "localtime", "no time zone"),
        ("mon", None, "", "write one as in Europe/Berlin or UTC"),
        ("mon", None, "x" * 5000, "no time zone"),
        (None, None, "Europe/Berlin", "needs days or hours"),
        (None, None, None, "needs days or hours"),
    ],
)
def test_what_can_be_wrong(
    days: str | None, hours: str | None, zone: str | None, said: str
) -> None:
    """One sentence with the mend."""
    with pytest.raises(BadInput) as refusal:
        parse_window(days, hours, zone)
    assert said in str(refusal.value)
    assert len(str(refusal.value)) < 300
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("days", "opens", "zone"),
    [
        (frozenset[int](), time(9), "UTC"),
        (frozenset({7}), time(9), "UTC"),
        (frozenset({0}), time(9, 0, 1), "UTC"),
        (frozenset({0}), time(9, tzinfo=UTC), "UTC"),
        (frozenset({0}), time(9), "Nowhere/Town"),
    ],
)
def test_a_wrong_one_cannot_be_built(days: frozenset[int], opens: time, zone: str) -> None:
    """Also not past the parser."""
    with pytest.raises(ValueError, match=r"a window|no time zone"):
        Window(days, opens, time(18), zone)
