"""The program as a process: exit statuses, the two ways out, quiet ends, whose rights it has."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import pytest

from tests.cli.desks import KEY, Installation, free_port

ROOT = Path(__file__).parents[2]
ADMIN = [sys.executable, "-m", "cli.admin"]


def ran(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`bastion-admin WORDS`."""
    return subprocess.run(
        [*ADMIN, *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_init_makes_a_home_once(tmp_path: Path) -> None:
    """The second time it refuses, and loses nothing."""
    home = tmp_path / "home"
    made = ran(
        "--home", str(home), "init", "--listen", "127.0.0.1:2201", "--name", "jump", "--json"
    )
    told = json.loads(made.stdout)
    assert (made.returncode, told["listen"], told["names"][0]) == (0, "127.0.0.1:2201", "jump")
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    again = ran("--home", str(home), "init")
    assert (again.returncode, again.stdout) == (1, "")
    assert "it is left as it is" in again.stderr
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    assert ran("ca", "show", "host", BASTION_HOME=str(home)).stdout.startswith("ssh-ed25519 ")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("--home", "/nowhere", "grants"), 1, "There is no home in /nowhere"),
        (("frob",), 2, "No such command 'frob'. See bastion-admin --help."),
        (("grants", "--frob"), 2, "No such option '--frob'. See bastion-admin grants --help."),
        (("--home", "/dev/null", "init"), 1, "/dev/null"),
        (("init", "--listen", "nonsense"), 2, "names no port"),
        (("user", "show"), 2, "Missing argument 'NAME'. See bastion-admin user show --help."),
    ],
)
def test_a_mistake_is_one_sentence(words: tuple[str, ...], status: int, sentence: str) -> None:
    """On stderr, with its status, and nothing on stdout."""
    done = ran(*words)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("bastion-admin: ")
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr


def test_a_misspelt_variable_is_refused(admin: Installation) -> None:
    """It would be silently nothing."""
    done = ran("grants", BASTION_HOEM=str(admin.home.directory))
    assert done.returncode == 1
    assert "BASTION_HOEM" in done.stderr
    assert "BASTION_HOME" in done.stderr


def test_help_and_version_need_no_home(own_home: Path) -> None:
    """They are on stdout, and nothing is opened for them."""
    helped = ran("grant", "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("Usage: bastion-admin grant [OPTIONS] USER")
    assert ran("--version").stdout.startswith("bastion-admin ")
    assert list(own_home.iterdir()) == []


def test_whoever_has_read_enough_leaves_in_silence(furnished: Installation) -> None:
    """A closed pipe is no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [*ADMIN, "--home", str(furnished.home.directory), "grants", "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_mistake_of_ours_is_kept_and_not_shown(furnished: Installation) -> None:
    """What nobody expected is one sentence; the traceback is in the home, for its owner only."""
    script = (
        "import sys; from cli import admin, shapes\n"
        "shapes.grant = lambda *_: {}['x']\n"
        f"sys.argv = ['x', '--home', {str(furnished.home.directory)!r}, 'grants', '--json']\n"
        "admin.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    kept = furnished.home.directory / "mistakes.log"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert str(kept) in done.stderr
    assert "KeyError: 'x'" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_root_becomes_the_owner_of_the_home(admin: Installation) -> None:
    """Before anything is opened, so nothing in the home ends up belonging to root.

    An owner who can't read the program is told so.
    """
    home = admin.home.directory
    top = Path(tempfile.gettempdir())
    for directory in (home, *(each for each in home.parents if top in each.parents)):
        directory.chmod(0o711 if directory != home else 0o700)
    for path in (home, *home.rglob("*")):
        shutil.chown(path, "nobody", "nogroup")
    done = ran("--home", str(home), "user", "add", "alice", "--key", KEY)
    if not all(map(readable_by_all, (Path(os.__file__), Path(__file__), Path(sys.executable)))):
        assert done.stderr.startswith("bastion-admin: The home belongs to nobody, who can't read")
        return
    assert done.returncode == 0, done.stderr
    owners = {path.stat().st_uid for path in (home, *home.rglob("*"))}
    assert owners == {home.stat().st_uid}
    shown = ran("--home", str(home), "user", "show", "alice", "--json")
    assert json.loads(shown.stdout)["enrolled_by"] == "os:root"


def readable_by_all(file: Path) -> bool:
    """Whether any account may read it: where it is in somebody's home, others may not."""
    return all(directory.stat().st_mode & 0o001 for directory in file.parents)


def test_serve_says_when_it_listens_and_ends_in_peace(tmp_path: Path) -> None:
    """READY for systemd (sd_notify(3)), a second one is refused, SIGHUP reads the rules anew.

    SIGTERM ends it with 0.
    """
    home, port = tmp_path / "home", free_port()
    assert ran("--home", str(home), "init", "--listen", f"127.0.0.1:{port}").returncode == 0
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(tmp_path / "notify"))
    notices.settimeout(20)
    command = [*ADMIN, "--home", str(home), "serve", "--workers", "1"]
    environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    with (
        notices,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        ) as server,
    ):
        assert heard(notices) == b"READY=1"
        second = ran("--home", str(home), "serve")
        assert second.returncode == 1
        assert f"served already, by the process {server.pid}" in second.stderr
        assert ran("--home", str(home), "doctor", "--offline").returncode == 0
        server.send_signal(signal.SIGHUP)
        assert server.stderr is not None
        before = read_until(server.stderr, "the rules were read anew")
        server.send_signal(signal.SIGTERM)
        _, said = server.communicate(timeout=20)
        assert heard(notices) == b"STOPPING=1"
    assert server.returncode == 0
    assert f"bastion-admin: listening on 127.0.0.1:{port}\n" in before
    assert "Traceback" not in said


