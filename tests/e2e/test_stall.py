"""A disk that does not answer, or not soon: nothing unrecorded is shown, nobody waits for ever."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE

FAULTS = Path(__file__).parent / "faults"
STALL = "2s"
MB = 10**6


@pytest.fixture
def own(
    tmp_path: Path, sshd: Sshd, warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bastion]:
    """A bastion on a disk that does what the test wants."""
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    made = Bastion(tmp_path / "home", warm)
    made.set("recording", "stall", STALL)
    with serving(made, sshd):
        yield made


async def test_a_write_that_hangs_ends_the_bastion(own: Bastion, bob: Contractor) -> None:
    """Its sessions are over, nothing is shown that is not recorded, and the next start recovers."""
    fault = own.home / "hangs"
    async with bob.jumping("while read line; do echo got $line; done") as running:
        await running.send("one\n")
        await running.stdout.expect("got one\n")
        fault.touch()
        await running.send("two\n")
        assert await running.wait() == 255
        assert bytes(running.stdout.seen) == b"got one\n"
    assert own.ended() == 1
    last = own.log.strip().splitlines()[-1]
    assert "nothing has moved for 2 s, in sitecustomize.py, line " in last
    assert "All sessions are over; what was shown is recorded." in last
    fault.unlink()
    own.start()
    assert (await bob.jump("echo again")).out == "again\n"
    rows = await own.rows("sessions")
    assert [row["end_reason"] for row in rows] == ["closed", "interrupted"]
    kept = await own.admin("export", str(rows[1]["id"]), "--raw", "stdout")
    assert kept.out == "got one\n"
    done = await own.admin("verify", "--all")
    assert "nothing was changed, is missing or was added" in done.out


async def test_a_disk_that_does_not_answer_ends_sessions(own: Bastion, bob: Contractor) -> None:
    """After the set time, with a last line; and lets in nobody, until it answers again."""
    fault = own.home / "mute"
    async with bob.jumping("echo on; exec cat") as running:
        await running.stdout.expect("on\n")
        fault.touch()
        await running.send("more\n")
        await running.stdout.expect("more\n")
        await running.stderr.expect("can't be recorded any more, so it is over")
        assert await running.wait() == 255
    refused = await bob.jump("id")
    assert (refused.status, refused.out) == (254, "")
    assert "nothing can be recorded now" in refused.err
    fault.unlink()
    async with asyncio.timeout(PATIENCE):
        while (await bob.jump("echo in")).out != "in\n":
            pass
    assert own.ended() is None


async def test_a_slow_disk_slows_sessions_down(own: Bastion, bob: Contractor) -> None:
    """A flood waits at the target, not in memory, and all that is shown is recorded."""
    async with bob.jumping("yes | head -c 2M") as running:  # warm
        assert await running.wait() == 0
    before = own.resident
    (own.home / "slow").touch()
    async with bob.jumping("yes") as running:
        async with asyncio.timeout(PATIENCE):
            while len(running.stdout.seen) < 4 * MB:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        most = own.resident
    assert most - before < 48 * MB
    (own.home / "slow").unlink()
    async with asyncio.timeout(PATIENCE):
        while (row := (await own.rows("sessions"))[0])["ended_at"] is None:
            pass
    kept = await own.admin("export", str(row["id"]), "--raw", "stdout")
    assert kept.stdout.startswith(bytes(running.stdout.seen))
