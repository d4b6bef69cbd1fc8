"""Several processes that serve one home: what one has, all know; what one loses, no other does."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor, multiplexed
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import Running

pytestmark = pytest.mark.timeout(120)

WORKERS = 2
COUNTING = "i=0; while sleep 0.05; do i=$((i+1)); echo $i; done"


@pytest.fixture
def own(
    request: pytest.FixtureRequest, tmp_path: Path, sshd: Sshd, warm: Warm
) -> Iterator[Bastion]:
    """A bastion of several processes; at the end sessions have a second, or what is asked for."""
    made = Bastion(tmp_path / "home", warm)
    made.set("limits", "stalled", "3s")
    made.set("limits", "drain", getattr(request, "param", "1s"))
    with serving(made, sshd, workers=WORKERS, patience=30):
        yield made


def processes(own: Bastion, name: str = "worker") -> dict[str, int]:
    """The pids of the processes below, by their names."""
    found: dict[str, int] = {}
    children = Path(f"/proc/{own.pid}/task/{own.pid}/children").read_text().split()
    for pid in map(int, children):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if "cli.worker" in words:
            found[words[words.index("cli.worker") + 2]] = pid
    return {who: pid for who, pid in found.items() if who.startswith(name)}


def sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets."""
    links = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.add(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return {link for link in links if link.startswith("socket:")}


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


async def of_each(
    bob: Contractor, own: Bastion, stack: AsyncExitStack, least: int = 1
) -> dict[str, list[Running]]:
    """Sessions that go on, `least` of them carried by each worker."""
    carried: dict[str, list[Running]] = {name: [] for name in processes(own)}
    for _ in range(40):
        if all(len(sessions) >= least for sessions in carried.values()):
            return carried
        before = {name: sockets(pid) for name, pid in processes(own).items()}
        session = await stack.enter_async_context(bob.jumping(COUNTING))
        await session.stdout.expect("1\n")
        grown = {n: len(sockets(pid) - before[n]) for n, pid in processes(own).items()}
        carried[max(grown, key=lambda name: grown[name])].append(session)
    raise AssertionError("one worker took all connections")


async def goes_on(session: Running) -> None:
    """It shows more than it had."""
    seen = len(session.stdout.seen)
    async with asyncio.timeout(10):
        while len(session.stdout.seen) <= seen:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)


async def test_a_revocation_is_felt_in_every_worker(own: Bastion, bob: Contractor) -> None:
    """As are a kill and the list of what is live, whoever carries it."""
    async with AsyncExitStack() as stack:
        carried = await of_each(bob, own, stack)
        sessions = [each for some in carried.values() for each in some]
        live = await own.rows("sessions", "--live")
        assert len(live) == len(sessions)
        await own.admin("revoke", "G-1", "--reason", "done")
        for session in sessions:
            await session.stderr.expect("G-1 was revoked")
            assert await session.wait() == 255
    async with asyncio.timeout(10):
        while {row["end_reason"] for row in await own.rows("sessions")} != {"revoked"}:
            pass


async def test_a_worker_that_is_killed_ends_its_own_sessions(own: Bastion, bob: Contractor) -> None:
    """The others go on; it is told, started again, and what it recorded is mended and sealed."""
    async with AsyncExitStack() as stack:
        carried = await of_each(bob, own, stack)
        (name, unlucky), (_, lucky) = sorted(carried.items())
        pid = processes(own)[name]
        os.kill(pid, signal.SIGKILL)
        for session in unlucky:
            assert await session.wait() == 255
        for session in lucky:
            await goes_on(session)
        async with asyncio.timeout(20):
            while processes(own).get(name) in (None, pid):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            while len(await own.rows("sessions", "--live")) > len(lucky):
                pass
            while not all(r["recording"]["sealed"] for r in await own.rows("sessions", "--over")):
                pass
        for session in lucky:
            await goes_on(session)
        assert (await bob.jump("echo hello")).out == "hello\n"
        over = await own.rows("sessions", "--over")
        ended = [row for row in over if row["end_reason"] == "interrupted"]
        assert len(ended) == len(unlucky)
        told = (await own.admin("audit", "--session", ended[0]["id"], "--json")).out
        what = {json.loads(event)["what"] for event in told.splitlines()}
        assert {"session.started", "session.ended"} <= what
    await own.admin("verify", "--all", expect=0)


