"""The ledger: nothing signed is missing, and no serial is given twice."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bastion.errors import Conflict, NotFound, Unavailable
from bastion.events import What
from bastion.ledger import Draft, Kind, SerialTaken, Signed
from bastion.store import Store
from bastion.store import events as log
from bastion.store.journal import Journal
from bastion.store.ledger import LATEST, Wanted
from tests.bastion.worlds import BOB, HOUR, NOW, ROOT, SECOND, grant


def draft(*grants: int, user: str = "alice", kind: Kind = Kind.USER) -> Draft:
    """What somebody wants to have signed."""
    return Draft(kind, user, frozenset(grants), NOW, source="10.1.2.3")


def signed(serial: int, *, user: str = "alice", name: str = "") -> Signed:
    """What a CA that is quick gives."""
    blob = f"{user}{name}{serial}".encode()
    return Signed(
        line=f"line {serial}",
        blob=blob,
        sha256=hashlib.sha256(blob).hexdigest(),
        serial=serial,
        key_id=f"{user} C-{serial}",
        fingerprint=f"SHA256:{user}-1",
        principals=(user, f"C-{serial}"),
        valid_after=NOW,
        valid_before=NOW + HOUR,
    )


def test_what_is_signed_stands_in_the_ledger(peopled: Store) -> None:
    """With its serial, its whole hash, and what it counts for."""
    made = peopled.sign_into_ledger(draft(7, 8), signed)
    (line,) = peopled.certificates("alice", "SHA256:alice-1")
    assert (line.serial, line.sha256, line.grants) == (1, made.sha256, frozenset({7, 8}))
    assert peopled.certificate_with(made.sha256) == line
    (entry,) = peopled.ledger()
    assert entry.principals == ("alice", "C-1")
    assert entry.source == "10.1.2.3"
    assert (entry.valid_after, entry.valid_before) == (NOW, NOW + HOUR)


def numbered_anew(store: Store) -> list[int]:
    """The serials of three, where a signer wants 7 for the first."""

    def wants_seven(serial: int) -> Signed:
        if serial < 7:
            raise SerialTaken("The serial was signed before.", 7)
        return signed(serial)

    return [store.sign_into_ledger(draft(7), each).serial for each in (wants_seven, signed, signed)]


def test_a_serial_that_was_signed_before_is_left_out(peopled: Store) -> None:
    """The signer says which one would do; the ledger counts on from there."""
    assert numbered_anew(peopled) == [7, 8, 9]
    assert [entry.serial for entry in peopled.ledger()] == [9, 8, 7]


def test_a_signature_that_fails_leaves_no_line(peopled: Store) -> None:
    """Neither an empty line nor a gap for readers to stumble over."""

    def fails(serial: int) -> Signed:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        peopled.sign_into_ledger(draft(7), fails)
    with pytest.raises(ValueError, match="another serial"):
        peopled.sign_into_ledger(draft(7), lambda serial: signed(serial + 1))
    assert peopled.ledger() == []


def test_who_wants_one_at_the_same_time_shares_a_transaction(peopled: Store) -> None:
    """What is refused to one leaves no line, and keeps no other from its certificate."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(serial: int) -> Signed:
        begun.set()
        assert go_on.wait(10)
        return signed(serial)

    def refuses(serial: int) -> Signed:
        raise Unavailable("The signer does not sign that.")

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(peopled.sign_into_ledger, draft(7), slow)
        assert begun.wait(10)
        others = [
            pool.submit(peopled.sign_into_ledger, draft(7), each)
            for each in (signed, refuses, signed)
        ]
        while len(peopled._signing._turns._waiting) < len(others):
            pass
        go_on.set()
        assert first.result().serial == 1
        kept = sorted(each.result().serial for each in others if each.exception() is None)
        assert isinstance(others[1].exception(), Unavailable)
    assert kept == sorted(entry.serial for entry in peopled.ledger())[1:]
    told = Journal(peopled).events(log.Wanted(what=frozenset({What.CERTIFICATE_SIGNED})))
    assert len(told) == len(peopled.ledger()) == 3


