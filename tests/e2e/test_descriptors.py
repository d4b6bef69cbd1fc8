"""A process that has no descriptor left: it neither ends nor runs in circles, and comes back."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench.processes import processor_seconds
from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm

pytestmark = pytest.mark.timeout(120)

LEFT = 5
COUNTING = "i=0; while sleep 0.05; do i=$((i+1)); echo $i; done"


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion of its own, which may be short of something."""
    made = Bastion(tmp_path / "home", warm)
    sshd.trust(made.admin_now("ca", "show", "target").out)
    pinned = ("--address", sshd.address, "--host-key", str(sshd.host_key_file))
    made.admin_now("host", "add", HOST, *pinned)
    made.start()
    yield made
    made.stop()


def opened(pid: int) -> int:
    """How many descriptors a process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def test_no_descriptor_is_left(own: Bastion, tmp_path: Path, sshd: Sshd) -> None:
    """What is live goes on; newcomers are turned away at once; later there is a place again."""
    bob = Contractor.enrolled(tmp_path / "bob", "bob", own, sshd.login)
    await bob.granted()
    await bob.certified()
    async with bob.jumping(COUNTING) as session:
        await session.stdout.expect("1\n")
        before = resource.prlimit(own.pid, resource.RLIMIT_NOFILE)
        few = opened(own.pid) + LEFT
        resource.prlimit(own.pid, resource.RLIMIT_NOFILE, (few, before[1]))
        with ExitStack() as stack:
            strangers = [stack.enter_context(_stranger(own.port)) for _ in range(4 * LEFT)]
            async with asyncio.timeout(10):
                answers = await asyncio.gather(*map(_first_word, strangers))
            assert b"" in answers
            begun = processor_seconds(own.pid)
            await session.stdout.expect(r"(\d+\n){15}")  # most of a second
            assert processor_seconds(own.pid) - begun < 0.3
            assert (await bob.jump("echo in vain")).status != 0
        resource.prlimit(own.pid, resource.RLIMIT_NOFILE, before)
        assert (await bob.jump("echo again")).out == "again\n"
    assert "Traceback" not in own.log, own.log


def _stranger(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


async def _first_word(connection: socket.socket) -> bytes:
    """What the bastion says to somebody who says nothing; nothing where it hangs up."""
    connection.setblocking(False)
    try:
        return await asyncio.get_running_loop().sock_recv(connection, 100)
    except ConnectionError:
        return b""
