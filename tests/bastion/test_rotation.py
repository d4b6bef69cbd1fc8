"""The verbs that change keys: who has to follow, and what is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bastion.authority import Authority, Which, certify_host, make_keys
from bastion.errors import Conflict, Unavailable
from bastion.events import What
from bastion.ledger import Draft, Kind
from bastion.rotation import NAMED, Rotation, named
from bastion.store import Store
from bastion.store.journal import Journal
from tests.bastion.test_authority import ALICE
from tests.bastion.worlds import HOUR, NOW, ROOT, host


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory with all the keys."""
    directory = tmp_path / "keys"
    directory.mkdir(0o700)
    make_keys(directory)
    certify_host(directory, ("bastion",), timedelta(days=1), NOW)
    return directory


@pytest.fixture
def ca(keys: Path) -> Authority:
    """The authority of these keys."""
    return Authority.load(keys)


@pytest.fixture
def rotation(peopled: Store, ca: Authority, keys: Path) -> Rotation:
    """The verbs, for a store with prod-host."""
    return Rotation(peopled, ca, keys)


def told(store: Store) -> list[tuple[What, object, object]]:
    """What was told of keys, the oldest first."""
    events = [event.happened for event in reversed(Journal(store).events())]
    return [
        (each.what, each.details["key"], each.details["behind"])
        for each in events
        if each.what in (What.CA_ROTATED, What.CA_RETIRED)
    ]


def test_hosts_have_moved_when_they_were_seen_to(rotation: Rotation, peopled: Store) -> None:
    """By the fingerprint of the next key; one of another key, or none, is not moved."""
    assert rotation.behind() == ()
    made = rotation.rotate(ROOT, Which.TARGET_CA, NOW)
    peopled.add_host(host("web-1"), ROOT, NOW)
    peopled.host_moved("web-1", "SHA256:older", ROOT, NOW)
    assert rotation.behind() == ("prod-host", "web-1")
    peopled.host_moved("web-1", made.fingerprint, ROOT, NOW)
    assert rotation.behind() == ("prod-host",)
    with pytest.raises(Conflict, match=r"^prod-host has not moved to the next target CA"):
        rotation.retire(ROOT, Which.TARGET_CA, NOW)
    peopled.host_moved("prod-host", made.fingerprint, ROOT, NOW)
    done = rotation.retire(ROOT, Which.TARGET_CA, NOW)
    assert (done.present.fingerprint, done.behind) == (made.fingerprint, ())
    assert rotation.behind() == ()


def test_each_step_is_told_with_what_it_left_behind(
    rotation: Rotation, peopled: Store, ca: Authority
) -> None:
    """The key that was made or retired; and nothing of what was refused."""
    old = ca.public_key(Which.TARGET_CA)
    made = rotation.rotate(ROOT, Which.TARGET_CA, NOW)
    for refused in (rotation.rotate, rotation.retire):
        with pytest.raises(Conflict):
            refused(ROOT, Which.TARGET_CA, NOW)
    rotation.retire(ROOT, Which.TARGET_CA, NOW, force=True)
    assert told(peopled) == [
        (What.CA_ROTATED, made.fingerprint, []),
        (What.CA_RETIRED, old.fingerprint, ["prod-host"]),
    ]


def test_a_change_that_can_not_be_told_does_not_happen(
    rotation: Rotation, peopled: Store, keys: Path
) -> None:
    """Without the database no key is made and none retires."""
    before = sorted(keys.iterdir())
    with peopled.write() as connection:
        connection.exec_driver_sql("ALTER TABLE meta RENAME TO away")
    with pytest.raises(Unavailable, match="database"):
        rotation.rotate(ROOT, Which.USER_CA, NOW)
    assert sorted(keys.iterdir()) == before


def test_what_hangs_on_the_old_key_is_counted(
    rotation: Rotation, peopled: Store, ca: Authority
) -> None:
    """Live certificates of contractors that were signed before the next key was made."""
    now = datetime.now(UTC)

    def sign(kind: Kind, at: datetime, lasting: timedelta) -> int:
        return peopled.sign_into_ledger(
            Draft(kind, "alice", frozenset({1}), at),
            lambda serial: ca.sign_user(ALICE, "alice", serial, at, at + lasting),
        ).serial

    hour_ago = now - HOUR
    sign(Kind.USER, hour_ago, 2 * HOUR)
    sign(Kind.USER, hour_ago, HOUR / 2)
    sign(Kind.TARGET, hour_ago, 2 * HOUR)
    lost = sign(Kind.USER, hour_ago, 2 * HOUR)
    peopled.revoke_certificate(lost, ROOT, "lost", now)
    rotation.rotate(ROOT, Which.USER_CA, now)
    sign(Kind.USER, now + timedelta(minutes=1), HOUR)
    assert rotation.retire(ROOT, Which.USER_CA, now + timedelta(minutes=2)).live == 1


def test_many_hosts_are_named_up_to_a_number() -> None:
    """A sentence stays one."""
    assert named(("a", "b")) == "a, b"
    many = tuple(f"h{number}" for number in range(NAMED + 3))
    assert named(many).endswith(f"h{NAMED - 1} and 3 more")