def test_what_was_signed_for_and_not_kept_is_not_signed_for_again(
    peopled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database went as it was to keep them: whoever waits is told so, each once."""
    asked: list[int] = []

    def counted(serial: int) -> Signed:
        asked.append(serial)
        return signed(serial)

    def goes(*_: object) -> None:
        raise Unavailable("The database does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr("bastion.store.events.append_all", goes)
        with pytest.raises(Unavailable):
            peopled.sign_into_ledger(draft(7), counted)
    assert asked == [1]
    assert peopled.ledger() == []


def test_many_at_once_have_each_their_own_serial(peopled: Store) -> None:
    """200 by 8 threads: 200 lines, each with the certificate that was signed for it."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: peopled.sign_into_ledger(draft(7), signed), range(200)))
    assert sorted(one.serial for one in made) == list(range(1, 201))
    kept = {entry.serial: entry.sha256 for entry in peopled.ledger()}
    assert kept == {one.serial: one.sha256 for one in made}


def test_the_whole_certificate_is_compared(peopled: Store) -> None:
    """A stolen CA's certificate with a serial of the ledger is not in the ledger."""
    made = peopled.sign_into_ledger(draft(7), signed)
    forged = signed(made.serial, name="forged")
    assert peopled.certificate_with(forged.sha256) is None
    assert peopled.certificate_with("") is None


def test_a_targets_certificate_opens_no_door(peopled: Store) -> None:
    """It is kept, but it is nobody's proof."""
    made = peopled.sign_into_ledger(draft(7, kind=Kind.TARGET), signed)
    assert peopled.certificate_with(made.sha256) is None
    assert peopled.certificates("alice", "SHA256:alice-1") == ()
    assert [entry.kind for entry in peopled.ledger()] == [Kind.TARGET]


def test_certificates_are_a_keys_and_a_users(peopled: Store) -> None:
    """The newest first, and not without end."""
    for _ in range(LATEST + 3):
        peopled.sign_into_ledger(draft(7), signed)
    found = peopled.certificates("alice", "SHA256:alice-1")
    assert [c.serial for c in found] == list(range(LATEST + 3, 3, -1))
    assert peopled.certificates("bob", "SHA256:alice-1") == ()
    assert peopled.certificates("alice", "SHA256:bob-1") == ()


def test_a_certificate_is_revoked_once(peopled: Store) -> None:
    """From then on it does not count."""
    made = peopled.sign_into_ledger(draft(7), signed)
    entry = peopled.revoke_certificate(made.serial, BOB, "lost", NOW + SECOND)
    assert (entry.revoked_by, entry.revoke_reason) == ("bob", "lost")
    (line,) = peopled.certificates("alice", "SHA256:alice-1")
    assert not line.live(NOW + SECOND)
    with pytest.raises(Conflict, match="was revoked by bob"):
        peopled.revoke_certificate(made.serial, BOB, "lost", NOW + SECOND)
    with pytest.raises(NotFound, match="no certificate 99"):
        peopled.revoke_certificate(99, BOB, "lost", NOW)
    peopled.sign_into_ledger(draft(7), signed)
    with pytest.raises(Conflict, match="is over"):
        peopled.revoke_certificate(2, BOB, "lost", NOW + HOUR)


def test_the_ledger_is_narrowed(peopled: Store) -> None:
    """By user, grant, kind and whether it counts."""
    peopled.add_grant(grant(), ROOT, NOW)
    peopled.sign_into_ledger(draft(7), signed)
    peopled.sign_into_ledger(draft(8, user="bob"), lambda s: signed(s, user="bob"))
    peopled.sign_into_ledger(replace(draft(8), kind=Kind.TARGET, connection=3, host="db"), signed)
    peopled.revoke_certificate(1, BOB, "lost", NOW)

    def serials(**wanted: object) -> list[int]:
        return [e.serial for e in peopled.ledger(Wanted(**wanted))]  # type: ignore[arg-type]

    assert serials() == [3, 2, 1]
    assert serials(user="alice") == [3, 1]
    assert (serials(grant=8), serials(grant=1)) == ([3, 2], [])
    peopled.sign_into_ledger(draft(18, 80, 8), signed)
    assert (serials(grant=8), serials(grant=18), serials(grant=80)) == ([4, 3, 2], [4], [4])
    peopled.revoke_certificate(4, BOB, "lost", NOW)
    assert serials(kind=Kind.TARGET) == [3]
    assert serials(live_at=NOW) == [3, 2]
    assert serials(live_at=NOW + HOUR) == []
    assert [e.serial for e in peopled.ledger(limit=1)] == [4]
    assert [e.serial for e in peopled.ledger(limit=1, before=3)] == [2]
    assert (peopled.ledger()[1].connection, peopled.ledger()[1].host) == (3, "db")
