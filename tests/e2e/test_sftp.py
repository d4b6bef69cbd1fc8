"""Files through the hop, by OpenSSH's own sftp and scp: judged by path, counted, hashed, told."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.watching import PATIENCE, Result

CONTENTS = os.urandom(300_000)


@pytest.fixture
def place(place: Path) -> Path:
    """A log to be read, a key that isn't, and a link to it."""
    (place / "out" / "app.log").write_bytes(CONTENTS)
    (place / "secret" / "key").write_text("do not show\n")
    (place / "secret" / "key").chmod(0o644)
    (place / "out" / "way").symlink_to("../secret/key")
    return place


@pytest.fixture
async def bob(newly_enrolled: Callable[[], Contractor], place: Path) -> Contractor:
    """Somebody who may read what is in `out`, and write up to 1 MB into `in`."""
    person = await asyncio.to_thread(newly_enrolled)
    rules = (f"read:{place}/out/**", f"write,1M:{place}/in/**")
    await person.granted(*(word for rule in rules for word in ("--sftp", rule)))
    await person.certified()
    return person


async def files(person: Contractor, program: str, *words: str, stdin: bytes = b"") -> Result:
    """`sftp` or `scp` as the person types it, through the bastion."""
    return await person.run(program, "-F", str(person.config), "-J", "bastion", *words, stdin=stdin)


def there(person: Contractor, path: Path) -> str:
    """LOGIN@HOST:PATH."""
    return f"{person.login}@{HOST}:{path}"


async def told(bastion: Bastion, person: Contractor) -> str:
    """What the recording of their only session shows, when it is over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await bastion.rows("sessions", "--user", person.name)
            if rows and all(row["ended_at"] for row in rows):
                break
    assert {row["kind"] for row in rows} == {"sftp"}
    shown = [await bastion.admin("replay", row["id"], "--speed", "1000") for row in rows]
    return "".join(done.out for done in shown)


async def test_a_file_is_fetched_and_told(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """Whole, by scp; its recording says what went over, and has its hash."""
    here = bob.home / "here.log"
    done = await files(bob, "scp", there(bob, place / "out/app.log"), str(here))
    assert (done.status, done.err) == (0, "")
    assert here.read_bytes() == CONTENTS
    shown = await told(bastion, bob)
    digest = hashlib.sha256(CONTENTS).hexdigest()
    assert f"get {place}/out/app.log 300 000 bytes sha256 {digest}" in shown
    (row,) = await bastion.rows("files", "--user", bob.name, "--sha256", digest)
    assert (row["operation"], row["path"]) == ("get", f"{place}/out/app.log")
    assert (row["bytes"], row["direction"], row["result"]) == (len(CONTENTS), "read", "done")


async def test_a_tree_is_put(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """Directories and all, with its times and modes."""
    tree = bob.home / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "one").write_bytes(CONTENTS)
    (tree / "below" / "two words").write_text("two\n")
    os.utime(tree / "one", (1_700_000_000, 1_700_000_000))
    done = await files(bob, "scp", "-rp", str(tree), there(bob, place / "in"))
    assert (done.status, done.err) == (0, "")
    assert (place / "in/tree/one").read_bytes() == CONTENTS
    assert (place / "in/tree/one").stat().st_mtime == 1_700_000_000
    assert (place / "in/tree/below/two words").read_text() == "two\n"
    shown = await told(bastion, bob)
    assert f"put {place}/in/tree/one 300 000 bytes sha256" in shown
    rows = await bastion.rows("files", "--user", bob.name)
    assert {row["path"] for row in rows if row["operation"] == "put"} == {
        *(f"{place}/in/tree/one", f"{place}/in/tree/below/two words")
    }
    assert all(row["result"] != "begun" for row in rows), rows


async def test_an_sftp_session_does_what_is_granted(bob: Contractor, place: Path) -> None:
    """Listing, putting, renaming and removing, by a batch."""
    (bob.home / "note").write_text("note\n")
    batch = f"cd {place}/in\nput {bob.home}/note\nrename note other\nrm other\nls {place}/out\n"
    done = await files(bob, "sftp", "-b", "-", f"{bob.login}@{HOST}", stdin=batch.encode())
    assert done.status == 0, done
    assert f"{place}/out/app.log" in done.out
    assert list((place / "in").iterdir()) == []


@pytest.mark.parametrize("name", ["secret/key", "out/way", "out/../secret/key", "in/../secret/key"])
async def test_what_is_not_granted_is_not_read(bob: Contractor, place: Path, name: str) -> None:
    """Neither by its name, nor by a link, nor by climbing; and the person is told why."""
    here = bob.home / "here"
    done = await files(bob, "scp", f"{bob.login}@{HOST}:{place}/{name}", str(here))
    assert done.status != 0
    assert "bastion:" in done.err
    assert not here.exists()


async def test_what_is_not_granted_is_not_written(bob: Contractor, place: Path) -> None:
    """Where only reading is granted, and over the limit."""
    (bob.home / "small").write_bytes(b"x")
    (bob.home / "large").write_bytes(bytes(2_000_000))
    done = await files(bob, "scp", str(bob.home / "small"), there(bob, place / "out/small"))
    assert done.status != 0
    assert not (place / "out/small").exists()
    done = await files(bob, "scp", str(bob.home / "large"), there(bob, place / "in/large"))
    assert done.status != 0
    assert (place / "in/large").stat().st_size <= 1 << 20


async def test_files_give_no_command_and_no_shell(bob: Contractor, place: Path) -> None:
    """Nor another program that moves files."""
    for words in (("id",), (), ("internal-sftp",), ("scp", "-f", "-o", "x", "/etc/passwd")):
        done = await bob.jump(*words)
        assert (done.status, done.out) == (254, ""), words


async def test_a_grant_that_is_over_ends_a_transfer(
    newly_enrolled: Callable[[], Contractor], bastion: Bastion, place: Path
) -> None:
    """At once, with what went over until then told."""
    person = await asyncio.to_thread(newly_enrolled)
    grant = await person.granted("--sftp", f"read:{place}/out/**")
    await person.certified()
    slowly = ("-l", "400", there(person, place / "out/app.log"), str(person.home))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(files(person, "scp", *slowly))
        async with asyncio.timeout(PATIENCE):
            while not await bastion.rows("sessions", "--user", person.name):
                assert not running.done(), running.result()
        await bastion.admin("revoke", grant, "--reason", "done")
    done = running.result()
    assert done.status != 0
    assert "revoked" in done.err
    assert "app.log" in await told(bastion, person)
