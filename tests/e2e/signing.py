"""The signer of a bastion, as a process of its own."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.e2e.bastion import ADMIN, Bastion, environment
from tests.e2e.warm import ROOT
from tests.e2e.watching import PATIENCE


class Signer:
    """Takes over the keys of a bastion that does not serve yet. `place` has a short name."""

    def __init__(self, bastion: Bastion, place: Path) -> None:
        self.directory = place / "signer"
        self.socket = place / "socket"
        self._log = place / "log"
        self._process: subprocess.Popen[bytes] | None = None
        bastion.admin_now(
            *("signer", "adopt", "--to", str(self.directory), "--socket", str(self.socket))
        )

    @property
    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def book(self) -> list[dict[str, Any]]:
        """What it has signed."""
        files = sorted((self.directory / "book").iterdir())
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def start(self) -> None:
        """Runs it until it says that it signs."""
        begun, deadline = len(self.log), time.monotonic() + PATIENCE
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*ADMIN, "signer", "serve", "--directory", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment(),
            )
        while "signing on" not in self.log[begun:]:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it, and gives its exit status. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return 0
        os.kill(process.pid, number)
        return process.wait(PATIENCE)
