"""Keys are changed while people work: a real sshd, a stock client, a server that goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.revoking import RevokingSshd, fingerprint
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE


@pytest.fixture(scope="module")
def target() -> Iterator[RevokingSshd]:
    """A target of this file's own."""
    made = RevokingSshd()
    yield made
    made.stop()


@pytest.fixture
def own(tmp_path: Path, target: RevokingSshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion whose keys may be changed; it serves until the end."""
    made = Bastion(tmp_path / "home", warm)
    target.trust(made.admin_now("ca", "show", "target").out)
    pinned = ("--address", target.address, "--host-key", str(target.host_key_file))
    made.admin_now("host", "add", HOST, *pinned, "--shell-type", "bash")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def person(own: Bastion, target: RevokingSshd, tmp_path: Path) -> Contractor:
    """Somebody with a shell and a certificate."""
    made = Contractor.enrolled(tmp_path / "alice", "alice", own, target.login)
    made.granted_now()
    made.certified_now()
    return made


def check(own: Bastion, target: RevokingSshd, status: int) -> str:
    """What `host check` says of the target CA."""
    return own.admin_now("host", "check", HOST, "--login", target.login, expect=status).out


async def test_the_target_ca(own: Bastion, target: RevokingSshd, person: Contractor) -> None:
    """Nobody is locked out: the old key signs until the target has been seen to trust the next."""
    old = own.admin_now("ca", "show", "target").out
    new = own.admin_now("ca", "rotate", "target").out
    assert (await person.jump("echo one")).out == "one\n"
    assert f"CA ED25519 {fingerprint(old)}" in target.log

    assert "it does not trust the next one yet" in check(own, target, 1)
    refused = own.admin_now("ca", "rotate", "target", "--retire", expect=1).err
    assert f"{HOST} has not moved" in refused

    target.trust(new)
    assert "the next one" in check(own, target, 0)
    begun = len(target.log)
    assert (await person.jump("echo two")).out == "two\n"
    assert f"CA ED25519 {fingerprint(new)}" in target.log[begun:]

    own.admin_now("ca", "rotate", "target", "--retire")
    target.distrust(old)
    assert (await person.jump("echo three")).out == "three\n"
    assert "ok" in check(own, target, 0)


async def test_a_target_that_goes_back_is_seen(
    own: Bastion, target: RevokingSshd, person: Contractor
) -> None:
    """Somebody restored its old list of CAs: a check keeps that, and the old key signs again."""
    new = own.admin_now("ca", "rotate", "target").out
    target.trust(new)
    check(own, target, 0)
    target.distrust(new)
    assert (await person.jump("echo one")).status != 0
    check(own, target, 1)
    assert (await person.jump("echo two")).out == "two\n"
    assert "has not moved" in own.admin_now("ca", "rotate", "target", "--retire", expect=1).err


async def test_the_host_ca(own: Bastion, person: Contractor) -> None:
    """Whoever has both lines notices nothing; whoever has the old one only is stopped by ssh."""
    told = own.admin_now("ca", "rotate", "host").out
    assert (await person.jump("echo one")).out == "one\n"
    old = person.known_hosts.read_text()
    own.admin_now("ca", "rotate", "host", "--retire")
    assert "Host key verification failed" in (await person.jump("echo two")).err
    person.known_hosts.write_text(f"{old}@cert-authority * {told}")
    assert (await person.jump("echo three")).out == "three\n"
    person.known_hosts.write_text(f"@cert-authority * {told}")
    assert (await person.jump("echo four")).out == "four\n"


async def test_the_user_ca(own: Bastion, person: Contractor) -> None:
    """A certificate by the old key counts on while both are trusted; a new one is by the next."""
    before = person.certificate.read_text()
    own.admin_now("ca", "rotate", "user")
    assert (await person.jump("echo one")).out == "one\n"
    own.admin_now("ca", "rotate", "user", "--retire")
    await person.certified()
    assert person.certificate.read_text() != before
    assert (await person.jump("echo two")).out == "two\n"


async def test_the_seal(own: Bastion, person: Contractor) -> None:
    """Changed between sessions and beside them: each is sealed by the key of its moment, all are
    sound, and the public halves of all keys are told."""
    await person.jump("echo one")
    await own.admin("ca", "rotate", "seal")
    async with asyncio.TaskGroup() as group:
        for word in ("two", "three"):
            group.create_task(person.jump(f"echo {word}"))
        group.create_task(own.admin("ca", "rotate", "seal"))
    await person.jump("echo four")
    async with asyncio.timeout(PATIENCE):
        while not all(row["recording"]["sealed"] for row in await own.rows("sessions")):
            pass
    done = await own.admin("verify", "--all")
    assert done.out.startswith("4 recordings: nothing was changed")
    assert len((await own.admin("ca", "show", "seal")).out.splitlines()) == 3
