"""The signer's book held against the ledger: what is in one alone is found."""

import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bastion.authority import Authority, Which, certify_host
from bastion.authority.generations import follow, leave, retire, rotate
from bastion.authority.keyfiles import CAS, make_keys
from bastion.ledger import Draft, Kind, Signed
from bastion.signing.checkup import book_of, checkup, compared
from bastion.signing.client import SignerClient
from bastion.signing.comparing import Comparison, Difference, Found
from bastion.store import Store
from tests.bastion.signers import Running
from tests.bastion.test_authority import ALICE
from tests.bastion.test_ledger import signed as unsigned
from tests.bastion.test_signing import NOW, limits

HOUR = timedelta(hours=1)
LATER = NOW + HOUR


class House:
    """A home's keys and ledger, with a signer."""

    def __init__(self, signer: Running, place: Path, store: Store) -> None:
        self.signer, self.store = signer, store
        self.client = SignerClient(place / "socket", 5.0)
        self.authority = Authority.load(place / "keys", self.client.signer)

    def certificate(self, user: str = "alice") -> Signed:
        """One that is signed into the ledger."""
        return self.store.sign_into_ledger(
            Draft(Kind.USER, user, frozenset(), NOW), lambda serial: self.signed(serial, user)
        )

    def signed(self, serial: int, user: str = "alice") -> Signed:
        """One that is signed, and kept nowhere."""
        return self.authority.sign_user(ALICE, user, serial, NOW, NOW + HOUR)

    def found(self, book: list[str] | None = None) -> list[Found]:
        """What does not fit, an hour later."""
        lines = list(book_of(self.client)) if book is None else book
        return list(compared(lines, self.store, Comparison(LATER)))

    def complaints(self) -> list[tuple[bool, str]]:
        """What a checkup finds."""
        cas = {which: self.authority.generations(which) for which in CAS}
        return [(c.grave, c.what) for c in checkup(self.client, cas, self.store, LATER)]


@pytest.fixture
def house(on_file: Store) -> Iterator[House]:
    """Everything in one directory, with a short name."""
    with tempfile.TemporaryDirectory(prefix="sg-") as name:
        place = Path(name)
        signer = Running.made(place / "signer", limits(place), lambda: NOW)
        home = place / "keys"
        home.mkdir(0o700)
        make_keys(home)
        certify_host(home, ("bastion",), HOUR, NOW)
        for which in CAS:  # as adopting leaves them, the other way round
            (home / which).replace(signer.place.keys / which)
            (signer.place.keys / f"{which}.pub").write_bytes((home / f"{which}.pub").read_bytes())
        (signer.place.keys / "host.pub").write_bytes((home / "host.pub").read_bytes())
        with signer:
            made = House(signer, place, on_file)
            yield made
            made.client.close()


def test_each_certificate_stands_in_both(house: House) -> None:
    """Seals and host certificates stand in the book alone, as they should."""
    for _ in range(3):
        house.certificate()
    house.authority.host_keys_for("web-1", NOW)
    assert house.found() == []
    assert len(house.signer.lines()) == 4


def test_what_was_signed_for_somebody_else_is_found(house: House) -> None:
    """Unless it was just now: then it may be on its way."""
    house.certificate()
    house.signed(7, "mallory")
    (found,) = house.found()
    assert found.difference is Difference.UNKNOWN
    assert "Certificate 7 (mallory C-7) was signed at 2026-11-23 12:00:00 UTC" in found.what
    lines = list(book_of(house.client))
    assert list(compared(lines, house.store, Comparison(NOW))) == []
    assert list(compared(lines, house.store, Comparison(LATER, since=LATER))) == []


def test_what_the_signer_did_not_sign_is_found(house: House) -> None:
    """A line of the ledger that somebody wrote, beside those from before there was a signer."""
    before = Draft(Kind.USER, "old", frozenset(), NOW - HOUR)
    house.store.sign_into_ledger(before, lambda serial: unsigned(serial, user="old"))
    house.certificate()
    house.store.sign_into_ledger(Draft(Kind.USER, "alice", frozenset(), NOW), unsigned)
    (found,) = house.found()
    assert found.difference is Difference.UNSIGNED
    assert "Certificate 3 (alice C-3) is in the ledger and not in the book" in found.what


def test_a_book_that_was_changed_is_found(house: House) -> None:
    """A line taken out, one changed, one that is none."""
    for _ in range(4):
        house.certificate()
    lines = list(book_of(house.client))
    assert house.found(lines) == []
    for broken in (
        [*lines[:1], *lines[2:]],
        lines[1:],
        [lines[0].replace("alice", "carol"), *lines[1:]],
        [*lines[:2], "[" * 5000, *lines[2:]],
    ):
        assert Difference.CHANGED in [each.difference for each in house.found(broken)]


def test_a_serial_that_was_taken_back_is_not_used_again(house: House) -> None:
    """The line of the ledger was undone after its certificate was made: the next has another."""
    house.certificate()

    def breaks_off(serial: int) -> Signed:
        house.signed(serial, "alice")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        house.store.sign_into_ledger(Draft(Kind.USER, "alice", frozenset(), NOW), breaks_off)
    assert house.certificate("bob").serial == 3
    assert house.certificate("bob").serial == 4
    assert [each.difference for each in house.found()] == [Difference.UNKNOWN]


def test_a_checkup_says_what_is_wrong(house: House) -> None:
    """The same account, a certificate that nobody kept, and nobody there."""
    own = (False, "The signer runs under the bastion's own account, so it keeps nothing from it.")
    assert house.complaints() == [own]
    house.signed(7, "mallory")
    grave = [what for grave, what in house.complaints() if grave]
    assert len(grave) == 1
    assert "mallory" in grave[0]
    house.signer.stop()
    house.client.close()
    assert house.complaints() == [
        (True, "The signer does not answer, so nothing new can be opened.")
    ]


def test_keys_are_changed_at_the_signer_and_the_home_follows(house: House) -> None:
    """Tested with the verbs in tests/cli; here, that each step in between signs."""
    keys, home = house.signer.place.keys, house.authority._directory
    for which in (Which.USER_CA, Which.SEAL):
        made = rotate(keys, which, NOW, apart=True)
        house.certificate()
        assert any("not known here" in what for _, what in house.complaints())
        live = house.client.keys()[which].live
        assert follow(home, which, house.client.signer, live, NOW).blob == made.blob
        house.certificate()
        assert house.authority.generations(which).newest.public.blob == made.blob
        if which is not Which.SEAL:
            leave(home, which, house.client.signer, NOW)
        assert any("retired here" in what for _, what in house.complaints())
        house.certificate()
        retire(keys, which, NOW, apart=True)
        house.certificate()
        assert not any("key" in what for _, what in house.complaints())
    assert house.found() == []
