"""Places for connections: taken, kept, given back, and never more than there are."""

from hypothesis import given
from hypothesis import strategies as st

from bastion.admission import Admission, Places


def test_one_source_takes_no_more_than_its_share() -> None:
    """Two handshakes from one address leave room for another's."""
    admission = Admission(Places(10, 5, 2))
    assert [admission.arrive(key, "a") for key in range(3)] == [True, True, False]
    assert admission.arrive(3, "b")


def test_signing_in_gives_the_place_in_the_handshake_back() -> None:
    """Who has signed in is counted among all, not among strangers."""
    admission = Admission(Places(2, 1, 1))
    assert admission.arrive(1, "a")
    assert not admission.arrive(2, "a")
    admission.signed_in(1)
    assert admission.arrive(2, "a")
    admission.signed_in(2)
    assert not admission.arrive(3, "a")
    admission.leave(1)
    assert admission.arrive(3, "a")


STEPS = st.lists(st.tuples(st.sampled_from("arrive sign leave".split()), st.integers(0, 9)))


@given(STEPS)
def test_places_are_never_oversold_and_never_lost(steps: list[tuple[str, int]]) -> None:
    """Whatever comes and goes, limits hold, and an empty house takes everybody again."""
    admission = Admission(Places(4, 3, 2))
    strangers: set[int] = set()
    people: set[int] = set()
    for what, key in steps:
        if what == "arrive" and key not in strangers | people:
            if admission.arrive(key, str(key % 3)):
                strangers.add(key)
        elif what == "sign" and key in strangers:
            admission.signed_in(key)
            strangers.discard(key)
            people.add(key)
        elif what == "leave":
            admission.leave(key)
            strangers.discard(key)
            people.discard(key)
        assert len(strangers) <= 3
        assert len(strangers | people) <= 4
        assert all(sum(k % 3 == source for k in strangers) <= 2 for source in range(3))
    for key in range(10):
        admission.leave(key)
    assert [admission.arrive(key, str(key)) for key in range(4)] == [True, True, True, False]
