"""`bastion-admin`, loaded once and forked for every command: what makes many commands quick.

Each command is a process of its own that runs the program's own `main`, with its own argv, stdin,
stdout and stderr; only the imports are shared. Run as a program, this module is the one that forks.
"""

import importlib
import json
import os
import pkgutil
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from tests.e2e.watching import Result

ROOT = Path(__file__).parents[2]
SECONDS = 30.0
"""The longest that one command may take."""


class Warm:
    """Runs commands one after the other; `stop` ends it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )

    def run(self, *argv: str, stdin: bytes = b"", patience: float = SECONDS) -> Result:
        """One command, to its end, for which it has `patience` seconds. Blocks."""
        with self._lock, tempfile.TemporaryDirectory(prefix="admin-") as folder:
            place = Path(folder)
            (place / "stdin").write_bytes(stdin)
            status = self._ask({"argv": argv, "place": folder}, patience)
            return Result(status, (place / "stdout").read_bytes(), (place / "stderr").read_bytes())

    def stop(self) -> None:
        """No more commands."""
        self._process.communicate(timeout=SECONDS)

    def _ask(self, request: dict[str, object], patience: float) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], patience)
        if not ready:
            self._process.kill()
            raise AssertionError(f"{request['argv']} went on for {patience:.0f} s")
        answer = self._process.stdout.readline()
        assert answer, "what forks for every command has ended by itself"
        return int(answer)


def main() -> None:
    """Reads requests, and forks for each."""
    program = importlib.import_module("cli.admin").main
    for module in pkgutil.iter_modules(importlib.import_module("cli").__path__, "cli."):
        importlib.import_module(module.name)
    with os.fdopen(os.dup(0), "rb") as requests:
        for line in requests:
            request = json.loads(line)
            child = os.fork()
            if child == 0:
                os._exit(_run(program, request["argv"], Path(request["place"])))
            _, status = os.waitpid(child, 0)
            os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _run(program: Callable[[], None], argv: list[str], place: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(os.open(place / name, flags if number else os.O_RDONLY, 0o600), number)
    sys.argv = ["bastion-admin", *argv]
    try:
        program()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
