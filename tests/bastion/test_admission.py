"""Places for connections: taken, kept, given back, and never more than there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.admission import Admission, Places, Startups, parse_startups
from bastion.errors import BadInput
from bastion.limits import Limit

NEVER = 0.9999999
"""A chance by which only those are turned away for whom there is no place at all."""


def places(
    connections: int, each: int, nobody: int, nobody_each: int, each_user: int = 1000
) -> Places:
    """So many, and none more."""
    hard = Startups(nobody, 100, nobody), Startups(nobody_each, 100, nobody_each)
    return Places(connections, each, *hard, each_user)


def test_one_network_takes_no_more_than_its_share() -> None:
    """Two handshakes from one network leave room for another's."""
    admission = Admission(places(10, 10, 5, 2))
    assert [admission.arrive(key, "a", NEVER) for key in range(3)] == [
        None,
        None,
        Limit.UNAUTHENTICATED_PER_SOURCE,
    ]
    assert admission.arrive(3, "b", NEVER) is None


def test_signing_in_gives_the_place_in_the_handshake_back() -> None:
    """Who has signed in is counted among all, not among strangers."""
    admission = Admission(places(2, 2, 1, 1))
    assert admission.arrive(1, "a", NEVER) is None
    assert admission.arrive(2, "b", NEVER) is Limit.UNAUTHENTICATED
    admission.signed_in(1, "alice")
    assert admission.arrive(2, "a", NEVER) is None
    admission.signed_in(2, "alice")
    assert admission.arrive(3, "a", NEVER) is Limit.CONNECTIONS
    admission.leave(1)
    assert admission.arrive(3, "a", NEVER) is None


def test_one_network_has_no_more_connections_than_its_share() -> None:
    """Signed in or not."""
    admission = Admission(places(9, 2, 9, 9))
    for key in range(2):
        assert admission.arrive(key, "a", NEVER) is None
        admission.signed_in(key, "alice")
    assert admission.arrive(2, "a", NEVER) is Limit.CONNECTIONS_PER_SOURCE
    assert admission.arrive(2, "b", NEVER) is None
    admission.leave(0)
    assert admission.arrive(3, "a", NEVER) is None


def test_one_user_has_no_more_connections_than_that() -> None:
    """From wherever; who is turned away leaves the others their places, and none is lost."""
    admission = Admission(places(9, 9, 9, 9, each_user=2))
    for key in range(3):
        assert admission.arrive(key, str(key), NEVER) is None
    assert [admission.signed_in(key, "alice") for key in range(3)] == [
        None,
        None,
        Limit.CONNECTIONS_PER_USER,
    ]
    assert admission.arrive(3, "a", NEVER) is None
    assert admission.signed_in(3, "bob") is None
    admission.leave(2)
    admission.leave(0)
    assert admission.arrive(4, "a", NEVER) is None
    assert admission.signed_in(4, "alice") is None


def test_places_become_rare_before_they_run_out() -> None:
    """As sshd does with MaxStartups 10:30:100: none, then 30 of 100, at last all."""
    drop = parse_startups("10:30:100")
    assert not drop.turns_away(9, 0.0)
    assert drop.turns_away(10, 0.29)
    assert not drop.turns_away(10, 0.31)
    assert drop.turns_away(55, 0.64)
    assert not drop.turns_away(55, 0.66)
    assert drop.turns_away(100, NEVER)


def test_a_number_is_so_many_and_then_none() -> None:
    """What was written before there was a chance in it."""
    assert parse_startups("200") == Startups(200, 100, 200)


@pytest.mark.parametrize("text", ["", "0", "10:30", "20:30:10", "10:0:20", "10:101:20", "-1", "x"])
def test_what_is_no_limit_is_said(text: str) -> None:
    """With the form that it has to have."""
    with pytest.raises(BadInput, match="100:30:200"):
        parse_startups(text)


@given(
    st.builds(
        lambda start, more, rate: Startups(start, rate, start + more),
        st.integers(1, 300),
        st.integers(0, 300),
        st.integers(1, 100),
    ),
    st.lists(st.integers(0, 700), min_size=2, max_size=2),
    st.floats(0, 1, exclude_max=True),
)
def test_the_fuller_it_is_the_fewer_get_in(drop: Startups, there: list[int], chance: float) -> None:
    """Of two numbers the larger lets in nobody whom the smaller does not."""
    few, many = sorted(there)
    assert drop.turns_away(few, chance) <= drop.turns_away(many, chance)
    assert drop.turns_away(drop.full, chance)
    assert not drop.turns_away(0, chance)


STEPS = st.lists(st.tuples(st.sampled_from("arrive sign leave".split()), st.integers(0, 9)))


@given(STEPS, st.floats(0, 1, exclude_max=True))
def test_places_are_never_oversold_and_never_lost(
    steps: list[tuple[str, int]], chance: float
) -> None:
    """Whatever comes and goes, limits hold, and an empty house takes everybody again."""
    admission = Admission(Places(4, 3, Startups(2, 50, 3), Startups(1, 50, 2), 9))
    strangers: set[int] = set()
    people: set[int] = set()
    for what, key in steps:
        if what == "arrive" and key not in strangers | people:
            if admission.arrive(key, str(key % 3), chance) is None:
                strangers.add(key)
        elif what == "sign" and key in strangers:
            admission.signed_in(key, "alice")
            strangers.discard(key)
            people.add(key)
        elif what == "leave":
            admission.leave(key)
            strangers.discard(key)
            people.discard(key)
        assert admission.nobodys == len(strangers) <= 3
        assert admission.signed_in_now == len(people)
        assert len(strangers | people) <= 4
        assert all(sum(k % 3 == source for k in strangers) <= 2 for source in range(3))
        assert all(sum(k % 3 == source for k in strangers | people) <= 3 for source in range(3))
    for key in range(10):
        admission.leave(key)
    for key in range(4):
        assert admission.arrive(key, str(key), NEVER) is None
        admission.signed_in(key, "alice")
    assert admission.arrive(4, "4", NEVER) is Limit.CONNECTIONS
