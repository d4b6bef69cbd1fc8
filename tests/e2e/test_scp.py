"""`scp -O`, which asks for a program: the bastion answers as it would, and speaks SFTP beyond."""

import asyncio
import hashlib
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.test_file_clients import putty
from tests.e2e.watching import PATIENCE, Result

CONTENTS = os.urandom(3_000_000)


@pytest.fixture
async def bob(newly_enrolled: Callable[[], Contractor], place: Path) -> Contractor:
    """Somebody who may read what is in `out`, and write up to 4 MB into `in`."""
    person = await asyncio.to_thread(newly_enrolled)
    (place / "out" / "large.log").write_bytes(CONTENTS)
    (place / "out" / "app.log").write_text("app\n")
    (place / "secret" / "key").write_text("do not show\n")
    (place / "secret" / "key").chmod(0o644)
    (place / "out" / "way").symlink_to("../secret/key")
    rules = (f"read:{place}/out/**", f"write,4M:{place}/in/**")
    await person.granted(*(word for rule in rules for word in ("--sftp", rule)))
    await person.certified()
    return person


async def scp(person: Contractor, *words: str) -> Result:
    """`scp -O` as the person types it, through the bastion."""
    return await person.run("scp", "-O", "-F", str(person.config), "-J", "bastion", *words)


def there(person: Contractor, path: Path | str) -> str:
    """LOGIN@HOST:PATH."""
    return f"{person.login}@{HOST}:{path}"


async def over(bastion: Bastion, person: Contractor) -> list[dict[str, object]]:
    """Their sessions, when all of them are."""
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await bastion.rows("sessions", "--user", person.name)
            if rows and all(row["ended_at"] for row in rows):
                return rows


