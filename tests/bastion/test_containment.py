"""Containment: a yes is certain for every host, network and hour that there could be."""

import itertools
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.containment import networks_within, selector_within, window_within
from bastion.inventory import Host, Selector, parse_selector
from bastion.windows import parse_window
from tests.bastion.values import all_hosts, networks
from tests.bastion.values import selectors as any_selector
from tests.bastion.worlds import host

NAMES = ["".join(word) for n in range(1, 6) for word in itertools.product("ab", repeat=n)]
short_patterns = st.text("ab*?", min_size=1, max_size=6)


@given(narrow=any_selector, wide=any_selector, hosts=all_hosts)
@settings(max_examples=200)
def test_what_the_narrow_one_matches_the_wide_one_matches(
    narrow: Selector, wide: Selector, hosts: tuple[Host, ...]
) -> None:
    """In whatever inventory."""
    named = [host for host in hosts if narrow.matches(host)]
    if selector_within(narrow, wide, named if narrow.exact else None):
        assert all(wide.matches(host) for host in hosts if narrow.matches(host))


@given(narrow=short_patterns, wide=short_patterns)
@settings(max_examples=200)
def test_patterns_against_every_short_name(narrow: str, wide: str) -> None:
    """A yes holds for every name of up to five letters."""
    one, other = parse_selector(narrow), parse_selector(wide)
    if not one.exact and selector_within(one, other, None):
        hosts = map(host, NAMES)
        assert all(other.matches(each) for each in hosts if one.matches(each))


@pytest.mark.parametrize(
    ("narrow", "wide", "within"),
    [
        ("web-*", "*", True),
        ("web-*", "**", True),
        ("web-*", "web-*", True),
        ("web-*", "w*", True),
        ("web-?", "web-*", True),
        ("web-*", "web-?", False),
        ("*", "web-*", False),
        ("web-*-b", "web-*", True),
        ("web-*", "web-*-b", False),
        ("a*b*c", "a*c", True),
        ("*?", "?*", True),
        ("?*?", "*??", True),
        ("label:env=prod", "*", True),
        ("label:env=prod", "web-*", False),
        ("label:env=prod,tier=web", "label:env=prod", True),
        ("label:env=prod", "label:env=prod,tier=web", False),
        ("label:env=prod", "label:env=test", False),
        ("web-*", "label:env=prod", False),
        ("web-1", "web-*", True),
        ("w1", "web-*", True),  # an alias of it
        ("w1", "w1", True),
        ("w1", "w?", False),  # a pattern looks at the name, not at aliases
        ("web-1", "label:env=prod", True),
        ("web-1", "label:env=test", False),
        ("web-1", "w1", True),
        ("web-2", "*", True),  # there is none, and everything is everything
        ("web-2", "web-*", False),
    ],
)
def test_selectors(narrow: str, wide: str, within: bool) -> None:
    """What people write, and what they would expect of it."""
    web = host("web-1", aliases=["w1"], labels=[("env", "prod")])
    one = parse_selector(narrow)
    named = None if not one.exact else [web] if one.matches(web) else []
    assert selector_within(one, parse_selector(wide), named) is within


@given(narrow=st.lists(networks, min_size=1, max_size=3), wide=st.lists(networks, max_size=3))
def test_networks(narrow: list[object], wide: list[object]) -> None:
    """Every address of the narrow ones is in one of the wide ones, where there are any."""
    asked, around = [ip_network(str(n)) for n in narrow], [ip_network(str(n)) for n in wide]
    addresses = [network[0] for network in asked] + [network[-1] for network in asked]
    within = networks_within(asked, around)
    assert within == (
        not around or all(any(address in net for net in around) for address in addresses)
    )


def test_windows() -> None:
    """None is always open."""
    office, morning = (
        parse_window("mon-fri", "09:00-18:00", None),
        parse_window("mon", "09:00-12:00", None),
    )
    assert window_within(morning, office)
    assert window_within(morning, None)
    assert window_within(None, None)
    assert window_within(None, parse_window("mon-sun", None, None))
    assert not window_within(office, morning)
    assert not window_within(None, office)
