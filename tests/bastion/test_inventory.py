"""The inventory's values: which hosts a selector means, when an account is open."""

import fnmatch
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import BadInput
from bastion.inventory import Host, Selector, parse_selector
from tests.bastion.worlds import NOW, SECOND, TICK, host, key, user

some_names = st.from_regex(r"\A[ab]{1,3}(?:-[12])?\Z")
some_labels = st.frozensets(
    st.tuples(st.sampled_from(["env", "team"]), st.sampled_from(["a", "b"])), max_size=3
)


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """A host with aliases and labels out of few, so that they often meet."""
    aliases = draw(st.frozensets(some_names, max_size=2))
    return host(draw(some_names), aliases=aliases, labels=draw(some_labels))


@given(target=hosts(), name=some_names)
def test_an_exact_selector_means_a_host_by_any_of_its_names(target: Host, name: str) -> None:
    """An alias is as good as the name where one host is named."""
    assert parse_selector(name).matches(target) == (name in {target.name} | target.aliases)


@given(target=hosts(), pattern=st.from_regex(r"\A[ab*?]{1,3}(?:-[12*])?\Z"))
def test_a_pattern_means_hosts_by_their_own_name(target: Host, pattern: str) -> None:
    """An alias is a name to type, not one to be granted by pattern."""
    selector = parse_selector(pattern)
    if not selector.exact:
        assert selector.matches(target) == fnmatch.fnmatchcase(target.name, pattern)


@given(target=hosts(), wanted=some_labels.filter(bool))
def test_labels_have_to_be_there_all_of_them(
    target: Host, wanted: frozenset[tuple[str, str]]
) -> None:
    """`label:env=a,team=b` means hosts with both."""
    text = "label:" + ",".join(f"{name}={value}" for name, value in sorted(wanted))
    selector = parse_selector(text)
    assert selector.matches(target) == all(label in target.labels for label in wanted)
    assert str(selector) == text
    assert not selector.exact


@pytest.mark.parametrize("text", ["WEB-1", "web-*", "web-?", "label:env=prod", "label:a=1,b=2"])
def test_a_selector_reads_what_it_writes(text: str) -> None:
    """Case does not matter in names and patterns."""
    assert parse_selector(str(parse_selector(text))) == parse_selector(text)


@pytest.mark.parametrize("text", ["", "label:", "label:env", "we b", "[ab]*", "-x", "a;b"])
def test_selectors_that_are_refused(text: str) -> None:
    """Neither shell patterns beyond * and ?, nor half a label."""
    with pytest.raises(BadInput):
        parse_selector(text)


def test_a_selector_is_a_pattern_or_labels() -> None:
    """Neither, or both, would be a grant for who knows what."""
    for wrong in ({}, {"pattern": "a", "labels": frozenset({("b", "c")})}):
        with pytest.raises(ValueError, match="one of them"):
            Selector(**wrong)  # type: ignore[arg-type]


def test_an_account_is_open_until_its_end_exactly() -> None:
    """At its end it is shut, a tick before it is open."""
    alice = user(until=NOW)
    assert alice.may_sign_in(NOW - TICK)
    assert not alice.may_sign_in(NOW)
    assert user().may_sign_in(NOW)


def test_a_disabled_account_is_shut() -> None:
    """Whatever the clock says."""
    alice = replace(user(), disabled_at=NOW)
    assert not alice.may_sign_in(NOW - SECOND)
    assert not alice.may_sign_in(NOW + SECOND)


def test_security_keys_are_known_by_their_algorithm() -> None:
    """The private half of an sk- key can't be copied."""
    assert replace(key("a"), algorithm="sk-ssh-ed25519@openssh.com").hardware
    assert not key("a").hardware
