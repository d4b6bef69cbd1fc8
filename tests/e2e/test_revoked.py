"""RevokedKeys at a real sshd: what is on the list is refused, and nobody else ever is."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bastion.actor import Actor
from bastion.app import Services, opened
from bastion.clock import Clock
from bastion.home import Home
from bastion.inventory import Role, User
from bastion.krl import decode
from bastion.ledger import Draft, Kind, Signed
from bastion.revocation import Revocation, RevocationKeeper
from tests.bastion.test_authority import ALICE
from tests.corpus.world import until
from tests.e2e.bastion import Bastion
from tests.e2e.client import make_key
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.revoking import RevokingSshd
from tests.e2e.warm import Warm
from tests.e2e.watching import run

ROOT = Actor("os:root")
TIMES = 50


@pytest.fixture
def target() -> Iterator[RevokingSshd]:
    """A target of its own."""
    made = RevokingSshd()
    yield made
    made.stop()


@pytest.fixture
def services(tmp_path: Path, warm: Warm, target: RevokingSshd) -> Iterator[Services]:
    """The services of a bastion that the target trusts; it knows alice."""
    made = Bastion(tmp_path / "home", warm)
    target.trust(made.admin_now("ca", "show", "target").out)
    with opened(Home(made.home)) as found:
        alice = User("alice", frozenset({Role.CONTRACTOR}), keys=(ALICE,))
        found.store.add_user(alice, ROOT, datetime.now(UTC))
        yield found


@dataclass(frozen=True)
class Way:
    """What it takes to log in at the target, as the bastion would."""

    target: RevokingSshd
    key: Path
    serial: int

    async def open(self) -> bool:
        """Whether the target lets in."""
        done = await run(
            *("ssh", "-F", "none", "-i", str(self.key), "-p", str(self.target.port)),
            *("-o", f"CertificateFile={self.key}-cert.pub", "-o", "IdentitiesOnly=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "IdentityAgent=none", "-o", "BatchMode=yes"),
            *(f"{self.target.login}@127.0.0.1", "echo in"),
            env={"PATH": "/usr/bin:/bin"},
        )
        assert (done.out == "in\n") is (done.status == 0), done.err
        return done.status == 0


def way(services: Services, target: RevokingSshd, place: Path) -> Way:
    """A target's certificate of the ledger, and its key."""
    now, made = services.clock.now(), []

    def sign(serial: int) -> Signed:
        made.append(
            services.authority.target_credential(
                target.login, "w", "x", force_command=None, pty=False, now=now, serial=serial
            )
        )
        return made[-1].signed

    signed = services.store.sign_into_ledger(Draft(Kind.TARGET, "alice", frozenset({1}), now), sign)
    key = place / f"key-{signed.serial}"
    made[-1].key.write_private_key(str(key))
    key.chmod(0o600)
    key.with_name(f"{key.name}-cert.pub").write_text(f"{signed.line}\n")
    return Way(target, key, signed.serial)


async def test_what_is_revoked_is_refused_and_nobody_else(
    services: Services, target: RevokingSshd, tmp_path: Path
) -> None:
    """While the list is written fifty times, whoever is not on it gets in at every try."""
    revocation = Revocation(services.store, services.authority)
    keeper = RevocationKeeper(revocation, target.krl, Clock(), ROOT)
    lost, good = (way(services, target, tmp_path) for _ in range(2))
    assert await lost.open()
    assert await good.open()
    services.store.revoke_certificate(lost.serial, ROOT, "lost", services.clock.now())
    assert keeper.update()
    assert not await lost.open()
    assert "revoked by file" in target.log

    others = [way(services, target, tmp_path) for _ in range(TIMES)]

    async def revoke_all() -> None:
        for other in others:
            now = services.clock.now()
            await asyncio.to_thread(
                services.store.revoke_certificate, other.serial, ROOT, "lost", now
            )
            assert await asyncio.to_thread(keeper.update)

    async def come_in() -> list[bool]:
        answers = []
        while not over.is_set():
            answers.append(await good.open())
        return answers

    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tries = group.create_task(come_in())
        await revoke_all()
        over.set()
    assert len(tries.result()) >= 3
    assert all(tries.result())
    assert not await others[0].open()
    assert not await others[-1].open()


async def test_without_a_list_nobody_gets_in(
    services: Services, target: RevokingSshd, tmp_path: Path
) -> None:
    """Why so much care is taken: a list that is missing or damaged shuts everybody out, and one
    look of whoever keeps it lets them in again."""
    keeper = RevocationKeeper(
        Revocation(services.store, services.authority), target.krl, Clock(), ROOT
    )
    keeper.update()
    good = way(services, target, tmp_path)
    assert await good.open()
    for harm in (target.krl.unlink, lambda: target.krl.write_bytes(b"SSHKRL")):
        harm()
        assert not await good.open()
        assert keeper.update()
        assert await good.open()


@pytest.fixture
def keeping(tmp_path: Path, target: RevokingSshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion that serves, and keeps the target's list."""
    made = Bastion(tmp_path / "keeping", warm)
    made.set("access", "krl", str(target.krl))
    target.trust(made.admin_now("ca", "show", "target").out)
    pinned = ("--address", target.address, "--host-key", str(target.host_key_file))
    made.admin_now("host", "add", HOST, *pinned, "--shell-type", "bash")
    made.start()
    yield made
    made.stop()


async def test_the_service_keeps_the_list(
    keeping: Bastion, target: RevokingSshd, tmp_path: Path
) -> None:
    """What is revoked is refused at the target a moment later; the bastion's own jumps go on."""
    alice = Contractor.enrolled(tmp_path / "alice", "alice", keeping, target.login)
    alice.granted_now()
    alice.certified_now()
    assert (await alice.jump("echo one")).out == "one\n"
    (minted, *_) = await keeping.rows("certificates", "--kind", "target")
    await keeping.admin("revoke", str(minted["serial"]), "--reason", "lost")
    await until(lambda: decode(target.krl.read_bytes()).serials)
    (ranges,) = decode(target.krl.read_bytes()).serials.values()
    assert ranges == ((minted["serial"], minted["serial"]),)
    assert (await alice.jump("echo two")).out == "two\n"


async def test_a_retired_ca_is_refused_where_it_is_still_trusted(
    services: Services, target: RevokingSshd, tmp_path: Path, warm: Warm
) -> None:
    """A stolen private half, and a target whose TrustedUserCAKeys nobody has changed."""
    stolen = tmp_path / "stolen"
    shutil.copy(services.home.keys / "target_ca", stolen)
    home = ("--home", str(services.home.directory))
    for words in (("rotate", "target"), ("rotate", "target", "--retire", "--force")):
        assert warm.run(*home, "ca", *words).status == 0
    key = tmp_path / "key"
    make_key(key)
    signing = ("-s", str(stolen), "-I", "mallory", "-n", target.login, f"{key}.pub")
    assert (await run("ssh-keygen", "-q", *signing, env={"PATH": "/usr/bin:/bin"})).status == 0
    forged = Way(target, key, 0)
    assert await forged.open()
    assert warm.run(*home, "ca", "krl", "--output", str(target.krl)).status == 0
    assert not await forged.open()
