"""A machine that dies for good: what it was recording is recovered by another, from the store.

With `TEST_S3` in that store (docs/contributing.md), else in a directory. Minutes: `make faults`.
"""

import asyncio
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ceph, postgres
from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.test_machines import Second, counting
from tests.e2e.warm import Warm

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

AT_MOST = 100
"""Lines that may be missing: five seconds of twenty each."""


@pytest.fixture
def first(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """One machine with a store."""
    bucket = tmp_path / "bucket"
    bucket.mkdir(mode=0o700)
    s3 = ceph.url()
    made = Bastion(tmp_path / "gate-1", warm, postgres.server().new_url())
    settings = made.home / "bastion.toml"
    settings.write_text(f'node = "gate-1"\n{settings.read_text()}')
    made.set("recording", "store", f"{s3}/{secrets.token_hex(8)}" if s3 else f"file://{bucket}")
    made.set("recording", "recover_after", "70s")
    made.set("limits", "without_database", "10s")
    with serving(made, sshd):
        yield made


@pytest.fixture
def second(tmp_path: Path, first: Bastion, warm: Warm) -> Iterator[Bastion]:
    """The other one."""
    made = Second(tmp_path / "gate-2", first, warm)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def bob(tmp_path: Path, first: Bastion, sshd: Sshd) -> Contractor:
    """Somebody whom the first machine gave a certificate."""
    person = Contractor.enrolled(tmp_path / "bob", "bob", first, sshd.login)
    person.granted_now()
    person.certified_now()
    return person


def last(lines: bytes) -> int:
    """The last whole number."""
    return int(re.findall(rb"(\d+)\r?\n", lines)[-1])


async def test_what_it_was_recording_is_recovered_by_another(
    bob: Contractor, first: Bastion, second: Bastion
) -> None:
    """But for what came in the last five seconds; and there is one recording when it comes back."""
    async with counting(bob, second) as there:
        await there.stdout.expect("150\r?\n")
        second.kill9()
        seen = last(bytes(there.stdout.seen))
    [row] = await first.rows("sessions")
    async with asyncio.timeout(150):
        while not row["recording"]["sealed"]:
            await asyncio.sleep(1)
            [row] = await first.rows("sessions")
    assert row["end_reason"] == "lost"
    shown = (await first.admin("export", "S-1", "--raw", "stdout")).out.encode()
    assert seen - AT_MOST <= last(shown) <= seen + AT_MOST
    print("seen", seen, "recovered", last(shown))  # noqa: T201
    async with asyncio.timeout(60):
        while "S-1" not in (await first.admin("search", f"{last(shown)}", expect=None)).out:
            pass
    said = (await first.admin("verify", "S-1", expect=None)).out
    assert "Nothing was changed" in said or "its checkpoint did not hold" in said
    second.start()
    async with asyncio.timeout(30):
        while "another version" not in (await second.admin("audit")).out:
            pass
    again = (await second.admin("verify", "S-1", expect=1)).out
    assert "S-1.cast.returned is another version" in again
