"""A disk that fills up, on a small file system of its own: who is still let in, and who goes on."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE

MB = 10**6
SIZE = 40 * MB
"""Its marks are a tenth, a twentieth and a fiftieth of it: 4, 2 and 0.8 MB."""

RULES = """
[[rule]]
name = "on-call"
who = ["@on-call"]
hosts = ["*"]
logins = ["{login}"]
allow = ["shell"]
longest = "30m"
emergency = true
"""
LIVE = "echo on; exec cat"


@dataclass(frozen=True)
class Small:
    """A bastion that records on a small disk."""

    bastion: Bastion
    disk: Path
    alice: Contractor
    erin: Contractor

    def leave(self, free: int) -> None:
        """Fill the disk up, but for so many bytes."""
        filler = self.disk / "filler"
        filler.unlink(missing_ok=True)
        there = os.statvfs(self.disk)
        most = there.f_bavail * there.f_frsize - free
        if most > 0:
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, most)

    async def told(self, why: str) -> None:
        """Until the log of events says so."""
        async with asyncio.timeout(PATIENCE):
            while True:
                done = await self.bastion.admin("audit", "--what", "disk.changed", "--json")
                if f'"why":"{why}"' in done.out.partition("\n")[0]:
                    return


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(line, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system needs root, and a machine that lets it")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small(tmp_path: Path, disk: Path, sshd: Sshd, warm: Warm) -> Iterator[Small]:
    """Alice has a shell; Erin may break the glass."""
    made = Bastion(tmp_path / "home", warm)
    made.set("recording", "directory", str(disk))
    (made.home / "policy.toml").write_text(RULES.format(login=sshd.login))
    sshd.trust(made.admin_now("ca", "show", "target").out)
    pinned = ("--address", sshd.address, "--host-key", str(sshd.host_key_file))
    made.admin_now("host", "add", HOST, *pinned, "--shell-type", "bash")
    made.start()
    alice = Contractor.enrolled(tmp_path / "alice", "alice", made, sshd.login)
    alice.granted_now("--shell", "--override")
    alice.certified_now()
    erin = Contractor(tmp_path / "erin", "erin", made, sshd.login)
    key = str(erin.public_key)
    made.admin_now("user", "add", "erin", "--key", key, "--group", "on-call")
    yield Small(made, disk, alice, erin)
    made.stop()


async def burning(small: Small) -> None:
    """Erin breaks the glass."""
    words = f"request {HOST} --login {small.erin.login} --shell --for 20m --break-glass --reason x"
    done = await small.erin.ssh("bastion", *words.split())
    assert done.status == 0, done.err
    await small.erin.certified()


async def test_a_disk_fills_up_step_by_step(small: Small) -> None:
    """First nothing new begins, then what is live ends; break-glass has its own reserve. When there
    is room again everything is as it was, and each step is in the log."""
    await burning(small)
    async with small.alice.jumping(LIVE) as live, small.erin.jumping(LIVE) as urgent:
        await live.stdout.expect("on\n")
        await urgent.stdout.expect("on\n")

        small.leave(3 * MB)
        await small.told("no new session begins")
        refused = await small.alice.jump("id")
        assert (refused.status, refused.out) == (254, "")
        assert "nothing can be recorded now" in refused.err
        assert (await small.erin.jump("echo in")).out == "in\n"
        await live.send("still\n")
        await live.stdout.expect("still\n")

        small.leave(MB)
        await live.stderr.expect("can't be recorded any more, so it is over")
        assert await live.wait() == 255
        await urgent.send("still\n")
        await urgent.stdout.expect("still\n")
        assert (await small.erin.jump("echo in")).out == "in\n"

        small.leave(MB // 10)
        await urgent.stderr.expect("can't be recorded any more, so it is over")
        assert await urgent.wait() == 255
        assert (await small.erin.jump("id")).status == 254

    small.leave(20 * MB)
    await small.told("there is room again")
    assert (await small.alice.jump("echo in")).out == "in\n"
    ends = [row["end_reason"] for row in await small.bastion.rows("sessions")]
    assert ends.count("limit") == 2
    assert set(ends) == {"limit", "closed"}


async def test_a_disk_that_is_full_at_once_ends_who_writes(small: Small) -> None:
    """Nothing is shown that could not be kept: what came out is what was recorded."""
    done = await small.alice.jump("cat /dev/zero | tr '\\0' x", patience=40)
    assert done.status == 255
    async with asyncio.timeout(PATIENCE):
        while (row := (await small.bastion.rows("sessions"))[0])["ended_at"] is None:
            pass
    assert row["end_reason"] in {"limit", "recording_failed"}
    small.leave(20 * MB)
    kept = await small.bastion.admin("export", str(row["id"]), "--raw", "stdout")
    assert kept.out.startswith(done.out)


async def test_a_disk_that_nobody_may_write_lets_nobody_in(small: Small) -> None:
    """As it becomes when it has failed."""
    await remounted(small.disk, "ro")
    await small.told("no session goes on")
    refused = await small.alice.jump("id")
    assert (refused.status, refused.out) == (254, "")
    assert "nothing can be recorded now" in refused.err
    await remounted(small.disk, "rw")
    await small.told("there is room again")
    assert (await small.alice.jump("echo in")).out == "in\n"


async def remounted(disk: Path, how: str) -> None:
    """The same file system, read only or not."""
    mounting = await asyncio.create_subprocess_exec("mount", "-o", f"remount,{how}", str(disk))
    assert await mounting.wait() == 0
