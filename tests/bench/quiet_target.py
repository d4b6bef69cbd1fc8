"""A target that does nothing, in a process of its own: so many sessions cost next to nothing there.

Run as a program with a CA's public key for its argument, and others' that may come in by
themselves, it prints its port and its host key, and
ends with its stdin. It stands back for whoever else wants the processor: other targets than those
of a measurement are machines of their own.
"""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import asyncssh

from tests.bench.processes import descriptors_raised
from tests.e2e.warm import ROOT

READY = b"ready"
_BACKLOG = 512


@dataclass(frozen=True, slots=True)
class QuietTarget:
    """One that listens on loopback."""

    port: int
    host_key_line: str


@contextmanager
def quiet_target(ca_line: str, *key_lines: str) -> Iterator[QuietTarget]:
    """One that lets in whoever that CA certified, and these keys, until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.quiet_target", ca_line, *key_lines],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            port, _, key = process.stdout.readline().strip().partition(" ")
            yield QuietTarget(int(port), key)
        finally:
            process.communicate(timeout=20)


class _Silence(asyncssh.SSHServerSession[bytes]):
    """Says that it is there, and nothing more."""

    _chan: asyncssh.SSHServerChannel[bytes]

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan

    def pty_requested(self, *_: object) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        return True

    def session_started(self) -> None:
        self._chan.write(READY)


class _Door(asyncssh.SSHServer):
    def session_requested(self) -> _Silence:
        return _Silence()


async def _listens(ca_line: str, *key_lines: str) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    trusted = asyncssh.import_authorized_keys(
        "".join(f"{line}\n" for line in (f"cert-authority {ca_line}", *key_lines))
    )
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=_Door,
        server_host_keys=[key],
        authorized_client_keys=trusted,
        kex_algs=["curve25519-sha256"],
        encryption_algs=["aes128-gcm@openssh.com"],
        keepalive_interval=0,
        line_editor=False,
        encoding=None,
        backlog=_BACKLOG,
    )
    line = key.export_public_key("openssh").decode().strip()
    sys.stdout.write(f"{acceptor.get_port()} {line}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    acceptor.close()


if __name__ == "__main__":
    os.nice(19)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # clients go without a word
    descriptors_raised()
    asyncio.run(_listens(*sys.argv[1:]))