async def test_a_file_is_fetched_and_told(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """Whole, under its own mode; the session is of its own kind, and the file in the table."""
    (place / "out/large.log").chmod(0o754)
    done = await scp(bob, there(bob, place / "out/large.log"), str(bob.home / "x"))
    assert (done.status, done.err) == (0, "")
    assert (bob.home / "x").read_bytes() == CONTENTS
    assert stat.S_IMODE((bob.home / "x").stat().st_mode) == 0o754
    (session,) = await over(bastion, bob)
    assert (session["kind"], session["exit_status"]) == ("scp", 0)
    assert session["command"] == f"scp -f {place}/out/large.log"
    digest = hashlib.sha256(CONTENTS).hexdigest()
    (row,) = await bastion.rows("files", "--user", bob.name, "--sha256", digest)
    assert (row["operation"], row["path"]) == ("get", f"{place}/out/large.log")
    shown = await bastion.admin("replay", str(session["id"]), "--speed", "1000")
    assert f"get {place}/out/large.log 3 000 000 bytes sha256 {digest}" in shown.out


@pytest.mark.parametrize("name", ["in", "in/", "in/named"])
async def test_a_file_is_put(bob: Contractor, bastion: Bastion, place: Path, name: str) -> None:
    """Into a directory, or under another name."""
    (bob.home / "up").write_bytes(CONTENTS)
    (bob.home / "up").chmod(0o600)
    done = await scp(bob, str(bob.home / "up"), there(bob, f"{place}/{name}"))
    assert (done.status, done.err) == (0, "")
    expected = place / ("in/named" if name == "in/named" else "in/up")
    assert expected.read_bytes() == CONTENTS
    assert stat.S_IMODE(expected.stat().st_mode) == 0o600
    await over(bastion, bob)
    digest = hashlib.sha256(CONTENTS).hexdigest()
    (row,) = await bastion.rows("files", "--user", bob.name, "--sha256", digest)
    assert (row["operation"], row["path"]) == ("put", str(expected))


def tree_below(top: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time and contents of all that is below."""
    found = {}
    for path in sorted(top.rglob("*")):
        facts = path.stat()
        contents = b"" if path.is_dir() else path.read_bytes()
        found[str(path.relative_to(top))] = (facts.st_mode, int(facts.st_mtime), contents)
    return found


async def test_a_tree_goes_there_and_back(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """With its times and modes, directories too; empty ones, and files of nothing."""
    tree = bob.home / "tree"
    (tree / "below" / "empty").mkdir(parents=True)
    (tree / "one").write_bytes(CONTENTS)
    (tree / "nothing").write_bytes(b"")
    (tree / "below" / "two words").write_text("two\n")
    (tree / "below" / "ünïcode $HOME *").write_text("three\n")
    (tree / "below").chmod(0o755)
    for path in (tree / "one", tree / "below"):
        os.utime(path, (1_700_000_000, 1_700_000_001))
    done = await scp(bob, "-rp", str(tree), there(bob, place / "in"))
    assert (done.status, done.err) == (0, "")
    assert tree_below(place / "in/tree") == tree_below(tree)
    await asyncio.to_thread((place / "in/tree").rename, place / "out/tree")
    done = await scp(bob, "-rp", there(bob, place / "out/tree"), str(bob.home / "back"))
    assert (done.status, done.err) == (0, "")
    assert tree_below(bob.home / "back") == tree_below(tree)
    await over(bastion, bob)
    rows = await bastion.rows("files", "--user", bob.name)
    assert all(row["result"] == "done" for row in rows), rows


@pytest.mark.parametrize("name", ["secret/key", "out/way", "out/../secret/key", "in/../secret/key"])
async def test_what_is_not_granted_is_not_read(bob: Contractor, place: Path, name: str) -> None:
    """Neither by its name, nor by a link, nor by climbing; and the person is told why."""
    here = bob.home / "here"
    done = await scp(bob, there(bob, f"{place}/{name}"), str(here))
    assert done.status == 1
    assert "bastion: G-" in done.err
    assert not here.exists()


async def test_a_tree_leaves_out_what_is_not_granted(bob: Contractor, place: Path) -> None:
    """The rest comes, and the status says that something did not."""
    done = await scp(bob, "-r", there(bob, place / "out"), str(bob.home / "tree"))
    assert done.status == 1
    assert "secret/key" in done.err
    assert sorted(p.name for p in (bob.home / "tree").iterdir()) == ["app.log", "large.log"]


async def test_what_is_not_granted_is_not_written(bob: Contractor, place: Path) -> None:
    """Where only reading is granted; and what is over the limit leaves what was there as it was."""
    (bob.home / "small").write_bytes(b"x")
    (bob.home / "large").write_bytes(bytes(5_000_000))
    (place / "in/large").write_bytes(b"as it was")
    (place / "in/large").chmod(0o666)
    done = await scp(bob, str(bob.home / "small"), there(bob, place / "out/small"))
    assert done.status == 1
    assert "does not let you write" in done.err
    assert not (place / "out/small").exists()
    done = await scp(bob, str(bob.home / "large"), there(bob, place / "in/large"))
    assert done.status == 1
    assert "more than 4M is not granted" in done.err
    assert (place / "in/large").read_bytes() == b"as it was"


@pytest.mark.parametrize(
    ("options", "path", "said"),
    [
        ((), "out/none", "no such file"),
        ((), "out", "not a regular file"),
        ((), "out/*.log", "leave -O away"),
        (("-r",), "out/none", "no such file"),
    ],
)
async def test_what_is_not_there_is_said(
    bob: Contractor, place: Path, options: tuple[str, ...], path: str, said: str
) -> None:
    """In words, with a status that says so."""
    done = await scp(bob, *options, there(bob, f"{place}/{path}"), str(bob.home / "x"))
    assert done.status != 0
    assert said in done.err


async def test_several_files_want_a_directory(bob: Contractor, place: Path) -> None:
    """As OpenSSH asks for it, with `-d`."""
    for name in ("one", "two"):
        (bob.home / name).write_text(name)
    both = [str(bob.home / name) for name in ("one", "two")]
    done = await scp(bob, *both, there(bob, place / "in/none"))
    assert done.status == 1
    assert "not a directory" in done.err
    done = await scp(bob, *both, there(bob, place / "in"))
    assert (done.status, done.err) == (0, "")
    assert sorted(path.name for path in (place / "in").iterdir()) == ["one", "two"]


async def test_from_the_home(newly_enrolled: Callable[[], Contractor], bastion: Bastion) -> None:
    """A relative path, and one that begins with `~/`, begin there."""
    person = await asyncio.to_thread(newly_enrolled)
    await person.granted("--sftp", "read")
    await person.certified()
    name = f"from-home-{os.getpid()}"
    made = Path(pwd.getpwnam(person.login).pw_dir) / name
    made.write_text("home\n")
    try:
        for typed in (name, f"~/{name}"):
            done = await scp(person, there(person, typed), str(person.home / "x"))
            assert (done.status, done.err) == (0, "")
            assert (person.home / "x").read_text() == "home\n"
            (person.home / "x").unlink()
    finally:
        made.unlink()


async def test_pscp(bob: Contractor, bastion: Bastion, place: Path) -> None:
    """PuTTY's way of the old protocol."""
    (bob.home / "up").write_bytes(CONTENTS)
    options = ["-scp", *await putty(bob, bastion)]
    for source, to in (
        (there(bob, f"{place}/out/large.log"), f"{bob.home}/down"),
        (f"{bob.home}/up", there(bob, f"{place}/in/up")),
    ):
        done = await bob.run("pscp", *options, source, to)
        assert done.status == 0, done.err
    assert (bob.home / "down").read_bytes() == CONTENTS
    assert (place / "in" / "up").read_bytes() == CONTENTS


async def test_a_grant_that_is_over_ends_it(
    newly_enrolled: Callable[[], Contractor], bastion: Bastion, place: Path
) -> None:
    """At once, with what went over until then told."""
    person = await asyncio.to_thread(newly_enrolled)
    with (place / "out" / "large.log").open("wb") as large:
        large.truncate(100_000_000)
    grant = await person.granted("--sftp", f"read:{place}/out/**")
    await person.certified()
    slowly = ("-l", "40000", there(person, place / "out/large.log"), str(person.home))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(scp(person, *slowly))
        async with asyncio.timeout(PATIENCE):
            while not await bastion.rows("sessions", "--user", person.name):
                assert not running.done(), running.result()
        await bastion.admin("revoke", grant, "--reason", "done")
    assert running.result().status != 0
    (session,) = await over(bastion, person)
    assert session["end_reason"] == "revoked"
    (row,) = await bastion.rows("files", "--user", person.name)
    assert row["result"] == "the session ended"