def heard(notices: socket.socket) -> bytes:
    """What systemd is told next, but for how it is: that it hears again and again."""
    while (said := notices.recv(1000)).startswith(b"STATUS="):
        pass
    return said


def read_until(said: IO[str], wanted: str) -> str:
    """What is said up to the line with `wanted`; all of it, where there is none."""
    lines = []
    for line in said:
        lines.append(line)
        if wanted in line:
            break
    return "".join(lines)


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """`serve` and `doctor` both say so."""
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran("--home", str(home), "init", "--listen", f"127.0.0.1:{port}")
        served = ran("--home", str(home), "serve")
        looked = ran("--home", str(home), "doctor", "--offline")
    assert served.returncode == 1
    assert f"127.0.0.1:{port} can't be listened on" in served.stderr
    assert "Traceback" not in served.stderr
    assert looked.returncode == 1
    assert f"ss -ltnp 'sport = :{port}'" in looked.stdout


def test_a_question_that_is_interrupted_ends_in_silence(tmp_path: Path) -> None:
    """Ctrl-C while a key is being read from standard input."""
    home = tmp_path / "home"
    ran("--home", str(home), "init")
    command = [*ADMIN, "--home", str(home), "user", "add", "alice", "--key", "-"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asking:
        wait_until_reading(asking.pid)
        asking.send_signal(signal.SIGINT)
        _, said = asking.communicate(timeout=20)
    assert (asking.returncode, said) == (130, "")


def wait_until_reading(pid: int) -> None:
    """Until the process has imported what it needs, and sleeps in a read of a pipe."""
    process, deadline = Path(f"/proc/{pid}"), time.monotonic() + 20
    while not (
        "avt" in (process / "maps").read_text() and "pipe" in (process / "wchan").read_text()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.timeout(120)
def test_the_demo_tells_its_story_to_the_end(tmp_path: Path) -> None:
    """Each step does what it should, with the real client, and nothing is left behind."""
    begun = time.monotonic()
    done = ran("demo", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - begun < 60
    for line in (
        "$ ssh -J bastion deploy@web-1",
        "bastion: that login is not granted on web-1",
        "bastion: G-3 ended at",
        "$ bastion-admin replay S-2",
    ):
        assert line in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_completion_is_clicks_own() -> None:
    """The shell gets what it asks for, without a home."""
    done = ran(_BASTION_ADMIN_COMPLETE="bash_source")
    assert "_bastion_admin_completion" in done.stdout
    words = {"COMP_WORDS": "bastion-admin ho", "COMP_CWORD": "1"}
    done = ran(_BASTION_ADMIN_COMPLETE="bash_complete", **words)
    assert done.stdout.split() == ["plain,host", "plain,hold", "plain,holds"]
