"""Approvals: two people, whatever accounts and keys they use; each fills one place."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.approvals import NAMED, Bench, Signature, barred_from, in_words
from bastion.inventory import Host, Role, User
from bastion.rules import Kind, Need
from tests.bastion.rulesets import needs, party
from tests.bastion.values import a_key, all_hosts, all_users
from tests.bastion.worlds import NOW, SECOND, host

LOCAL = Signature()


def approver(name: str, *groups: str, hardware: bool = False) -> User:
    """Somebody who may approve."""
    return User(name, frozenset({Role.APPROVER}), frozenset(groups), keys=(a_key(name, hardware),))


def need(*sources: str, count: int = 1) -> Need:
    """So many of those."""
    return Need(tuple(map(party, sources)), count)


def bench(*wanted: Need, hosts: Iterable[Host] = (), **more: object) -> Bench:
    """Those who may agree to what ann asks for; dan let her in, cleo vouches for her."""
    requester = User("ann", frozenset({Role.CONTRACTOR}), sponsor="cleo")
    barred = barred_from(requester, {"dan", "os:root"})
    return Bench(wanted, tuple(hosts), barred, **more)  # type: ignore[arg-type]


def test_whoever_a_need_names_may_agree() -> None:
    """A user by name, a group by membership."""
    wanted = bench(need("bob", "@leads"))
    assert wanted.why_not(approver("bob"), "bob", LOCAL, NOW) is None
    assert wanted.why_not(approver("eve", "leads"), "eve", LOCAL, NOW) is None
    said = wanted.why_not(approver("eve", "ops"), "eve", LOCAL, NOW)
    assert said == "This is not for eve to decide: it takes one of bob or @leads."


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (approver("ann", "leads"), "Nobody approves what is for herself: somebody else has to."),
        (approver("cleo", "leads"), "cleo vouches for ann, so somebody else has to approve."),
        (approver("dan", "leads"), "dan let ann in here, so somebody else has to approve."),
        (User("bob", frozenset({Role.ADMIN}), frozenset({"leads"})), "bob is no approver."),
        (replace(approver("bob", "leads"), disabled_at=NOW), "The account bob is closed."),
        (replace(approver("bob", "leads"), until=NOW), "The account bob is closed."),
        (None, "os:kim is nobody that the bastion knows, so it can't approve: map the account."),
    ],
)
def test_who_may_not_agree(who: User | None, said: str) -> None:
    """A sentence for each reason, and what such a person has said does not count."""
    wanted = bench(need("@leads"))
    assert wanted.why_not(who, "os:kim" if who is None else who.name, LOCAL, NOW) == said
    assert not wanted.counts(who, NOW)


def test_herself_is_herself_also_where_she_let_herself_in() -> None:
    """The plainest of several reasons is told."""
    ann = User("ann", frozenset({Role.APPROVER}), sponsor="ann")
    assert barred_from(ann, {"ann"}) == {
        "ann": "Nobody approves what is for herself: somebody else has to."
    }


def test_a_hardware_key_and_a_fresh_sign_in() -> None:
    """On the machine itself nobody signs in, so neither can be shown there."""
    bob, wanted = approver("bob"), bench(need("bob"), hardware=True, fresh=timedelta(minutes=2))

    def said(hardware: bool, at: datetime | None) -> str:
        by = Signature(a_key("bob", hardware), at)
        return wanted.why_not(bob, "bob", by, NOW) or "yes"

    assert said(True, NOW - timedelta(minutes=2)) == "yes"
    assert "no older than 2m" in said(True, NOW - timedelta(minutes=2) - SECOND)
    assert "no older than 2m" in said(True, None)
    assert "takes a hardware key" in said(False, NOW)
    assert "takes a hardware key" in (wanted.why_not(bob, "bob", LOCAL, NOW) or "")


WEB = host("web-1", labels=[("owner", "Bob"), ("env", "prod")])
DB = host("db-1", labels=[("owner", "leads"), ("owner", "bob")])


@pytest.mark.parametrize(
    ("hosts", "who", "may"),
    [
        ([WEB], approver("bob"), True),  # labels keep their case, names have none
        ([WEB], approver("eve", "leads"), False),
        ([DB], approver("eve", "leads"), True),
        ([DB], approver("bob"), True),  # either of two owners
        ([WEB, DB], approver("bob"), True),
        ([WEB, DB], approver("eve", "leads"), False),  # of each of them
        ([WEB, host("x")], approver("bob"), False),
        ([], approver("bob"), False),  # no host, no owner
    ],
)
def test_owners(hosts: list[Host], who: User, may: bool) -> None:
    """Whom a label names, on every host that is meant."""
    assert bench(need("label:owner"), hosts=hosts).counts(who, NOW) is may


def test_distinct_people_fill_distinct_places() -> None:
    """Whoever could fill either is put where nobody else can be."""
    wanted = bench(need("@leads"), need("@security"))
    both, lead = approver("bob", "leads", "security"), approver("eve", "leads")
    assert in_words(wanted.unmet([], NOW)) == "one of @leads and one of @security"
    assert len(wanted.unmet([both], NOW)) == 1
    assert wanted.unmet([both, both], NOW) == wanted.unmet([both], NOW)
    assert wanted.unmet([both, lead], NOW) == wanted.unmet([lead, both], NOW) == ()


def test_what_still_waits_says_how_many() -> None:
    """The number that is lacking, not the number that was wanted."""
    wanted = bench(need("@leads", count=3))
    assert in_words(wanted.unmet([approver("bob", "leads")], NOW)) == "2 of @leads"


def test_an_approval_counts_while_its_approver_does() -> None:
    """A closed account, a role or a group that was taken away."""
    wanted, bob = bench(need("@leads")), approver("bob", "leads")
    assert wanted.unmet([bob], NOW) == ()
    for gone in (
        replace(bob, disabled_at=NOW),
        replace(bob, groups=frozenset()),
        replace(bob, roles=frozenset({Role.ADMIN})),
    ):
        assert wanted.unmet([gone], NOW) == wanted.needs


def test_whom_it_waits_for() -> None:
    """Only those whose consent would bring it further."""
    people = [approver("bob", "leads"), approver("eve", "leads"), approver("fay", "security")]
    wanted = bench(need("@leads"), need("@security"))
    assert wanted.eligible(people, [], NOW) == ["bob", "eve", "fay"]
    assert wanted.eligible(people, ["bob"], NOW) == ["fay"]
    assert wanted.eligible(people, ["bob", "fay"], NOW) == []
    able = replace(wanted, hardware=True)
    assert able.eligible([*people, approver("gil", "leads", hardware=True)], [], NOW) == ["gil"]
    many = [approver(f"u{number:02}", "leads") for number in range(50)]
    assert wanted.eligible(many, [], NOW) == [f"u{number:02}" for number in range(NAMED)]


def test_needs_that_nobody_can_meet_any_more() -> None:
    """Nobody is named, and what waits is told."""
    wanted = bench(need("@leads", count=2))
    assert wanted.eligible([approver("bob", "leads")], ["bob"], NOW) == []
    assert in_words(wanted.unmet([approver("bob", "leads")], NOW)) == "one of @leads"


benches = st.builds(
    Bench,
    needs=st.lists(needs, min_size=1, max_size=3).map(tuple),
    hosts=st.lists(all_hosts.map(lambda hosts: hosts[0]), max_size=2).map(tuple),
    barred=st.sampled_from([{}, {"ann": "no."}, {"ann": "no.", "bob": "no."}]),
)


def met(wanted: Bench, agreed: tuple[User, ...]) -> bool:
    """Whether any way of putting distinct people to the places fills them all."""
    places = [one for one in wanted.needs for _ in range(one.count)]
    able = [user for user in agreed if wanted.why_not(user, user.name, LOCAL, NOW) is None]
    return any(
        all(wanted.fits(one, user) for one, user in zip(places, people, strict=True))
        for people in itertools.permutations(able, len(places))
    )


@given(wanted=benches, people=all_users)
@settings(max_examples=100)
def test_enough_is_enough_by_brute_force(wanted: Bench, people: tuple[User, ...]) -> None:
    """Every way of seating people was tried, and agrees."""
    lacking = wanted.unmet(people, NOW)
    assert (lacking == ()) == met(wanted, people)
    missing = sum(one.count for one in lacking)
    assert 0 <= missing <= sum(one.count for one in wanted.needs)
    helpers = [approver(f"help-{n}", "leads") for n in range(missing)]
    named = [need("help-0", *(f"help-{n}" for n in range(1, missing)))] if missing else []
    open_to_all = tuple(
        replace(one, sources=one.sources + (named[0].sources if named else ()))
        for one in wanted.needs
    )
    assert replace(wanted, needs=open_to_all).unmet([*people, *helpers], NOW) == ()


@given(wanted=benches, people=all_users, data=st.data())
def test_more_consent_never_makes_it_less(
    wanted: Bench, people: tuple[User, ...], data: st.DataObject
) -> None:
    """And whoever is named as eligible takes one place, nobody else any."""
    agreed = data.draw(st.lists(st.sampled_from(people), unique_by=lambda user: user.name))

    def lacking(some: Iterable[User]) -> int:
        return sum(one.count for one in wanted.unmet(some, NOW))

    names = [user.name for user in agreed]
    able = wanted.eligible(people, names, NOW)
    for user in people:
        if user.name not in names:
            assert lacking(agreed) - lacking([*agreed, user]) == int(user.name in able)
    assert (able == []) or not met(wanted, tuple(agreed))


@given(wanted=benches, people=all_users)
def test_counting_agrees_with_the_sentence(wanted: Bench, people: tuple[User, ...]) -> None:
    """Without demands on the key, who counts is who may agree."""
    for user in people:
        why = wanted.why_not(user, user.name, LOCAL, NOW)
        assert wanted.counts(user, NOW) == (why is None)
        assert why is None or (why.isprintable() and why.endswith("."))
    assert all(one.kind is not Kind.EVERYBODY for each in wanted.needs for one in each.sources)
