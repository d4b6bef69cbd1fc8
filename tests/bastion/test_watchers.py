"""Watchers: who counts as somebody else, and when one is gone. Fails closed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.inventory import Role, User
from bastion.people import People
from bastion.watchers import LEASE, Eyes, Leases, Watcher
from tests.bastion.worlds import NOW, SECOND, key

RITA = User("rita", frozenset({Role.AUDITOR}), keys=(key("rita-1"), key("rita-2")))
WATCHES = Watcher(1, 31, "rita", "192.0.2.9", NOW, NOW, beats=1)


def why_not(user: User, watcher: Watcher = WATCHES, **givers: tuple[str, ...]) -> str | None:
    """Why `user`, by the account or key of `watcher`, does not count for a session of alice's."""
    enrolled = {f"SHA256:{name.replace('_', '-')}": by for name, by in givers.items()}
    eyes = Eyes({user.name: user}, enrolled, People({"al": "alice"}))
    return eyes.why_not(replace(watcher, name=user.name), "alice", NOW)


def test_an_auditor_and_an_admin_count() -> None:
    """On the machine, and by any key that is her own."""
    assert why_not(RITA) is None
    assert why_not(replace(RITA, roles=frozenset({Role.ADMIN, Role.CONTRACTOR}))) is None
    assert why_not(RITA, replace(WATCHES, fingerprint="SHA256:rita-2")) is None


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (replace(RITA, roles=frozenset({Role.APPROVER, Role.CONTRACTOR})), "rita is no auditor."),
        (replace(RITA, disabled_at=NOW), "The account rita is closed."),
        (replace(RITA, until=NOW), "The account rita is closed."),
        (replace(RITA, name="alice"), "Nobody watches herself: somebody else has to."),
        (
            replace(RITA, sponsor="alice"),
            "alice let rita in here, so somebody else has to watch.",
        ),
        (
            replace(RITA, enrolled_by="os:al"),
            "alice let rita in here, so somebody else has to watch.",
        ),
    ],
)
def test_who_does_not_count(user: User, said: str) -> None:
    """Herself, whom she let in by whichever account, and whoever is no auditor any more."""
    assert why_not(user) == said


def test_a_key_from_the_contractor_is_hers() -> None:
    """Whichever account it is enrolled for. One that was taken away since is nobody's."""
    by_key = replace(WATCHES, fingerprint="SHA256:rita-1")
    assert why_not(RITA, by_key, rita_1=("adam", "os:al")) == (
        "alice gave rita that key: sign in with another one."
    )
    assert why_not(RITA, by_key, rita_1=("adam",), rita_2=("alice",)) is None
    gone = replace(WATCHES, fingerprint="SHA256:rita-3")
    assert why_not(RITA, gone) == "The key SHA256:rita-3 is not enrolled for rita any more."


def test_an_account_that_is_nobody_does_not_count() -> None:
    """Root may look, and is no second person."""
    eyes = Eyes({}, {}, People({}))
    said = eyes.why_not(replace(WATCHES, name="os:root"), "alice", NOW)
    assert said == "os:root is nobody that the bastion knows: map the account to a user."


def test_one_who_beats_is_there_and_one_who_stops_is_gone() -> None:
    """For the length of a lease after each beat, to the microsecond."""
    leases = Leases()
    for second in range(5):
        at = NOW + second * SECOND
        leases.heard([replace(WATCHES, beats=second + 1, seen_at=at)], at)
    last = NOW + 4 * SECOND
    leases.heard([replace(WATCHES, beats=5, seen_at=last)], last + SECOND)  # nothing new
    assert leases.of(31, last + LEASE - timedelta(microseconds=1))
    assert not leases.of(31, last + LEASE)
    assert not leases.of(30, last)


def test_one_who_has_not_taken_anything_is_not_there() -> None:
    """Her first beat comes when the present screen was shown."""
    leases = Leases()
    leases.heard([replace(WATCHES, beats=0)], NOW)
    assert not leases.of(31, NOW)


def test_one_who_has_left_is_gone_at_once() -> None:
    """Her row is gone, and so is she."""
    leases = Leases()
    leases.heard([WATCHES], NOW)
    leases.heard([], NOW)
    assert not leases.of(31, NOW)


def test_a_row_that_somebody_left_behind_long_ago_counts_for_nothing() -> None:
    """A process that has just begun does not know how long it stands there, but what it says."""
    leases = Leases()
    leases.heard([WATCHES], NOW + LEASE)
    assert not leases.of(31, NOW + LEASE)


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_a_watcher_on_a_machine_with_another_clock_counts_when_she_beats(ahead: int) -> None:
    """And no longer after her last beat than anybody else."""
    theirs, leases = timedelta(seconds=ahead), Leases()
    leases.heard([replace(WATCHES, seen_at=NOW + theirs)], NOW)
    leases.heard([replace(WATCHES, seen_at=NOW + theirs + SECOND, beats=2)], NOW + SECOND)
    assert leases.of(31, NOW + SECOND)
    assert not leases.of(31, NOW + SECOND + LEASE)


def test_a_clock_that_is_set_back_prolongs_no_lease() -> None:
    """She counts again with her next beat."""
    leases = Leases()
    leases.heard([WATCHES], NOW)
    leases.heard([replace(WATCHES, beats=2)], NOW)
    earlier = NOW - timedelta(hours=1)
    assert not leases.of(31, earlier)
    leases.heard([replace(WATCHES, beats=3)], earlier)
    assert leases.of(31, earlier)


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from(["beats", "silent", "left"]))))
def test_whoever_has_beaten_within_the_last_lease_is_there(
    steps: list[tuple[float, str]],
) -> None:
    """And nobody else is, whatever is heard of her, and whenever."""
    leases, now, beats, beaten = Leases(), NOW, 0, None
    for seconds, step in steps:
        now += timedelta(seconds=seconds)
        if step == "beats":
            beats, beaten = beats + 1, now
        row = replace(WATCHES, beats=beats, seen_at=beaten or NOW)
        leases.heard([] if step == "left" else [row], now)
        beating: bool = beaten is not None and now - beaten < LEASE
        assert bool(leases.of(31, now)) == (beating and step != "left")
