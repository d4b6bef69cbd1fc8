"""Retention: how long a recording is kept, as a function of rules, hosts, holds and the time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.inventory import Host, Selector, parse_selector
from bastion.retention import SHORTEST, Fate, Past, Retention, Rule, fate, parse_keep
from tests.bastion.worlds import HOUR, NOW, TICK, host, selectors

DAY = timedelta(days=1)

NAMES = st.sampled_from(["web-1", "web-2", "db-1"])
LABELS = st.frozensets(
    st.sampled_from([("env", "dev"), ("env", "prod"), ("team", "blue")]), max_size=2
)
HOSTS = st.builds(lambda name, labels: host(name, labels=labels), NAMES, LABELS)
SELECTORS: st.SearchStrategy[Selector] = st.sampled_from(
    ["web-*", "*", "db-1", "label:env=dev", "label:env=prod,team=blue"]
).map(parse_selector)
KEEPS = st.none() | st.integers(1, 3653).map(lambda days: timedelta(days=days))
RULES = st.builds(Rule, st.lists(SELECTORS, min_size=1, max_size=3).map(tuple), KEEPS)
RETENTIONS = st.builds(Retention, KEEPS, st.lists(RULES, max_size=4).map(tuple))
TIMES = st.datetimes(
    datetime(1, 1, 1),  # noqa: DTZ001 (a bound)
    datetime(9999, 12, 31),  # noqa: DTZ001 (a bound)
    timezones=st.just(UTC),
)


@given(RETENTIONS, HOSTS)
def test_the_first_rule_that_fits_decides(retention: Retention, on: Host) -> None:
    """And where none does, the default."""
    found = retention.rule_for(on)
    fitting = [rule for rule in retention.rules if any(s.matches(on) for s in rule.hosts)]
    assert found == (fitting[0] if fitting else retention.default)


@given(RETENTIONS, HOSTS)
def test_a_host_that_nobody_knows_is_kept_longest(retention: Retention, on: Host) -> None:
    """No rule keeps any host for longer."""
    longest, any_rule = retention.rule_for(None).keep, retention.rule_for(on).keep
    assert longest is None or (any_rule is not None and any_rule <= longest)


@given(RETENTIONS, HOSTS, st.none() | TIMES, TIMES, st.booleans())
def test_nothing_goes_before_its_time(
    retention: Retention, on: Host, ended_at: datetime | None, now: datetime, held: bool
) -> None:
    """Only what is over, not on hold, and as old as its rule says; at least a day."""
    rule = retention.rule_for(on)
    is_due = fate(rule, ended_at, now, held=held) is Fate.DUE
    old_enough = (
        ended_at is not None
        and rule.keep is not None
        and now >= ended_at
        and now - ended_at >= rule.keep
    )
    assert is_due is (old_enough and not held)


@given(RETENTIONS, HOSTS, TIMES, TIMES)
def test_a_hold_wins(retention: Retention, on: Host, ended_at: datetime, now: datetime) -> None:
    """Whatever the rules say, and whatever the time."""
    assert fate(retention.rule_for(on), ended_at, now, held=True) is Fate.HELD


@given(HOSTS, TIMES, TIMES)
def test_without_rules_everything_is_kept(on: Host, ended_at: datetime, now: datetime) -> None:
    """An operator has to write what is let go."""
    assert not Retention().finite
    assert fate(Retention().rule_for(on), ended_at, now, held=False) is Fate.KEPT


def test_the_moment_is_the_end_and_what_was_written() -> None:
    """To the microsecond."""
    rule = Retention(keep=30 * DAY).default
    assert fate(rule, NOW, NOW + 30 * DAY - TICK, held=False) is Fate.KEPT
    assert fate(rule, NOW, NOW + 30 * DAY, held=False) is Fate.DUE


def test_a_host_counts_as_it_was_then() -> None:
    """Relabelled later, its sessions of before are kept as long as they would have been."""
    prod, dev = host("web-1", labels={("env", "prod")}), host("web-1", labels={("env", "dev")})
    past = Past({"web-1": [(NOW, prod), (NOW + DAY, dev)]})
    assert past.host("web-1", NOW + HOUR) == prod
    assert past.host("web-1", NOW + DAY) == dev
    assert past.host("web-1", NOW - HOUR) == prod
    assert past.host("web-9", NOW) is None
    retention = Retention(365 * DAY, (Rule(selectors("label:env=dev"), 30 * DAY),))
    assert str(retention.rule_for(past.host("web-1", NOW))) == "default: 365d"
    assert str(retention.rule_for(past.host("web-1", NOW + DAY))) == "label:env=dev: 30d"


def test_the_version_is_of_what_the_rules_say() -> None:
    """However long they are written: a week is seven days; another order is another version."""
    web, db = Rule(selectors("web-*"), 7 * DAY), Rule(selectors("db-1"), None)
    one = Retention(parse_keep("1w"), (web, db))
    assert one.version == Retention(parse_keep("7d"), (web, db)).version
    assert one.version != Retention(parse_keep("7d"), (db, web)).version
    assert one.lines() == ["web-*: 7d", "db-1: forever", "default: 7d"]


@pytest.mark.parametrize(
    ("text", "keep"),
    [("", None), ("forever", None), ("1d", DAY), ("24h", DAY), ("365d", 365 * DAY)],
)
def test_what_keep_may_be(text: str, keep: timedelta | None) -> None:
    """Durations, a word, or nothing."""
    assert parse_keep(text) == keep


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1m", "1m is less than a day"),
        ("23h59m", "for a day at least"),
        ("-30d", "negative"),
        ("ever", "not a duration"),
        ("4000d", "longer than ten years"),
        ("0d", "no time at all"),
    ],
)
def test_what_keep_may_not_be(text: str, said: str) -> None:
    """`1m` was a slip: it would have let go of everything."""
    with pytest.raises(BadInput, match=said):
        parse_keep(text)
    assert SHORTEST == DAY
