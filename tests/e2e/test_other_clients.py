"""Libraries and programs of other people through the jump, set up as docs/clients.md says."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor, established
from tests.e2e.test_clients import host_key

FOREIGN = Path(__file__).parent / "foreign"
CONTENTS = os.urandom(3_000_000)
SSH2 = "ssh2@1.17.0"


def needed(program: str, package: str) -> str:
    """The program's path; skips where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (Debian's package {package})")
    return found


@pytest.fixture
async def bob(newly_enrolled: Callable[[], Contractor], place: Path) -> Contractor:
    """Somebody with a shell, who may read what is in `out` and write into `in`."""
    person = await asyncio.to_thread(newly_enrolled)
    (place / "out" / "app.log").write_bytes(CONTENTS)
    rules = ("--sftp", f"read:{place}/**", "--sftp", f"write:{place}/in/**")
    await person.granted("--shell", *rules, "--forward", "localhost:*")
    await person.certified()
    (person.key.parent / "up").write_bytes(CONTENTS)
    return person


async def moved(bastion: Bastion, person: Contractor, place: Path) -> None:
    """It came and it went, whole; and both are told with their hashes."""
    assert (person.key.parent / "down").read_bytes() == CONTENTS
    assert (place / "in" / "up").read_bytes() == CONTENTS
    digest = hashlib.sha256(CONTENTS).hexdigest()
    expected = {("get", f"{place}/out/app.log"), ("put", f"{place}/in/up")}
    async with asyncio.timeout(10):
        while True:
            rows = await bastion.rows("files", "--user", person.name, "--sha256", digest)
            if {(row["operation"], row["path"]) for row in rows} == expected:
                return


def about(bastion: Bastion, person: Contractor) -> tuple[str, ...]:
    """Port, name, key, login and host."""
    return (str(bastion.port), person.name, str(person.key), person.login, HOST)


# Libraries


@pytest.mark.parametrize("way", ["channel", "command"])
async def test_paramiko(bob: Contractor, bastion: Bastion, place: Path, way: str) -> None:
    """By a channel of its own first hop, and by a ProxyCommand."""
    pinned = await asyncio.to_thread(host_key, bastion)
    if way == "command":
        way = f"ssh -F {bob.config} -W {HOST}:22 bastion"
    line = (sys.executable, str(FOREIGN / "by_paramiko.py"), *about(bastion, bob), pinned, way)
    done = await bob.run(*line, "echo one; exit 3", "-", "-")
    assert (done.out, done.status) == ("one\n", 3), done.err
    done = await bob.run(*line, "-", f"{place}/out/app.log", f"{place}/in/up")
    assert done.status == 0, done.err
    await moved(bastion, bob, place)


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """npm's ssh2, in a directory of its own; nothing of it is run when it is installed."""
    npm = needed("npm", "npm")
    place = tmp_path_factory.mktemp("npm")
    line = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(place)]
    try:
        subprocess.run([*line, SSH2], capture_output=True, check=True, timeout=20)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"npm can't fetch {SSH2} here")
    return place / "node_modules"


async def test_ssh2(bob: Contractor, bastion: Bastion, place: Path, modules: Path) -> None:
    """The library that editors and web consoles use."""
    pinned = await asyncio.to_thread(host_key, bastion)
    node = needed("node", "nodejs")
    line = (node, str(FOREIGN / "by_ssh2.js"), str(modules), *about(bastion, bob), pinned)
    done = await bob.run(*line, "echo one; exit 3", "-", "-")
    assert (done.out, done.status) == ("one\n", 3), done.err
    done = await bob.run(*line, "-", f"{place}/out/app.log", f"{place}/in/up")
    assert done.status == 0, done.err
    await moved(bastion, bob, place)


# Programs