async def test_a_worker_that_stands_still_is_killed(own: Bastion, bob: Contractor) -> None:
    """Its sessions are cut by whoever looks after it; the others notice nothing."""
    async with AsyncExitStack() as stack:
        carried = await of_each(bob, own, stack)
        (name, stuck), (_, others) = sorted(carried.items())
        os.kill(processes(own)[name], signal.SIGSTOP)
        for session in stuck:
            assert await session.wait(30) == 255
        for session in others:
            await goes_on(session)
    assert f"{name} gives no sign any more" in own.log


async def test_no_worker_outlives_who_looks_after_it(own: Bastion, bob: Contractor) -> None:
    """With everything killed or gone, the next start finds nobody there and mends what is left."""
    async with AsyncExitStack() as stack:
        carried = await of_each(bob, own, stack)
        left = processes(own, "")
        await asyncio.to_thread(own.kill9)
        for session in [each for some in carried.values() for each in some]:
            assert await session.wait(30) == 255
        async with asyncio.timeout(20):
            while any(map(lives, left.values())):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    await asyncio.to_thread(own.start, WORKERS)
    assert await own.rows("sessions", "--live") == []
    assert (await bob.jump("echo hello")).out == "hello\n"


@pytest.mark.parametrize("own", ["1h"], indirect=True)
async def test_all_drain_at_sigterm(own: Bastion, bob: Contractor, short: Path) -> None:
    """On a connection that is kept a new session hears why not; a new connection is refused at once
    and not kept waiting. What is live goes on, for an hour, or to a second SIGTERM; then it has a
    last line."""
    same = ("-o", f"ControlPath={short}/inner")
    async with multiplexed(bob, short) as through, bob.jumping(COUNTING, options=same) as going:
        await going.stdout.expect("1\n")
        pid = own.pid
        stopping = asyncio.create_task(asyncio.to_thread(own.stop, 60))  # noqa: TID251
        await going.stderr.expect(
            r"bastion: the bastion is going down: this session ends within 1h"
        )
        refused = await through("echo hello")
        assert (refused.status, refused.out) == (254, "")
        assert "bastion: the bastion is going down; try again in a minute." in refused.err
        assert "Connection refused" in (await bob.jump("echo hello")).err
        assert not stopping.done()
        await goes_on(going)
        os.kill(pid, signal.SIGTERM)
        await going.stderr.expect("bastion: the bastion is going down; this session is over")
        assert await going.wait() == 255
        assert await stopping == 0


@pytest.mark.faults
async def test_sighup_is_heard_by_all(own: Bastion, bob: Contractor) -> None:
    """Each reads the rules; a mistake in either file changes nothing and is said, and one who is
    started again meanwhile has the settings of the others."""
    settings, rules = own.home / "bastion.toml", own.home / "policy.toml"
    settings.write_text(settings.read_text().replace('drain = "1s"', "drain = 1"))
    rules.write_text("[[rule]]\n")
    os.kill(own.pid, signal.SIGHUP)
    name, pid = min(processes(own).items())
    async with asyncio.timeout(20):
        while own.log.count("the rules stay as they were") < WORKERS:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        while "the settings stay as they were" not in own.log:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        while processes(own).get(name) in (None, pid):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    async with AsyncExitStack() as stack:
        await of_each(bob, own, stack)
    settings.write_text(settings.read_text().replace("drain = 1", 'drain = "1s"'))


async def test_a_watcher_sees_what_another_worker_carries(own: Bastion, bob: Contractor) -> None:
    """Only the file is read, so it does not matter who writes it."""
    async with AsyncExitStack() as stack:
        await of_each(bob, own, stack)
        for row in await own.rows("sessions", "--live"):
            async with own.running("watch", row["id"]) as watching:
                await watching.stdout.expect(r"\d+")
            await own.admin("kill", row["id"], "--reason", "enough")
        async with asyncio.timeout(10):
            while await own.rows("sessions", "--live"):
                pass
