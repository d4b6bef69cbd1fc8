"""Strangers by the thousand, and clients that are there and are not.

Nobody is let in, nothing that goes on is lost, and who may come in does. In short this stands in
tests/corpus; `make faults` runs these.
"""

import asyncio
import json
import os
import random
import re
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.bastion.test_proxied import TCP4, header
from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import Running

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

STRANGER = "127.0.0.66"
"""Another network than the contractors': each address of loopback is one."""

COUNTING = "i=0; while sleep 0.02; do i=$((i+1)); echo $i; done"

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Coroutine[None, None, None]]


@pytest.fixture
def gate(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion that has little patience."""
    made = Bastion(tmp_path / "home", warm)
    made.set("limits", "login_grace", "4s")
    made.set("limits", "dead", "4s")
    with serving(made, sshd):
        yield made


@pytest.fixture
def bob(tmp_path: Path, gate: Bastion, sshd: Sshd) -> Contractor:
    """Somebody with a shell there."""
    person = Contractor.enrolled(tmp_path / "bob", "bob", gate, sshd.login)
    person.granted_now()
    person.certified_now()
    return person


@asynccontextmanager
async def undisturbed(gate: Bastion, bob: Contractor) -> AsyncIterator[None]:
    """A session goes on from before to after, others begin meanwhile, and no number is missing; of
    the strangers nobody gets as far as a connection to anywhere."""
    async with bob.jumping(COUNTING) as counting:
        await counting.stdout.expect("1\n")
        async with asyncio.TaskGroup() as group:
            comers = group.create_task(keep_coming(bob))
            yield
            comers.cancel()
        seen = len(counting.stdout.seen)
        while len(counting.stdout.seen) <= seen:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
        counting.signal(signal.SIGTERM)
        await counting.wait()
    numbers = [int(word) for word in counting.stdout.text.split()]
    assert numbers[:-1] == list(range(1, len(numbers)))
    assert (await bob.jump("echo hello")).out == "hello\n"
    events = [json.loads(line) for line in (await gate.admin("audit", "--json")).out.splitlines()]
    opened = [each for each in events if each["what"].startswith(("connection.", "session."))]
    assert {each["actor"] for each in opened} == {"bob"}
    await gate.admin("verify", "--all")
    await gate.admin("audit", "verify")


async def keep_coming(bob: Contractor) -> None:
    """One after another: each gets in."""
    while True:
        assert (await bob.jump("echo hello")).out == "hello\n"


async def met(gate: Bastion, limit: str) -> int:
    """How often that limit was met, as the log of events has it when the bastion has ended."""
    gate.stop()
    told = (await gate.admin("audit", "--what", "limit.reached", "--json")).out.splitlines()
    gate.start()
    events = [json.loads(line) for line in told]
    return sum(each["details"]["times"] for each in events if each["why"] == limit)


async def strangers(gate: Bastion, number: int, at_once: int, attack: Attack) -> list[bytes]:
    """So many connections from one address; what each was told in the end."""
    turns, said = asyncio.Semaphore(at_once), []

    async def one(which: int) -> None:
        async with turns:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", gate.port, local_addr=(STRANGER, 0)
            )
            with suppress(OSError):  # some are closed before they have said all
                await attack(reader, writer, which)
                async with asyncio.timeout(15):
                    said.append(await reader.read())
            writer.close()

    async with asyncio.TaskGroup() as group:
        for which in range(number):
            group.create_task(one(which))
    return said


async def test_ten_thousand_connections_from_one_source(gate: Bastion, bob: Contractor) -> None:
    """A thousand at a time, that say nothing or half of something and stay: most are told that
    there is no place, and of those that have one each is told that its time is over."""

    async def knock(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, which: int) -> None:
        writer.write(b"SSH-2.0-stranger\r\n" if which % 2 else b"")

    async with undisturbed(gate, bob):
        said = await strangers(gate, 10_000, 1000, knock)
    places = re.compile(rb"too many connections from your network are signing in|too many sign-ins")
    assert sum(bool(places.search(each)) for each in said) > 5000
    assert gate.resident < 600 * 2**20
    met_there = await met(gate, "unauthenticated_per_source")
    assert met_there + await met(gate, "failures_per_source") > 8000


async def test_handshakes_a_byte_at_a_time(gate: Bastion, bob: Contractor) -> None:
    """Each begins something else and never ends it: it is over when its time is, not later."""
    begun = (b"SSH-2.0-" + b"x" * 200, b"SSH-2.0-x\r\n" + b"\0\0\4\0" + bytes(200))

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, which: int) -> None:
        began = asyncio.get_running_loop().time()
        for byte in begun[which % 2] * 4:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.1)
            if reader.at_eof() or writer.is_closing():
                return
            assert asyncio.get_running_loop().time() - began < 30

    async with undisturbed(gate, bob):
        await strangers(gate, 90, 90, drip)
    assert await met(gate, "login_grace") >= 80


async def test_scanners_and_garbage(gate: Bastion, bob: Contractor) -> None:
    """HTTP, TLS, SSH cut off anywhere, a header of a balancer, and bytes by chance, the same each
    time."""
    dice = random.Random(70)  # noqa: S311
    known = (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3" + bytes(500),
        b"SSH-2.0-Go\r\n" + bytes(300),
        b"SSH-1.99-x\n",
        header(TCP4, bytes(12)) + b"SSH-2.0-x\r\n",
        b"\r\n" * 2000,
        b"EHLO x\r\n",
        b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0",
    )
    inputs = [
        dice.choice(known)[: dice.randrange(1, 600)] if dice.random() < 0.6 else dice.randbytes(300)
        for _ in range(2000)
    ]

    async def throw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, which: int) -> None:
        writer.write(inputs[which])
        writer.write_eof()

    async with undisturbed(gate, bob):
        said = await strangers(gate, len(inputs), 100, throw)
    assert all(each.startswith(b"SSH-2.0-") for each in said if each)
    assert "Traceback" not in gate.log


async def test_clients_that_are_there_and_do_not_answer(gate: Bastion, bob: Contractor) -> None:
    """Half open, as after a laptop's lid was shut: each is missed, and its recording is whole; a
    client of the same kind that answers is not."""
    async with AsyncExitStack() as stack:
        stopped = [await stack.enter_async_context(bob.jumping(COUNTING)) for _ in range(6)]
        for each in stopped:
            await each.stdout.expect("5\n")
        async with undisturbed(gate, bob):
            for each in stopped:
                os.killpg(each.pid, signal.SIGSTOP)
            async with asyncio.timeout(30):
                while len(await gate.rows("sessions", "--live", "--user", "bob")) > 2:
                    pass
            await gone(gate, stopped)
    assert await met(gate, "dead") == 6


async def gone(gate: Bastion, stopped: list[Running]) -> None:
    """They come back, find that they have ended, and miss nothing that was recorded for them."""
    for each in stopped:
        os.killpg(each.pid, signal.SIGCONT)
        assert await each.wait() == 255
    rows = [row for row in await gate.rows("sessions") if row["command"] == COUNTING]
    over = [row for row in rows if row["ended_at"] is not None]
    assert len(over) == 6
    assert all(row["recording"]["sha256"] for row in over)
    for row in over:
        text = (await gate.admin("export", row["id"], "--raw", "stdout")).out
        numbers = [int(word) for word in text.split()]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_a_target_that_does_not_answer_any_more(gate: Bastion, bob: Contractor) -> None:
    """Its sshd stands still in the middle of a session: that is lost, and says so."""
    async with bob.jumping("echo begun; kill -STOP $PPID; sleep 60") as lost:
        await lost.stdout.expect("begun\n")
        await lost.stderr.expect("bastion: the connection to the target was lost.")
        assert await lost.wait() == 255
    async with asyncio.timeout(10):
        while (await gate.rows("sessions"))[0]["end_reason"] is None:
            pass
    assert (await gate.rows("sessions"))[0]["end_reason"] == "lost"
    assert (await bob.jump("echo hello")).out == "hello\n"


async def test_sessions_are_counted_across_workers(gate: Bastion, bob: Contractor) -> None:
    """Of ten at once as many begin as may, whichever worker each comes to; and then again."""
    gate.stop()
    settings = gate.home / "bastion.toml"
    text = settings.read_text()
    settings.write_text(text.replace("[limits]\n", "[limits]\nsessions_per_user = 4\n"))
    gate.start(workers=2)
    for _ in range(2):
        async with AsyncExitStack() as stack:
            begun = [await stack.enter_async_context(bob.jumping(COUNTING)) for _ in range(10)]
            async with asyncio.TaskGroup() as group:
                answers = [group.create_task(answer(each)) for each in begun]
            assert sum(each.result() for each in answers) == 4
            assert len(await gate.rows("sessions", "--live")) == 4
        async with asyncio.timeout(10):
            while await gate.rows("sessions", "--live"):
                pass
    assert await met(gate, "sessions_per_user") == 12


async def answer(session: Running) -> bool:
    """Whether it has begun; else it was said why not."""
    async with asyncio.timeout(15):
        while not session.stdout.seen:
            if b"as many sessions open as you may, 4; end one first." in session.stderr.seen:
                assert await session.wait() == 254
                return False
            await asyncio.sleep(0.02)
    return True


async def test_floods_whose_readers_stall(gate: Bastion, bob: Contractor) -> None:
    """`yes` to a pipe that nobody reads: it waits for longer than somebody may be silent, and costs
    its windows and no more; then it goes on where it was, and nothing of it is missing."""
    async with AsyncExitStack() as stack, asyncio.timeout(120):
        before = gate.resident
        floods = [await stack.enter_async_context(bob.stalled("yes | cat -n")) for _ in range(8)]
        async with undisturbed(gate, bob):
            await asyncio.sleep(10)  # two and a half times as long as one may be silent
        assert gate.resident - before < 8 * 12 * 2**20
        for flood in floods:
            text = b""
            while len(text) < 8 * 2**20:
                text += await flood.read()
            numbers = [int(line.split()[0]) for line in text.splitlines()[:-1]]
            assert numbers == list(range(1, len(numbers) + 1))
