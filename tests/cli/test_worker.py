"""A worker's command line: what the supervisor starts is ours, wherever it was started."""

import subprocess
from pathlib import Path

from cli.worker import command
from tests.e2e.bastion import environment


def test_what_lies_in_the_working_directory_is_not_run(tmp_path: Path) -> None:
    """A package `cli` there is somebody else's."""
    (tmp_path / "cli").mkdir()
    for name in ("__init__.py", "worker.py"):
        (tmp_path / "cli" / name).write_text("print('not ours')\n")
    started = command(tmp_path / "home", "steward", 2, listening=[], pipe=0)
    done = subprocess.run(
        started, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("bastion-admin: steward: ")
