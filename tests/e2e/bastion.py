"""The bastion itself: the real program, in a home of its own, as an operator starts it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests import postgres
from tests.e2e.warm import ROOT, SECONDS, Warm
from tests.e2e.watching import PATIENCE, Result, Running

ADMIN = (sys.executable, "-m", "cli.admin")


class Bastion:
    """A home directory, and while it is started a process that serves it on loopback."""

    def __init__(self, home: Path, warm: Warm, database: str | None = None) -> None:
        """Makes the home by `init`; nothing is served yet. `warm` runs its commands.

        `database` is a PostgreSQL's URL; without one it is of the kind that the tests run on.
        """
        self.home = home
        self.port = free_port()
        self._begin(warm)
        url = database or postgres.new_empty_url()
        self.admin_now("init", "--listen", self.address, *(("--database", url) if url else ()))
        self.host_ca = self.admin_now("ca", "show", "host").out.strip()

    def _begin(self, warm: Warm) -> None:
        self._warm = warm
        self._log = self.home.with_name(f"{self.home.name}.log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """HOST:PORT, where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that `serve` has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        return self._process.pid

    @property
    def resident(self) -> int:
        """Memory of the serving process, in bytes (VmRSS)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def admin_now(
        self, *words: str, stdin: bytes = b"", expect: int | None = 0, patience: float = SECONDS
    ) -> Result:
        """`bastion-admin WORDS`; blocks. Fails unless the exit status is `expect` (None: any)."""
        home = ("--home", str(self.home))
        result = self._warm.run(*home, *words, stdin=stdin, patience=patience)
        said = f"{result.err}{result.out[-2000:]}"
        assert expect in (None, result.status), f"{words}: {result.status}: {said}"
        return result

    async def admin(
        self, *words: str, stdin: bytes = b"", expect: int | None = 0, patience: float = SECONDS
    ) -> Result:
        """`bastion-admin WORDS`, as `admin_now`, beside what goes on."""
        asked = partial(self.admin_now, *words, stdin=stdin, expect=expect, patience=patience)
        return await asyncio.to_thread(asked)

    def running(self, *words: str) -> Running:
        """`bastion-admin WORDS` that goes on; to be entered."""
        return Running(*ADMIN, "--home", str(self.home), *words, env=environment())

    async def rows(self, *words: str) -> list[dict[str, Any]]:
        """What `bastion-admin WORDS --json` lists."""
        rows: list[dict[str, Any]] = json.loads((await self.admin(*words, "--json")).out)
        return rows

    def set(self, section: str, name: str, value: str | int | list[str]) -> None:
        """Sets one of the settings under [section]; it counts from the next start."""
        settings = self.home / "bastion.toml"
        head = f"[{section}]\n"
        text = settings.read_text()
        assert head in text
        settings.write_text(text.replace(head, f"{head}{name} = {json.dumps(value)}\n"))

    def start(self, workers: int = 1) -> None:
        """Runs `serve` until it says that it listens."""
        begun = len(self.log)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*ADMIN, "--home", str(self.home), "serve", "--workers", str(workers)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment(),
                start_new_session=True,
            )
        try:
            self._until_listening(self._process, begun, (1 + workers) * PATIENCE)
        except BaseException:
            self.kill9()
            raise

    def _until_listening(
        self, process: subprocess.Popen[bytes], begun: int, patience: float
    ) -> None:
        deadline = time.monotonic() + patience
        while "listening" not in self.log[begun:].lower():
            assert process.poll() is None, f"serve ended at once: {self.log}"
            assert time.monotonic() < deadline, f"serve does not listen: {self.log}"
            time.sleep(0.01)

    def stop(self, patience: float = PATIENCE) -> int:
        """SIGTERM, and its exit status. Does nothing when it does not run."""
        return self._ended(signal.SIGTERM, patience)

    def kill9(self) -> None:
        """SIGKILL: what a lost machine looks like."""
        self._ended(signal.SIGKILL, PATIENCE)

    def ended(self) -> int | None:
        """The exit status of one that has ended by itself; None while it goes on."""
        assert self._process is not None
        try:
            return self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            return None

    def _ended(self, number: signal.Signals, patience: float) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"serve went on for {patience} s after {number.name}") from None


def environment() -> dict[str, str]:
    """What a command of the bastion gets of the tests' own environment."""
    systemd = ("NOTIFY_SOCKET", "WATCHDOG_USEC")
    store = (name for name in os.environ if name.startswith("AWS_"))
    kept = ("PATH", "PYTHONPATH", "HOME", "LANG", "USER", "LOGNAME", "TMPDIR", *systemd, *store)
    return {name: os.environ[name] for name in kept if name in os.environ}


def free_port() -> int:
    """A port of loopback where nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
