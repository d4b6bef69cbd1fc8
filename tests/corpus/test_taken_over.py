"""Somebody has taken over a process of the bastion: what he gets of a signer apart.

He speaks to its socket from the account that it answers, writes what he likes into the database
of the bastion, and asks for what would let him in everywhere, for ever.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest

from bastion.authority import Which
from bastion.authority.certificates import EARLY, For, Order, issue
from bastion.authority.public_keys import public_key_of
from bastion.errors import Unavailable
from bastion.ledger import SerialTaken
from bastion.signing.client import SignerClient
from tests.bastion.signers import Running
from tests.cli.desks import Installation

HIS = public_key_of(asyncssh.generate_private_key("ssh-ed25519"))


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[tuple[Installation, SignerClient, Running]]:
    """An installation with a signer that signs for `deploy` alone, and the way to it."""
    admin = Installation(tmp_path / "bastion")
    with tempfile.TemporaryDirectory(prefix="sg-") as name:
        place = Path(name)
        where = ("--to", str(place / "signer"), "--socket", str(place / "socket"))
        admin("signer", "adopt", *where)
        limits = place / "signer" / "signer.toml"
        limits.write_text(limits.read_text().replace('["*"]', '["deploy"]', 1))
        client = SignerClient(place / "socket", 5.0)
        with Running(place / "signer", lambda: datetime.now(UTC)) as signer:
            yield admin, client, signer
            client.close()


def wanted(login: str = "deploy", serial: int = 1, life: timedelta | None = None) -> Order:
    """A shell for his own key."""
    now = datetime.now(UTC)
    return Order(
        kind=For.USER,
        key=HIS,
        serial=serial,
        key_id="C-1 alice G-1",
        principals=(login, f"{login}@web-1"),
        valid_after=now - EARLY,
        valid_before=now + (life or timedelta(minutes=1)),
        pty=True,
    )


def test_he_finds_no_private_half_of_a_ca(
    taken: tuple[Installation, SignerClient, Running],
) -> None:
    """Neither in the home, nor by asking: public halves are all that is told."""
    admin, client, _ = taken
    files = [file for file in admin.home.directory.rglob("*") if file.is_file()]
    private = {file.name for file in files if b"PRIVATE KEY" in file.read_bytes()}
    assert private == {"host"}
    assert len(client.keys()) == 4


def test_he_gets_no_other_login_and_no_longer_life(
    taken: tuple[Installation, SignerClient, Running],
) -> None:
    """Whatever he writes into the database: the limits are not in there."""
    _, client, signer = taken
    ca = client.signer(Which.TARGET_CA, signer.public(Which.TARGET_CA))
    for order in (wanted("root"), wanted(life=timedelta(days=365))):
        with pytest.raises(Unavailable, match="it does not sign"):
            issue(ca, order)


def test_what_he_gets_is_seen(taken: tuple[Installation, SignerClient, Running]) -> None:
    """It is in the book, which he can't write, and not in the ledger; nor twice with one serial."""
    admin, client, signer = taken
    ca = client.signer(Which.TARGET_CA, signer.public(Which.TARGET_CA))
    stolen = issue(ca, wanted())
    assert stolen.sha256 in {line["sha256"] for line in signer.lines()}
    with pytest.raises(SerialTaken):
        issue(ca, wanted())
    for row in admin("signer", "log", "--json").json:
        assert row["what"] == "C-1 alice G-1"


def test_he_can_not_certify_another_host_key(
    taken: tuple[Installation, SignerClient, Running],
) -> None:
    """So contractors are not led elsewhere by what they trust."""
    _, client, signer = taken
    now = datetime.now(UTC)
    order = Order(
        kind=For.HOST,
        key=HIS,
        serial=0,
        key_id="host web-1",
        principals=("web-1",),
        valid_after=now,
        valid_before=now + timedelta(hours=1),
    )
    with pytest.raises(Unavailable, match="another host key than the bastion's own"):
        issue(client.signer(Which.HOST_CA, signer.public(Which.HOST_CA)), order)
