"""Two bastions over one PostgreSQL, behind one name: what one has, the other knows."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests import postgres
from tests.e2e.bastion import Bastion, free_port
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import Running

pytestmark = pytest.mark.timeout(120)

COUNTING = "i=0; while sleep 0.05; do i=$((i+1)); echo $i; done"


class Second(Bastion):
    """Another machine of the same bastion: three things of the first one's home are copied."""

    def __init__(self, home: Path, first: Bastion, warm: Warm) -> None:
        home.mkdir(mode=0o700)
        self.home = home
        self.port = free_port()
        self.host_ca = first.host_ca
        self._begin(warm)
        for name in ("bastion.toml", "policy.toml"):
            shutil.copy2(first.home / name, home / name)
        shutil.copytree(first.home / "keys", home / "keys")
        settings = home / "bastion.toml"
        ours = settings.read_text().replace(first.address, self.address).replace("gate-1", "gate-2")
        settings.write_text(ours)


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """The machine on which `init` was."""
    made = Bastion(tmp_path / "gate-1", warm, postgres.server().new_url())
    settings = made.home / "bastion.toml"
    settings.write_text(f'node = "gate-1"\n{settings.read_text()}')
    with serving(made, sshd):
        yield made


@pytest.fixture
def second(tmp_path: Path, own: Bastion, warm: Warm) -> Iterator[Bastion]:
    """The other one."""
    made = Second(tmp_path / "gate-2", own, warm)
    made.start()
    yield made
    made.stop()


@asynccontextmanager
async def counting(bob: Contractor, machine: Bastion) -> AsyncIterator[Running]:
    """A session that goes on, through this machine."""
    port = f"ssh -F {bob.config} -p {machine.port} -W %h:%p bastion"
    line = ("-o", f"ProxyCommand={port}", f"{bob.login}@{HOST}", COUNTING)
    async with bob.start(*line) as going:
        await going.stdout.expect("1\n")
        yield going


async def ends_of(machine: Bastion) -> set[str | None]:
    """How the sessions ended, as this machine has it."""
    return {row["end_reason"] for row in await machine.rows("sessions")}


async def test_one_certificate_opens_both_and_one_word_ends_both(
    bob: Contractor, own: Bastion, second: Bastion
) -> None:
    """Each lists what both carry; what is revoked on one is felt on the other."""
    async with counting(bob, own) as here, counting(bob, second) as there:
        for machine in (own, second):
            assert len(await machine.rows("sessions", "--live")) == 2
        await second.admin("revoke", "G-1", "--reason", "done")
        for session in (here, there):
            await session.stderr.expect("G-1 was revoked")
            assert await session.wait() == 255
    async with asyncio.timeout(10):
        while await ends_of(own) != {"revoked"}:
            pass
    assert "nothing was changed" in (await own.admin("audit", "verify")).out


async def test_two_machines_of_one_name_are_none(own: Bastion, second: Bastion) -> None:
    """The second is not served: whose a recording is would not be known."""
    second.stop()
    settings = second.home / "bastion.toml"
    settings.write_text(settings.read_text().replace("gate-2", "gate-1"))
    refused = await second.admin("serve", "--workers", "1", expect=1)
    assert refused.err == (
        "bastion-admin: Another machine of this database is called gate-1 too, and lives: give "
        "this one a name of its own, by node = in its bastion.toml.\n"
    )


async def test_what_a_machine_carried_is_lost_when_it_dies(
    bob: Contractor, own: Bastion, second: Bastion
) -> None:
    """The other one says so, soon, and goes on. The recording is whole when it is back."""
    async with counting(bob, own) as here, counting(bob, second) as there:
        second.kill9()
        assert await there.wait() == 255
        async with asyncio.timeout(15):
            while await ends_of(own) != {None, "lost"}:
                pass
        before = len(here.stdout.seen)
        async with asyncio.timeout(10):
            while len(here.stdout.seen) == before:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.01)
        seen = bytes(there.stdout.seen)
    second.start()
    async with asyncio.timeout(20):
        while not all(row["recording"]["sealed"] for row in await second.rows("sessions")):
            pass
    lost = next(row for row in await second.rows("sessions") if row["end_reason"] == "lost")
    shown = (await second.admin("export", lost["id"], "--raw", "stdout")).out.encode()
    assert shown.startswith(seen)
