"""Live recordings in an object store: what somebody has seen is there seconds later."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm

COUNTING = "i=0; while sleep 0.05; do i=$((i+1)); echo at $i; done"


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    made = tmp_path / "bucket"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def own(tmp_path: Path, bucket: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion with a store of its own."""
    made = Bastion(tmp_path / "home", warm)
    made.set("recording", "store", f"file://{bucket}")
    with serving(made, sshd):
        yield made


def stored(bucket: Path) -> bytes:
    """What the store has of what the first session showed."""
    return b"".join(file.read_bytes() for file in sorted(bucket.rglob("live/S-1.cast*")))


async def until_stored(bucket: Path, text: bytes) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 20
    while text not in stored(bucket):
        assert time.monotonic() < deadline, stored(bucket)[-200:]
        await asyncio.sleep(0.05)


async def test_what_was_seen_is_in_the_store_a_little_later(
    own: Bastion, bob: Contractor, bucket: Path
) -> None:
    """Also when the store was away, and when the bastion is killed; it is what is on the disk."""
    async with bob.jumping(COUNTING) as session:
        await session.stdout.expect("at 5\r?\n")
        await until_stored(bucket, b"at 5\\n")
        away = await asyncio.to_thread(bucket.rename, bucket.with_name("away"))
        await session.stdout.expect("at 60\r?\n")
        await asyncio.to_thread(away.rename, bucket)
        await until_stored(bucket, b"at 60\\n")
        own.kill9()
    cast = next(own.home.rglob("S-1.cast"))
    assert cast.read_bytes().startswith(stored(bucket))
    own.start()
    [row] = await own.rows("sessions")
    assert row["end_reason"] == "interrupted"
    assert cast.read_bytes().startswith(stored(bucket))
    assert "nothing was changed" in (await own.admin("verify", "--all")).out
