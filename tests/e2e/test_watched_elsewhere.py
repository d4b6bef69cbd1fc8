"""A session that one machine carries, watched on another of the same database and store."""

import asyncio
import getpass
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.test_machines import Second, counting
from tests.e2e.warm import Warm

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """The machine that carries it. Whoever runs the tests acts as rita, on both."""
    bucket = tmp_path / "bucket"
    bucket.mkdir(mode=0o700)
    made = Bastion(tmp_path / "gate-1", warm, postgres.server().new_url())
    settings = made.home / "bastion.toml"
    settings.write_text(f'node = "gate-1"\n{settings.read_text()}')
    made.set("recording", "store", f"file://{bucket}")
    made.set("accounts", getpass.getuser(), "rita")
    with serving(made, sshd):
        yield made


@pytest.fixture
def second(tmp_path: Path, own: Bastion, warm: Warm) -> Iterator[Bastion]:
    """The other one."""
    made = Second(tmp_path / "gate-2", own, warm)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def rita(tmp_path: Path, own: Bastion, second: Bastion, sshd: Sshd) -> Contractor:
    """An auditor, whom the name they share led to the other machine."""
    person = Contractor.enrolled(tmp_path / "rita", "rita", own, sshd.login)
    own.admin_now("user", "set", "rita", "--role", "auditor")
    config = person.config.read_text()
    assert str(own.port) in config
    person.config.write_text(config.replace(str(own.port), str(second.port)))
    return person


async def test_it_is_watched_as_it_comes(
    bob: Contractor, own: Bastion, second: Bastion, rita: Contractor
) -> None:
    """To its end; the look is told, and nobody counts as watching who may be late."""
    async with counting(bob, own) as session, rita.start("bastion", "watch", "S-1") as watching:
        await watching.stderr.expect("S-1 is on another machine: shown some seconds later.\n")
        for number in (50, 150):
            await watching.stdout.expect(f"{number}\r?\n")
        assert "50" in (await second.admin("replay", "S-1")).out
        shown = json.loads((await second.admin("show", "S-1", "--json")).out)
        assert shown["watchers"] == []
        await own.admin("revoke", "G-1", "--reason", "done")
        assert await session.wait() == 255
        await watching.stdout.expect("G-1 was revoked")
        await watching.stderr.expect("S-1 is over")
        assert await watching.wait() == 0
    looks = (await second.admin("audit", "--user", "rita", "--json")).out
    assert '"how":"watch"' in looks.replace(" ", "")
    async with asyncio.timeout(20):
        while (await second.rows("sessions"))[0]["end_reason"] != "revoked":
            pass
