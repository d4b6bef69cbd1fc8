"""Other people's clients of SFTP through the jump, under a grant of files and nothing else."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.test_clients import host_key

CONTENTS = os.urandom(3_000_000)


@pytest.fixture
def place(place: Path) -> Path:
    """A log to be read."""
    (place / "out" / "app.log").write_bytes(CONTENTS)
    return place


@pytest.fixture
async def bob(newly_enrolled: Callable[[], Contractor], place: Path) -> Contractor:
    """Somebody who may read what is in `out`, and write into `in`."""
    person = await asyncio.to_thread(newly_enrolled)
    await person.granted("--sftp", f"read:{place}/out/**", "--sftp", f"write:{place}/in/**")
    await person.certified()
    (person.home / "up").write_bytes(CONTENTS)
    return person


async def moved(bastion: Bastion, person: Contractor, place: Path) -> None:
    """It came and it went, whole; and both are told with their hashes."""
    assert (person.home / "down").read_bytes() == CONTENTS
    assert (place / "in" / "up").read_bytes() == CONTENTS
    digest = hashlib.sha256(CONTENTS).hexdigest()
    expected = {("get", f"{place}/out/app.log"), ("put", f"{place}/in/up")}
    async with asyncio.timeout(10):
        while True:
            rows = await bastion.rows("files", "--user", person.name, "--sha256", digest)
            if {(row["operation"], row["path"]) for row in rows} == expected:
                return


async def putty(person: Contractor, bastion: Bastion) -> list[str]:
    """The options with which PuTTY's programs jump."""
    key = person.home / "key.ppk"
    made = await person.run("puttygen", str(person.key), "-O", "private", "-o", str(key))
    assert made.status == 0, made.err
    pinned = await asyncio.to_thread(host_key, bastion)
    options = ["-batch", "-i", str(key), "-hostkey", pinned]
    outer = f"-P {bastion.port} -nc %host:%port {person.name}@127.0.0.1"
    return [*options, "-proxycmd", " ".join(("plink", *options, outer))]


async def test_psftp(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """PuTTY's sftp, which is how WinSCP connects too."""
    batch = bob.home / "batch"
    batch.write_text(
        f"get {place}/out/app.log {bob.home}/down\n"
        f"put {bob.home}/up {place}/in/up\n"
        f"ls {place}/out\n"
    )
    options = await putty(bob, bastion)
    done = await bob.run("psftp", *options, "-b", str(batch), f"{bob.login}@{HOST}")
    assert done.status == 0, done.err
    await moved(bastion, bob, place)


async def test_pscp(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """PuTTY's scp speaks SFTP where it can."""
    options = ["-sftp", *await putty(bob, bastion)]
    there = f"{bob.login}@{HOST}:{place}"
    for source, to in (
        (f"{there}/out/app.log", f"{bob.home}/down"),
        (f"{bob.home}/up", f"{there}/in/up"),
    ):
        done = await bob.run("pscp", *options, source, to)
        assert done.status == 0, done.err
    await moved(bastion, bob, place)


async def test_asyncssh(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """A library's own client, with the jump as its tunnel."""
    known = str(bob.known_hosts)
    async with (
        asyncssh.connect(
            "127.0.0.1",
            bastion.port,
            username=bob.name,
            client_keys=[str(bob.key)],
            known_hosts=known,
            agent_path=None,
            config=None,
        ) as outer,
        outer.connect_ssh(
            HOST,
            username=bob.login,
            client_keys=[str(bob.key)],
            known_hosts=known,
            agent_path=None,
            config=None,
        ) as inner,
        inner.start_sftp_client() as sftp,
    ):
        await sftp.get(f"{place}/out/app.log", f"{bob.home}/down")
        await sftp.put(f"{bob.home}/up", f"{place}/in/up")
        assert sorted(await sftp.listdir(f"{place}/out")) == [".", "..", "app.log"]
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.get("/etc/passwd", f"{bob.home}/passwd")
    await moved(bastion, bob, place)


async def test_lftp(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """It runs any program that takes ssh's arguments."""
    script = (
        f"set sftp:connect-program 'ssh -a -x -F {bob.config} -J bastion'; "
        f"open -u {bob.login}, sftp://{HOST}; "
        f"get {place}/out/app.log -o {bob.home}/down; put {bob.home}/up -o {place}/in/up; quit"
    )
    done = await bob.run("lftp", "-c", script)
    assert done.status == 0, done.err
    await moved(bastion, bob, place)
