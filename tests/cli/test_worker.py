"""The processes that serve: what the supervisor starts is ours, and what it is itself is little."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from bastion import neighbours
from cli.supervisor import Own, command, handed
from tests.cli.desks import Installation
from tests.e2e.bastion import environment


def test_what_lies_in_the_working_directory_is_not_run(tmp_path: Path) -> None:
    """A package `cli` there is somebody else's."""
    (tmp_path / "cli").mkdir()
    for name in ("__init__.py", "worker.py"):
        (tmp_path / "cli" / name).write_text("print('not ours')\n")
    settings = handed("")
    own = Own("steward", pipe=0, settings=settings, memory=0)
    started = command(tmp_path / "home", own, listening=[])
    done = subprocess.run(
        started,
        pass_fds=[settings],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("bastion-admin: steward: ")


def test_a_process_that_can_not_serve_says_why_in_a_line(admin: Installation) -> None:
    """Also where it finds out when it has begun: the log is read by whoever is on call."""
    admin.home.run.write_text("no directory")
    settings, memory = handed(admin.home.settings.read_text()), neighbours.shared(1)
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with ours, theirs:
        own = Own("worker 1", pipe=theirs.fileno(), settings=settings, memory=memory)
        done = subprocess.run(
            command(admin.home.directory, own, listening=[]),
            pass_fds=[settings, memory, theirs.fileno()],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    os.close(settings)
    os.close(memory)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = f"bastion-admin: worker 1: {admin.home.run} can't be used: File exists."
    assert done.stderr.splitlines() == [said]


def test_who_looks_after_the_others_has_loaded_little() -> None:
    """It stays for as long as the service: nothing that reads settings, databases, SSH."""
    loaded = "import sys, cli.supervisor; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", loaded],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"asyncssh", "click", "cryptography", "httpx", "pydantic", "sqlalchemy"}
    assert not heavy & set(done.stdout.split())
