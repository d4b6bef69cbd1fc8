"""Grants and certificates: where they stand, to the microsecond."""

from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.grants import Allows, State, covered
from bastion.templates import parse_template
from tests.bastion.worlds import HOUR, NOW, TICK, certificate, grant, host, selectors

moments = st.timedeltas(-2 * HOUR, 2 * HOUR).map(lambda away: NOW + away)


def test_a_grant_begins_at_its_start_and_is_over_at_its_end() -> None:
    """The exact second of both: it holds in [starts_at, ends_at)."""
    one = grant(starts_at=NOW, ends_at=NOW + HOUR)
    assert one.state(NOW - TICK) is State.SCHEDULED
    assert one.state(NOW) is State.ACTIVE
    assert one.state(NOW + HOUR - TICK) is State.ACTIVE
    assert one.state(NOW + HOUR) is State.EXPIRED


def test_a_grant_is_over_at_its_revocation() -> None:
    """From that moment on, also where it had not begun; before it, nothing was revoked."""
    one = replace(grant(starts_at=NOW, ends_at=NOW + HOUR), revoked_at=NOW + TICK)
    assert one.state(NOW) is State.ACTIVE
    assert one.state(NOW + TICK) is State.REVOKED
    assert one.state(NOW + 2 * HOUR) is State.REVOKED
    coming = replace(grant(starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR), revoked_at=NOW)
    assert coming.state(NOW + HOUR) is State.REVOKED


@given(now=moments, later=st.timedeltas(timedelta(0), HOUR), revoked=st.none() | moments)
def test_what_is_over_stays_over(now: datetime, later: timedelta, revoked: datetime | None) -> None:
    """Time only goes on: scheduled, active, then over for good."""
    order = [State.SCHEDULED, State.ACTIVE, State.EXPIRED, State.REVOKED]
    one = replace(grant(), revoked_at=revoked)
    assert order.index(one.state(now)) <= order.index(one.state(now + later))


def test_a_grant_that_allows_nothing_can_not_be_built() -> None:
    """Neither shell nor command."""
    with pytest.raises(ValueError, match="allows nothing"):
        Allows()
    assert not Allows(commands=(parse_template("uptime"),)).shell


@pytest.mark.parametrize(
    "wrong",
    [{"hosts": ()}, {"logins": frozenset()}, {"ends_at": NOW - HOUR}],
)
def test_a_grant_for_nothing_can_not_be_built(wrong: dict[str, object]) -> None:
    """No hosts, no logins, or no time at all."""
    with pytest.raises(ValueError, match="names hosts and logins"):
        replace(grant(), **wrong)  # type: ignore[arg-type]


def test_a_grant_covers_what_one_of_its_selectors_means() -> None:
    """Any of them is enough."""
    one = grant(hosts=selectors("db-1", "label:env=prod"))
    assert one.covers(host("db-1"))
    assert one.covers(host("web-1", labels={("env", "prod")}))
    assert not one.covers(host("web-1"))


@given(source=st.ip_addresses(), network=st.ip_addresses(), size=st.integers(0, 32))
def test_sources_limit_where_it_is_used_from(source: object, network: object, size: int) -> None:
    """An address is in one of the networks, by the book; an IPv4-mapped one is its IPv4 address."""
    limits = ip_network(f"{network}/{size}", strict=False)
    one = replace(grant(), sources=(limits,))
    address = ip_address(str(source))
    plain = getattr(address, "ipv4_mapped", None) or address
    assert one.usable_from(str(source)) == (plain in limits)


def test_an_ipv4_client_on_an_ipv6_socket_is_an_ipv4_client() -> None:
    """`::ffff:10.1.2.3` is how a dual-stack listener sees it."""
    one = replace(grant(), sources=(ip_network("10.0.0.0/8"),))
    assert one.usable_from("::ffff:10.1.2.3")
    assert not one.usable_from("::ffff:11.1.2.3")
    for nonsense in ("", "unknown", "10.1.2.3, 1.1.1.1", "10.1.2.3:22"):
        assert not one.usable_from(nonsense)
    assert grant().usable_from("unknown")


def test_a_certificate_is_good_within_its_times() -> None:
    """Including its start, not its end; never once it was revoked."""
    one = certificate(7, valid_after=NOW, valid_before=NOW + HOUR)
    assert [one.live(at) for at in (NOW - TICK, NOW, NOW + HOUR - TICK, NOW + HOUR)] == [
        False,
        True,
        True,
        False,
    ]
    assert not replace(one, revoked_at=NOW).live(NOW)


def test_what_certificates_count_for_is_what_live_ones_say() -> None:
    """Several live ones add up; a dead one adds nothing."""
    over = certificate(3, serial=3, valid_before=NOW)
    assert covered([certificate(1), certificate(1, 2, serial=2), over], NOW) == {1, 2}
    assert covered([], NOW) == frozenset()
