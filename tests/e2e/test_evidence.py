"""The whole story over real ssh, packed, and judged by tar, sha256sum and ssh-keygen."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.packs import assert_verified, unpacked
from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE

RULES = """
[[rule]]
name = "contractors <b>ask</b>"
who = ["@contractors"]
hosts = ["{host}"]
logins = ["{login}"]
allow = ["shell", "sftp"]
longest = "4h"
approvals = [{{ from = ["@leads"] }}]

[[rule]]
name = "operators"
who = ["*"]
hosts = ["*"]
logins = ["*"]
allow = ["shell"]
longest = "1d"
operators = true
"""

NAME = "<img src=x onerror=alert(1)>.log"
"""Of a file that goes over."""


@pytest.fixture
def house(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion with rules, served."""
    bastion = Bastion(tmp_path / "home", warm)
    (bastion.home / "policy.toml").write_text(RULES.format(host=HOST, login=sshd.login))
    sshd.trust(bastion.admin_now("ca", "show", "target").out)
    pinned = ("--host-key", str(sshd.host_key_file), "--shell-type", "bash")
    bastion.admin_now("host", "add", HOST, "--address", sshd.address, *pinned)
    bastion.start()
    yield bastion
    bastion.stop()


def enrolled(bastion: Bastion, place: Path, name: str, login: str, *more: str) -> Contractor:
    """Somebody who is known there."""
    person = Contractor(place / name, name, bastion, login)
    bastion.admin_now("user", "add", name, "--key", str(person.public_key), *more)
    return person


async def over(bastion: Bastion, count: int) -> None:
    """Waits until so many sessions are over and sealed."""
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await bastion.rows("sessions")
            if len(rows) == count and all(row["recording"]["sealed"] for row in rows):
                return


async def test_the_whole_story_is_packed_and_verified(
    house: Bastion, sshd: Sshd, place: Path, tmp_path: Path
) -> None:
    """Asked, agreed, jumped, copied; others did other things. What is packed is what was done."""
    alice = enrolled(house, tmp_path, "alice", sshd.login, "--group", "contractors")
    bob = enrolled(house, tmp_path, "bob", sshd.login, "--role", "approver", "--group", "leads")
    mallory = enrolled(house, tmp_path, "mallory", sshd.login)
    await mallory.granted()
    await mallory.certified()
    words = f"request {HOST} --login {sshd.login} --shell --sftp read:{place}/out/** --for 2h"
    asked = await alice.ssh("bastion", *words.split(), "--reason", "the disk is <i>full</i>")
    assert (asked.status, asked.out) == (0, "R-1\n"), asked.err
    agreed = await bob.ssh("bastion", "approve", "R-1", "--comment", "go <u>on</u>")
    assert agreed.status == 0, agreed.err
    await alice.certified()
    ran = await alice.jump("echo '<script>alert(1)</script>'; exit 3")
    assert ran.status == 3
    assert (await mallory.jump("true")).status == 0
    (place / "out" / NAME).write_bytes(b"what was logged\n")
    from_there = f"{sshd.login}@{HOST}:{place}/out/{NAME}"
    config = str(alice.config)
    done = await alice.run("scp", "-F", config, "-J", "bastion", from_there, str(tmp_path / "got"))
    assert (done.status, done.err) == (0, "")
    await over(house, 3)

    pack = tmp_path / "pack.tar"
    said = await house.admin("evidence", "G-2", "-o", str(pack), "--json")
    summary = json.loads(said.out)
    assert (summary["sound"], summary["sessions"], summary["sealed"]) == (True, 2, 2)
    found = unpacked(pack, tmp_path / "unpacked")
    assert_verified(found)

    sessions = found.json("sessions.json")
    assert [(each["kind"], each["exit_status"]) for each in sessions] == [("exec", 3), ("sftp", 0)]
    (file,) = found.json("files.json")
    assert file["path"] == f"{place}/out/{NAME}"
    assert file["sha256"] == hashlib.sha256(b"what was logged\n").hexdigest()
    certificates = found.json("certificates.json")
    assert [each["kind"] for each in certificates] == ["user", "target", "target"]
    assert "<script>alert(1)</script>" in found.text("recordings/S-1.cast")
    assert "<script>alert(1)</script>" in found.text("transcripts/S-1.txt")
    everything = b"".join((found.directory / name).read_bytes() for name in found.names())
    assert b"mallory" not in everything
    page = found.text("index.html")
    for hostile in ("<script", "<img", "<i>", "<u>", "<b>"):
        assert hostile not in page
