"""A recording that was compacted meanwhile: nobody who looks at it notices, and it takes less."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bastion import Bastion, environment
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE, Running

FLOOD = "seq -f 'line %06g of a flood' 1 40000; sleep 1.1; echo the end"


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion that compacts a second after the end, and looks for that when it starts."""
    made = Bastion(tmp_path / "home", warm)
    made.set("recording", "compact", "1s")
    with serving(made, sshd):
        yield made


async def compacted(own: Bastion, session: str) -> dict[str, Any]:
    """Its recording, when it is."""
    async with asyncio.timeout(PATIENCE):
        while True:
            [row] = await own.rows("sessions", "--limit", "1")
            found: dict[str, Any] = row["recording"]
            if row["id"] == session and found["compacted_size"] is not None:
                return found
            await asyncio.sleep(0.1)


async def test_what_is_compacted_is_what_was(own: Bastion, bob: Contractor) -> None:
    """Bytes, an export, a replay from a time on, and what `verify` and `zstd` have to say."""
    shown = (await bob.jump(FLOOD)).stdout
    assert shown.endswith(b"line 040000 of a flood\nthe end\n")
    exported = (await own.admin("export", "S-1")).stdout
    await asyncio.sleep(1)
    await asyncio.to_thread(own.stop)
    await asyncio.to_thread(own.start)
    found = await compacted(own, "S-1")
    assert found["compacted_size"] < found["size"] / 5
    [cast] = (own.home / "recordings").rglob("S-1.cast*")
    assert (cast.name, cast.stat().st_size) == ("S-1.cast.zst", found["compacted_size"])
    assert cast.stat().st_mode & 0o777 == 0o600
    async with Running("sh", "-c", f"zstd -dcq {cast} | sha256sum", env=environment()) as judge:
        await judge.stdout.expect(found["sha256"])
    assert (await own.admin("export", "S-1", "--raw", "stdout")).stdout == shown
    assert (await own.admin("export", "S-1")).stdout == exported
    assert (await own.admin("replay", "S-1", "--from", "0:01")).stdout == b"the end\n"
    assert "nothing was changed" in (await own.admin("verify", "--all")).out
    assert "error" not in own.log.lower()
