"""The wall clock is set by an hour while people work: nobody stays longer, and nobody gets in."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

FAULTS = Path(__file__).parent / "faults"
HOUR = 3600
WRONG = "the bastion's clock is wrong, so nothing is opened"


class Wall:
    """The wall clock of the service."""

    def __init__(self, home: Path) -> None:
        self._file = home / "step"

    def set(self, seconds: float) -> None:
        """So far from the right time; whole, at once."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._file)


@pytest.fixture
def wall(own_home: Path) -> Wall:
    """Right, as yet."""
    return Wall(own_home)


@pytest.fixture
def own(
    tmp_path: Path, sshd: Sshd, warm: Warm, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bastion]:
    """A bastion on that clock."""
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    with serving(Bastion(tmp_path / "home", warm), sshd) as made:
        yield made


async def test_an_hour_forward_ends_what_would_have_ended(
    own: Bastion, bob: Contractor, wall: Wall
) -> None:
    """At once; and nothing begins by a clock that was an hour ahead and is right again, until
    somebody has said that it is."""
    async with bob.jumping("echo on; exec cat") as session:
        await session.stdout.expect("on\n")
        await asyncio.to_thread(wall.set, HOUR + 60)
        await session.stderr.expect("G-1 ended at ")
        assert await session.wait() == 255
    refused = await bob.jump("echo in")
    assert (refused.status, refused.out) == (255, "")
    await asyncio.to_thread(wall.set, 0)
    refused = await bob.jump("echo in")
    assert (refused.status, refused.out) == (255, "")
    assert WRONG in refused.err
    async with asyncio.timeout(PATIENCE):
        while not all(row["recording"]["sealed"] for row in await own.rows("sessions")):
            pass
    [row] = await own.rows("sessions")
    assert row["end_reason"] == "expired"
    read = datetime.now(UTC).isoformat()
    await own.admin("clock", "reset", "--now", read, "--reason", "NTP was wrong", expect=0)
    assert (await bob.jump("echo in")).out == "in\n"
    await own.admin("verify", "--all", expect=0)
    await own.admin("audit", "verify", expect=0)


async def test_an_hour_back_prolongs_nothing(own: Bastion, bob: Contractor, wall: Wall) -> None:
    """What goes on ends when it would have; and after a start nothing is opened."""
    await own.admin("revoke", "G-1", "--reason", "for a short one")
    grant = await bob.granted(lasting="8s")
    await bob.certified()
    async with bob.jumping("echo on; exec cat") as session:
        await session.stdout.expect("on\n")
        await asyncio.to_thread(wall.set, -HOUR)
        await session.stderr.expect(f"{grant} ended at ")
        assert await session.wait() == 255
    assert f"{grant} ended at " in (await bob.jump("echo in")).err
    await bob.granted(lasting="1d")
    await asyncio.to_thread(own.stop)
    await asyncio.to_thread(own.start)
    refused = await bob.jump("echo in")
    assert (refused.status, refused.out) == (255, "")
    assert WRONG in refused.err
