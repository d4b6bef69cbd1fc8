"""A worker's command line: what the supervisor starts is ours, wherever it was started."""

import os
import subprocess
from pathlib import Path

from cli.worker import Own, command, handed
from tests.e2e.bastion import environment


def test_what_lies_in_the_working_directory_is_not_run(tmp_path: Path) -> None:
    """A package `cli` there is somebody else's."""
    (tmp_path / "cli").mkdir()
    for name in ("__init__.py", "worker.py"):
        (tmp_path / "cli" / name).write_text("print('not ours')\n")
    settings = handed("")
    own = Own("steward", 2, pipe=0, settings=settings, memory=0)
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
