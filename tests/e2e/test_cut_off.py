"""Two bastions over one PostgreSQL, of which one is cut off from it, and so from the other; and one
for which it is slow."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests import postgres
from tests.e2e.bastion import Bastion
from tests.e2e.cable import Cable
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.test_database_away import ECHO, nothing_is_lost
from tests.e2e.test_machines import Second, counting, ends_of
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE, Running

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

LEADER = (
    "SELECT client_port FROM pg_locks JOIN pg_stat_activity USING (pid) JOIN pg_database ON "
    "pg_database.oid = database WHERE locktype = 'advisory' AND objid = 7023 AND granted AND "
    "pg_database.datname = current_database()"
)


@pytest.fixture
def url() -> str:
    """The database of both."""
    return postgres.server().new_url()


@pytest.fixture
def cable() -> Iterator[Cable]:
    """What the first machine reaches it by."""
    made = Cable(postgres.server().port)
    yield made
    made.remove()


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm, url: str, cable: Cable) -> Iterator[Bastion]:
    """The first one."""
    by_cable = url.replace(str(postgres.server().port), str(cable.port))
    made = Bastion(tmp_path / "gate-1", warm, by_cable)
    settings = made.home / "bastion.toml"
    settings.write_text(f'node = "gate-1"\n{settings.read_text()}')
    with serving(made, sshd):
        yield made


@pytest.fixture
def second(tmp_path: Path, own: Bastion, warm: Warm, cable: Cable) -> Iterator[Bastion]:
    """The other one, which reaches it by itself."""
    made = Second(tmp_path / "gate-2", own, warm)
    settings = made.home / "bastion.toml"
    direct = settings.read_text().replace(str(cable.port), str(postgres.server().port))
    settings.write_text(direct)
    made.start()
    yield made
    made.stop()


def leaders(url: str) -> list[int]:
    """From which port whoever leads has come: never more than one."""
    with closing(psycopg.connect(url)) as raw:
        return [port for (port,) in raw.execute(LEADER)]


async def goes_on(session: Running) -> None:
    """It shows more than it had."""
    seen = len(session.stdout.seen)
    async with asyncio.timeout(PATIENCE):
        while len(session.stdout.seen) <= seen:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)


async def test_one_that_is_cut_off_lets_nobody_in_and_does_not_lead(
    bob: Contractor, own: Bastion, second: Bastion, cable: Cable, url: str
) -> None:
    """The other one leads, and takes what the first carries for lost, until it hears of it again.

    What was revoked meanwhile is felt as soon as it can be heard of.
    """
    async with counting(bob, own) as here, counting(bob, second) as there:
        assert [port in cable.ports for port in leaders(url)] == [True]
        await asyncio.to_thread(cable.cut)
        assert (await bob.jump("echo in", patience=60)).status == 255
        async with asyncio.timeout(2 * PATIENCE):
            while [port in cable.ports for port in leaders(url)] != [False]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            while await ends_of(second) != {None, "lost"}:
                pass
        await goes_on(here)
        await goes_on(there)
        await second.admin("revoke", "G-1", "--reason", "done")
        await there.stderr.expect("G-1 was revoked")
        await goes_on(here)
        await asyncio.to_thread(cable.mend)
        await here.stderr.expect("G-1 was revoked", 2 * PATIENCE)
        assert await here.wait() == 255
    async with asyncio.timeout(2 * PATIENCE):
        while await ends_of(second) != {"revoked"}:
            pass
        while not all(row["recording"]["sealed"] for row in await second.rows("sessions")):
            pass
    assert len(leaders(url)) == 1
    await own.admin("audit", "verify", expect=0)


async def test_a_slow_database_slows_who_comes_and_loses_nothing(
    bob: Contractor, own: Bastion, cable: Cable, url: str
) -> None:
    """Each word to it and back takes a tenth of a second: what is shown waits for none of them,
    new sessions begin later, and a revocation is felt."""
    async with bob.jumping(ECHO) as session:
        await session.send("one\n")
        await session.stdout.expect("got one\n")
        cable.takes = 0.05
        await session.send("two\n")
        await session.stdout.expect("got two\n")
        assert (await bob.jump("echo in", patience=60)).out == "in\n"
        await own.admin("revoke", "G-1", "--reason", "done", expect=0)
        await session.stderr.expect("G-1 was revoked", 2 * PATIENCE)
        assert await session.wait() == 255
        assert (await bob.jump("echo in", patience=60)).status == 255
    cable.takes = 0.0
    rows = await nothing_is_lost(own, url)
    assert {row["end_reason"] for row in rows} == {"closed", "revoked"}
