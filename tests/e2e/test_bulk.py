"""Much data, new keys in the middle, readers that stall: byte for byte, and without memory."""

import asyncio
import hashlib
import os
import signal
from pathlib import Path

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor

MIB = 2**20
BULK = int(os.environ.get("BASTION_TEST_BULK_MIB", "64")) * MIB
BULK_PATIENCE = 15 + BULK / (4 * MIB)
STALLED = 48 * MIB
"""More memory than this may not go into windows and queues of one stalled session."""


async def test_bulk_goes_both_ways_byte_for_byte(alice: Contractor) -> None:
    """What is sent comes back unchanged, both ways at once (BASTION_TEST_BULK_MIB for more)."""
    sent = random_bytes(BULK)
    done = await alice.jump("cat", stdin=sent, patience=BULK_PATIENCE)
    assert (len(done.stdout), done.status) == (len(sent), 0)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(sent).digest()


async def test_keys_are_exchanged_anew_in_the_middle(alice: Contractor) -> None:
    """Both connections rekey again and again while much goes both ways."""
    sent = random_bytes(64 * MIB)
    limit = ("-o", "RekeyLimit=1M")
    through = " ".join(("ssh", "-F", str(alice.config), *limit, "-W", "%h:%p", "bastion"))
    line = (*limit, "-v", "-o", f"ProxyCommand={through}", f"{alice.login}@{HOST}", "cat")
    done = await alice.ssh(*line, stdin=sent, patience=BULK_PATIENCE)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(sent).digest()
    assert done.err.count("SSH2_MSG_NEWKEYS received") > 40


async def test_a_stalled_reader_costs_no_memory(alice: Contractor, bastion: Bastion) -> None:
    """A client that takes nothing slows the target down; all of it comes when it reads again."""
    before = bastion.resident
    flood = 96 * MIB
    async with alice.stalled(f"head -c {flood} /dev/zero") as stalled, asyncio.timeout(60):
        got = len(await stalled.read(1))
        await idle(bastion.pid)
        assert bastion.resident - before < STALLED
        while data := await stalled.read():
            got += len(data)
        assert (got, await stalled.wait()) == (flood, 0)


async def test_a_stalled_target_costs_no_memory(alice: Contractor, bastion: Bastion) -> None:
    """A program that does not read slows the client down; all of it arrives when it does."""
    before = bastion.resident
    flood = bytes(64 * MIB)
    async with (
        alice.jumping("echo $$; kill -STOP $$; exec wc -c") as going,
        asyncio.TaskGroup() as group,
    ):
        stopped = int((await going.stdout.expect(r"(\d+)\n"))[1])
        sending = group.create_task(going.send(flood))
        await idle(bastion.pid)
        assert bastion.resident - before < STALLED
        assert not sending.done()
        os.kill(stopped, signal.SIGCONT)
        await sending
        going.close_stdin()
        await going.stdout.expect(f"{len(flood)}\n")
        assert await going.wait() == 0


def random_bytes(size: int) -> bytes:
    """Bytes that no compression and no text mode would leave as they are."""
    return os.urandom(min(size, MIB)) * (size // min(size, MIB))


async def idle(pid: int) -> None:
    """Watches until a process uses no processor time any more."""
    used, calm = -1, 0
    while calm < 5:
        await asyncio.sleep(0.05)
        now = cpu_ticks(pid)
        used, calm = now, calm + 1 if now - used <= 0 else 0


def cpu_ticks(pid: int) -> int:
    """The processor time that a process has used, in clock ticks (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
