"""Recordings that are encrypted when their sessions are over, by the real program, also when it is
killed: nothing plain is left, and an auditor gets at all of it with age and zstd alone."""

import asyncio
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import run

pytestmark = pytest.mark.skipif(shutil.which("age") is None, reason="there is no age here")

SECRET = b"the-launch-code"
SHOW = "x=code; echo the-launch-$x"
"""Shows it, and does not say it: a command line is told in the clear."""


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion that encrypts."""
    made = Bastion(tmp_path / "home", warm)
    settings = made.home / "bastion.toml"
    settings.write_text(settings.read_text().replace("# encrypt = false", "encrypt = true"))
    with serving(made, sshd):
        yield made


async def sealed(own: Bastion, count: int) -> list[dict[str, object]]:
    """The recordings of so many sessions, once all are sealed; the newest first."""
    async with asyncio.timeout(20):
        while True:
            found = [row["recording"] for row in await own.rows("sessions")]
            if len(found) == count and all(each["sealed"] for each in found):
                return found


def plain(own: Bastion) -> list[str]:
    """Files below the recordings in which what was shown can be read."""
    files = [file for file in (own.home / "recordings").rglob("*") if file.is_file()]
    return [file.name for file in files if SECRET in file.read_bytes() or file.suffix == ".cast"]


async def test_nothing_plain_is_left_also_after_a_kill(bob: Contractor, own: Bastion) -> None:
    """Two sessions that ended, one large, and one that was killed with the bastion."""
    small = await bob.jump(SHOW)
    assert small.status == 0
    large = await bob.jump(f"head -c 3000000 /dev/urandom | base64; {SHOW}")
    assert large.status == 0
    await sealed(own, 2)
    assert plain(own) == []
    async with bob.jumping(f"{SHOW}; sleep 600") as live:
        await live.stdout.expect(SECRET.decode())
        assert plain(own) == ["S-3.cast"], "what is live is plain"
        await asyncio.to_thread(own.kill9)
    own.start()
    recordings = await sealed(own, 3)
    assert plain(own) == []
    assert (await own.admin("verify", "--all")).status == 0
    key = own.home / "keys" / "auditor.age"
    for row in recordings:
        file = own.home / "recordings" / f"{row['path']}.zst.age"
        line = f"age -d -i {key} {file} | zstd -dc"
        content = (await run("bash", "-c", line, env=bob.env)).out.encode()
        assert SECRET in content
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
    shown = await own.admin("replay", "S-1", "--identity", str(key))
    assert SECRET.decode() in shown.out
    refused = await own.admin("replay", "S-1", expect=1)
    assert "--identity FILE opens it" in refused.err
