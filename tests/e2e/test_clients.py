"""Programs of other people through the jump: rsync, git and PuTTY's plink, under a shell grant."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor


def through(alice: Contractor) -> str:
    """What such programs are told to run instead of `ssh`."""
    return f"ssh -F {alice.config} -J bastion"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a large file, an odd name and a link."""
    top = tmp_path / "tree"
    (top / "below").mkdir(parents=True)
    (top / "below" / "large").write_bytes(bytes(range(256)) * 8192)
    (top / "ä b'c").write_text("x")
    (top / "link").symlink_to("below/large")
    return top


def same(one: Path, other: Path) -> bool:
    """Whether two trees have the same names and bytes."""
    return subprocess.run(["diff", "-r", one, other], check=False).returncode == 0


async def test_rsync_both_ways(alice: Contractor, tree: Path, tmp_path: Path) -> None:
    """Up and down again, with times and links; nothing of it is changed on the way."""
    place = (await alice.jump("mktemp", "-d")).out.strip()
    there, back = f"{alice.login}@{HOST}:{place}/", tmp_path / "back"
    for source, to in ((f"{tree}/", there), (there, f"{back}/")):
        done = await alice.run("rsync", "-a", "-e", through(alice), source, to)
        assert done.status == 0, done.err
    await alice.jump("rm", "-r", place)
    assert same(tree, back)
    assert (back / "link").is_symlink()


async def test_git_both_ways(alice: Contractor, tmp_path: Path) -> None:
    """Cloned, changed and pushed, over `ssh://`."""
    place = (await alice.jump("mktemp", "-d")).out.strip()
    await alice.jump("git", "init", "-q", "--bare", "-b", "main", place)
    url, copy = f"ssh://{alice.login}@{HOST}{place}", tmp_path / "copy"
    said = ("-c", "user.name=alice", "-c", "user.email=alice@example.org")
    ssh = ("-c", f"core.sshCommand={through(alice)}")
    for line in (
        (*ssh, "clone", "-q", url, str(copy)),
        ("-C", str(copy), *said, "commit", "-q", "--allow-empty", "-m", "one"),
        ("-C", str(copy), *ssh, "push", "-q", "origin", "HEAD:refs/heads/main"),
    ):
        done = await alice.run("git", *line)
        assert done.status == 0, done.err
    done = await alice.jump("git", "-C", place, "log", "--format=%s", "main")
    await alice.jump("rm", "-r", place)
    assert done.out == "one\n"


async def test_plink(alice: Contractor, bastion: Bastion, tmp_path: Path) -> None:
    """PuTTY's client through PuTTY's client, which is how PuTTY and WinSCP jump."""
    key = tmp_path / "key.ppk"
    made = await alice.run("puttygen", str(alice.key), "-O", "private", "-o", str(key))
    assert made.status == 0, made.err
    pinned = await asyncio.to_thread(host_key, bastion)
    plink = f"plink -batch -i {key} -hostkey {pinned}"
    tunnel = f"{plink} -P {bastion.port} -nc %host:%port {alice.name}@127.0.0.1"
    line = (*plink.split(), "-proxycmd", tunnel, f"{alice.login}@{HOST}")
    done = await alice.run(*line, "echo", "one;", "cat", stdin=b"two\n")
    assert (done.out, done.status) == ("one\ntwo\n", 0), done.err
    refused = await alice.run(*line, "-s", "sftp")
    assert refused.status != 0


def host_key(bastion: Bastion) -> str:
    """The fingerprint of the one key that the bastion and every hop of it show."""
    line = (bastion.home / "keys" / "host.pub").read_text()
    done = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[1]
