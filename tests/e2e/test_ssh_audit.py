"""`ssh-audit` looks at what both of our servers offer, and finds nothing but what is explained.

It asks as an OpenSSH client, to whom we offer less; so it is led through a relay as well that gives
it another name.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.bastion import Bastion, environment
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.watching import run

pytestmark = pytest.mark.timeout(120)

OLDER_CLIENTS = "does not provide protection against post-quantum attacks"
OLD_LIBSSH2 = "using encrypt-and-MAC mode"

EXPLAINED = {
    ("kex", "curve25519-sha256", OLDER_CLIENTS),
    ("kex", "curve25519-sha256@libssh.org", OLDER_CLIENTS),
    ("mac", "hmac-sha2-256", OLD_LIBSSH2),
    ("mac", "hmac-sha2-512", OLD_LIBSSH2),
}
"""What is remarked upon and stays: see docs/threat-model.md, "What is offered"."""

Findings = set[tuple[str, str, str]]


async def audited(port: int) -> tuple[Findings, set[str]]:
    """What it warns of or worse, and the ciphers that it was offered."""
    argv = (sys.executable, "-m", "ssh_audit", "--skip-rate-test", "-j", "-p", str(port))
    done = await run(*argv, "127.0.0.1", env=environment(), patience=60)
    told = json.loads(done.out)
    assert all(told[kind] for kind in ("kex", "key", "enc", "mac")), done
    assert told["cves"] == []
    findings = {
        (kind, each["algorithm"], remark)
        for kind in ("kex", "key", "enc", "mac")
        for each in told[kind]
        for level in ("warn", "fail")
        for remark in each["notes"].get(level, ())
    }
    return findings, {each["algorithm"] for each in told["enc"]}


@asynccontextmanager
async def disguised(port: int) -> AsyncIterator[int]:
    """A port that leads there; whoever comes that way is no OpenSSH."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def led(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        there[1].write(b"SSH-2.0-another\r\n")
        await reader.readline()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(carry(reader, there[1]))
                both.create_task(carry(there[0], writer))
        except* ConnectionError:
            pass  # whoever has seen enough hangs up
        finally:
            there[1].close()
            writer.close()

    async with await asyncio.start_server(led, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_the_outer_door_is_clean(bastion: Bastion) -> None:
    """For OpenSSH and for others: no algorithm fails, and every remark has its reason."""
    findings, ciphers = await audited(bastion.port)
    assert findings == EXPLAINED
    assert all(cipher.endswith("-gcm@openssh.com") for cipher in ciphers)
    async with disguised(bastion.port) as port:
        findings, ciphers = await audited(port)
    assert findings == EXPLAINED
    assert {"aes128-gcm@openssh.com", "aes256-ctr"} <= ciphers


async def test_the_inner_door_offers_the_same(alice: Contractor, free_port: int) -> None:
    """It is reached as a stranger would, through somebody's forward to a host."""
    forward = ("-N", "-v", "-L", f"127.0.0.1:{free_port}:{HOST}:22", "bastion")
    async with alice.start(*forward) as going:
        await going.stderr.expect("Entering interactive session")
        findings, ciphers = await audited(free_port)
    assert findings == EXPLAINED
    assert all(cipher.endswith("-gcm@openssh.com") for cipher in ciphers)
