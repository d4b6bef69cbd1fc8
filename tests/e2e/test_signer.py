"""A signer apart: the bastion's processes hold no CA's private half, and work by it."""

import asyncio
import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.signing import Signer
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE

pytestmark = pytest.mark.timeout(120)

PRIVATE = b"PRIVATE KEY-----"
UNSEEN = "not-asked-for-yet"
"""Another name of the target's."""


@pytest.fixture(scope="module")
def signed_for(
    tmp_path_factory: pytest.TempPathFactory, sshd: Sshd, warm: Warm
) -> Iterator[tuple[Bastion, Signer]]:
    """A bastion and its signer."""
    bastion = Bastion(tmp_path_factory.mktemp("signed") / "home", warm)
    bastion.set("limits", "drain", "1s")
    sshd.trust(bastion.admin_now("ca", "show", "target").out)
    pinned = ("--address", sshd.address, "--host-key", str(sshd.host_key_file))
    bastion.admin_now("host", "add", HOST, "--alias", UNSEEN, *pinned)
    with tempfile.TemporaryDirectory(prefix="sg-") as place:
        signer = Signer(bastion, Path(place))
        signer.start()
        bastion.start()
        yield bastion, signer
        bastion.stop()
        assert signer.stop() == 0


@pytest.fixture
def bastion(signed_for: tuple[Bastion, Signer]) -> Bastion:
    """The bastion."""
    return signed_for[0]


@pytest.fixture
def signer(signed_for: tuple[Bastion, Signer]) -> Signer:
    """Its signer."""
    return signed_for[1]


@pytest.fixture(scope="module")
def bob(
    tmp_path_factory: pytest.TempPathFactory, signed_for: tuple[Bastion, Signer], sshd: Sshd
) -> Contractor:
    """Somebody with a shell there."""
    home = tmp_path_factory.mktemp("bob") / "bob"
    person = Contractor.enrolled(home, "bob", signed_for[0], sshd.login)
    person.granted_now()
    person.certified_now()
    return person


async def told(bastion: Bastion, times: int = 1) -> list[str]:
    """What the log has of the signer, once it has so much."""
    async with asyncio.timeout(15):
        while True:
            out = (await bastion.admin("audit", "--what", "signer.changed", "--json")).out
            events = [json.loads(line)["why"] for line in out.splitlines()]
            if len(events) >= times:
                return events


async def test_a_jump_works_and_no_ca_is_in_the_home(
    bastion: Bastion, signer: Signer, bob: Contractor
) -> None:
    """What was signed for it stands in the signer's book; of the home's keys one is private."""
    done = await bob.jump("echo here")
    assert (done.status, done.out) == (0, "here\n")
    async with asyncio.timeout(PATIENCE):  # files come and go until then
        while not all(row["recording"]["sealed"] for row in await bastion.rows("sessions")):
            pass
    files = [file for file in bastion.home.rglob("*") if file.is_file()]
    private = {file.name for file in files if PRIVATE in file.read_bytes()}
    assert private == {"host"}
    kinds = [(entry["ca"], entry["what"]) for entry in signer.book]
    assert ("user_ca", "bob C-1") in kinds
    assert ("target_ca", "C-1 bob G-1") in kinds
    assert ("host_ca", f"host {HOST}") in kinds
    checked = await bastion.admin("host", "check", HOST, "--login", bob.login)
    assert "login" in checked.out
    ledger = {row["sha256"] for row in await bastion.rows("certificates")}
    signed = {e["sha256"] for e in signer.book if e["ca"] in ("user_ca", "target_ca")}
    assert signed == ledger
    assert "each is in the ledger" in (await bastion.admin("signer", "verify")).err


async def test_without_its_signer_nothing_new_begins_and_what_is_live_goes_on(
    bastion: Bastion, signer: Signer, bob: Contractor
) -> None:
    """One sentence says so; when it is there again, so is all the rest, and nobody restarts."""
    async with bob.jumping("cat") as live:
        await live.send("one\n")
        await live.stdout.expect("one\n")
        signer.stop(signal.SIGKILL)
        refused = await bob.jump("true")
        assert refused.status == 254
        assert "bastion: The signer does not answer, so nothing new can be opened" in refused.err
        unseen = await bob.jump("true", host=UNSEEN)  # which has no host certificate yet
        assert unseen.status == 255
        assert "bastion: The signer does not answer" in unseen.err
        cert = await bob.ssh("bastion", "cert")
        assert cert.status == 1
        assert "bastion: The signer does not answer" in cert.err
        await live.send("two\n")
        await live.stdout.expect("two\n")
        assert await told(bastion) == ["it does not answer: nothing new is opened"]
        signer.start()
        again = await bob.jump("echo again")
        assert (again.status, again.out) == (0, "again\n"), again.err
    assert "it answers again" in await told(bastion, 2)


async def test_what_the_limits_do_not_name_is_refused(
    bastion: Bastion, signer: Signer, bob: Contractor
) -> None:
    """Though the bastion's own rules and grants let it through; a change counts at once."""
    limits = signer.directory / "signer.toml"
    before = limits.read_text()
    limits.write_text(before.replace('logins = ["*"]', 'logins = ["deploy"]'))
    try:
        refused = await bob.jump("true")
        assert refused.status == 254
        assert f"The signer refused: it does not sign for {bob.login} on {HOST};" in refused.err
    finally:
        limits.write_text(before)
    assert (await bob.jump("true")).status == 0