@pytest.mark.parametrize("connection", ["ssh", "paramiko_ssh"])
async def test_ansible(
    bob: Contractor, bastion: Bastion, place: Path, tmp_path: Path, connection: str
) -> None:
    """Its modules are programs that it puts there and runs: a shell, and files to put."""
    ansible = Path(sys.executable).with_name("ansible")
    inventory = tmp_path / "hosts"
    jump = f"ssh -F {bob.config} -W {HOST}:22 bastion"
    inventory.write_text(
        f"{HOST} ansible_user={bob.login} ansible_connection={connection} "
        f"ansible_ssh_common_args='-F {bob.config} -J bastion -o ControlPath=none' "
        f"ansible_ssh_private_key_file={bob.key} ansible_paramiko_proxy_command='{jump}' "
        f"ansible_python_interpreter=/usr/bin/python3 ansible_remote_tmp={place}/in/tmp "
        "ansible_paramiko_host_key_checking=false\n"
    )
    for words in (
        ("-m", "ping"),
        ("-m", "command", "-a", "echo one"),
        ("-m", "copy", "-a", f"src={bob.key.parent}/up dest={place}/in/up"),
    ):
        done = await bob.run(str(ansible), "-i", str(inventory), HOST, *words, patience=40)
        assert done.status == 0, (words, done.out, done.err)
    assert (place / "in" / "up").read_bytes() == CONTENTS


async def test_sshfs(bob: Contractor, bastion: Bastion, place: Path, tmp_path: Path) -> None:
    """A directory of the target's, mounted."""
    sshfs = needed("sshfs", "sshfs")
    mount = tmp_path / "mount"
    mount.mkdir()
    command = f"ssh_command=ssh -F {bob.config} -J bastion"
    words = (sshfs, "-o", command, f"{bob.login}@{HOST}:{place}", str(mount))
    done = await bob.run(*words)
    if "fuse" in done.err and done.status != 0:
        pytest.skip(f"nothing can be mounted here: {done.err.strip()}")
    assert done.status == 0, done.err
    try:
        read = await asyncio.to_thread((mount / "out/app.log").read_bytes)
        assert read == CONTENTS
        await asyncio.to_thread((mount / "in/up").write_bytes, CONTENTS)
        with pytest.raises(PermissionError):
            await asyncio.to_thread((mount / "out/no").write_bytes, b"x")
    finally:
        await bob.run(
            "fusermount3" if shutil.which("fusermount3") else "fusermount", "-u", str(mount)
        )
    assert (place / "in/up").read_bytes() == CONTENTS


@asynccontextmanager
async def forwarded(bob: Contractor, port: int) -> AsyncIterator[None]:
    """The target's ssh, as the bastion shows it, at a port here."""
    words = ("-v", "-N", "-L", f"127.0.0.1:{port}:{HOST}:22", "bastion")
    async with bob.start(*words) as running:
        await running.stderr.expect("Entering interactive session")
        yield


async def test_curl(bob: Contractor, bastion: Bastion, place: Path, free_port: int) -> None:
    """It knows no jump: a forward of the outer connection gives it one."""
    curl = needed("curl", "curl")
    pinned = (await asyncio.to_thread(host_key, bastion)).removeprefix("SHA256:")
    keys = ("--key", str(bob.key), "--pubkey", str(bob.public_key), "-u", f"{bob.login}:")
    line = (curl, "-sS", *keys, "--hostpubsha256", pinned)
    url = f"sftp://127.0.0.1:{free_port}{place}"
    async with forwarded(bob, free_port):
        done = await bob.run(*line, f"{url}/out/app.log", "-o", str(bob.key.parent / "down"))
        assert done.status == 0, done.err
        done = await bob.run(*line, "-T", str(bob.key.parent / "up"), f"{url}/in/up")
        assert done.status == 0, done.err
        done = await bob.run(*line, f"sftp://127.0.0.1:{free_port}/etc/passwd")
        assert done.status != 0
    await moved(bastion, bob, place)


async def test_remote_editor(bob: Contractor, free_port: int) -> None:
    """VS Code's Remote-SSH: `ssh -T -D PORT host sh`, a script on stdin, then its own protocol to a
    port that the script's server has on the target's loopback."""
    curl = needed("curl", "curl")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nserver")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = ("-v", "-T", "-D", str(free_port), "-o", "ConnectTimeout=15")
    async with server, bob.jumping("sh", options=options) as running:
        await established(running)
        await running.send(f"uname -sm; echo 'listeningOn=='{port}'=='\n")
        await running.stdout.expect(f"listeningOn=={port}==")
        through = ("--socks5-hostname", f"127.0.0.1:{free_port}")
        done = await bob.run(curl, "-sS", *through, f"http://localhost:{port}/")
        assert (done.out, done.status) == ("server", 0), done.err
