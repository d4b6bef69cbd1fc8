"""The stage of the demo: what runs the commands it shows, and shows what they say.

`ssh` is the real client, with settings of its own and on a real terminal where that matters.
Knows no story.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bastion.errors import Unavailable

PATIENCE = 20.0
"""Seconds for anything that the demo waits for."""

COLUMNS, ROWS = 100, 24


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said, both ways together, and its exit status."""

    status: int
    text: str


class Terminal:
    """A program on a terminal of its own; what it shows goes to `show` as it comes."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], show: Callable[[str], object]):
        self.text = ""
        self._show = show
        self._ours, theirs = pty.openpty()
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        self._child = subprocess.Popen(
            argv,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (before threads of the child's)
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        """Type `text`, as a person would."""
        os.write(self._ours, text.encode())

    def until(self, pattern: str) -> bool:
        """Wait until what is new matches; False when it does not come, or the program ends."""
        begun, deadline = len(self.text), time.monotonic() + PATIENCE
        while not re.search(pattern, self.text[begun:]):
            if not self._read(deadline):
                return False
        return True

    def end(self) -> Said:
        """Read to the end, and what it was."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        os.close(self._ours)
        try:
            status = self._child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._child.kill()
            status = self._child.wait()
        return Said(status, self.text)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # EIO: the program has closed its side
            return False
        text = data.decode("utf-8", "replace")
        self.text += text
        self._show(text.replace("\r\n", "\n"))
        return bool(data)


class Stage:
    """A directory with a home, people's `.ssh`, and a bastion that serves while it is on."""

    def __init__(self, directory: Path, show: Callable[[str], object]) -> None:
        self.directory = directory
        self.home = directory / "home"
        self._show = show
        self._server: subprocess.Popen[bytes] | None = None
        kept = ("PATH", "LANG", "LC_ALL", "TERM")
        self.env = {name: os.environ[name] for name in kept if name in os.environ}
        self.env |= {"HOME": str(directory)}
        self.env.setdefault("TERM", "xterm")

    def ssh(self, person: str) -> Path:
        """What is `~/.ssh` for that person."""
        return self.directory / person

    def person(self, name: str) -> Path:
        """Make place for somebody, and say where the key belongs."""
        self.ssh(name).mkdir(mode=0o700)
        return self.ssh(name) / "id_ed25519"

    def client(self, person: str, *words: str) -> tuple[str, ...]:
        """The ssh that is really run: the same words, with the person's settings."""
        return ("ssh", "-F", str(self.ssh(person) / "config"), *words)

    def fetch(self, person: str, file: Path, *words: str) -> Said:
        """`ssh WORDS > FILE`: what it says beside is shown."""
        with file.open("wb") as out:
            done = subprocess.run(
                self.client(person, *words),
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                timeout=PATIENCE,
                check=False,
            )
        said = Said(done.returncode, done.stderr.decode("utf-8", "replace"))
        self._show(said.text)
        return said

    def terminal(self, person: str, *words: str) -> Terminal:
        """`ssh WORDS` on a terminal."""
        return Terminal(self.client(person, *words), self.env, self._show)

    def serve(self) -> None:
        """Start the bastion, and wait until it listens. Raises Unavailable."""
        log = self.directory / "serve.log"
        with log.open("wb") as out:
            self._server = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "cli.admin",
                    "--home",
                    str(self.home),
                    "serve",
                    "--workers",
                    "1",
                ],
                cwd=Path(__file__).parents[1],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while b"listening on" not in log.read_bytes():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"The bastion did not start: {log.read_text()[-500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the bastion, if it was started."""
        if self._server is None:
            return
        self._server.terminate()
        try:
            self._server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None
