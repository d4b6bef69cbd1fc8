"""What ends first: the target, the client, the bastion. Nothing hangs, nothing is lost."""

import asyncio
import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm

SOON = 3.0


async def test_a_target_that_drops_the_connection_is_told(alice: Contractor) -> None:
    """The target's sshd process for this connection dies: a line of ours, and 255."""
    async with alice.jumping("echo $PPID; exec cat") as going:
        await going.stdout.expect(r"\d+\n")
        # The parent of the login shell is sshd's process for the session, and drops privileges.
        os.kill(int(going.stdout.text), signal.SIGKILL)
        await going.stderr.expect(r"bastion: the connection to the target was lost\.\r?\n")
        assert await going.wait(SOON) == 255


async def test_a_client_that_dies_ends_the_program_at_the_target(alice: Contractor) -> None:
    """The terminal at the target is hung up, and the program on it with it."""
    async with alice.jump_terminal("echo pid $$; exec sleep 600", options=("-t",)) as terminal:
        pid = int((await terminal.expect(r"pid (\d+)"))[1])
        os.kill(terminal.pid, signal.SIGKILL)
        await asyncio.to_thread(gone, pid)


async def test_a_program_that_is_left_alone_keeps_the_session_open(alice: Contractor) -> None:
    """As with sshd: the channel stays while somebody holds the program's output."""
    async with alice.jumping("(sleep 1; echo late) & echo early; exit 3") as going:
        await going.stdout.expect("early\n")
        await going.stdout.expect("late\n")
        assert await going.wait() == 3


async def test_several_jumps_at_once(alice: Contractor) -> None:
    """Each is a connection of its own, and each gets its own answer."""
    ways = (alice.jump(f"sleep 0.2; echo {number}", patience=40) for number in range(8))
    answers = await asyncio.gather(*ways)
    assert [answer.out for answer in answers] == [f"{number}\n" for number in range(8)]


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion that this test may end as it likes."""
    made = Bastion(tmp_path / "home", warm)
    made.set("limits", "drain", "1s")
    with serving(made, sshd):
        yield made


async def test_sigterm_drains(own: Bastion, bob: Contractor) -> None:
    """Live sessions are told and go on for a while; what is live then is ended with a line."""
    command = "echo on; sleep 0.4; echo done"
    async with bob.jump_terminal() as terminal, bob.jumping(command) as going:
        await terminal.expect(r"\$ ")
        await going.stdout.expect("on\n")
        stopping = asyncio.to_thread(own.stop)
        async with asyncio.TaskGroup() as group:
            stopped = group.create_task(stopping)
            await terminal.expect(
                r"bastion: the bastion is going down: this session ends within 1s\."
            )
            assert await going.wait() == 0
            await terminal.expect(r"bastion: the bastion is going down; this session is over\.\r\n")
            assert await terminal.wait(SOON) == 255
        assert stopped.result() == 0
        assert going.stdout.text == "on\ndone\n"
    rows = await own.rows("sessions")
    assert sorted(row["end_reason"] for row in rows) == ["closed", "drained"]
    assert "drained: 1 of them are ended before their time" in own.log


async def test_what_was_killed_is_found_and_mended(own: Bastion, bob: Contractor) -> None:
    """After SIGKILL the next start marks the session, and what was shown is in its recording."""
    async with bob.jump_terminal() as terminal:
        session = (await terminal.expect(r"recorded as (S-\d+)"))[1].decode()
        await terminal.expect(r"\$ ")
        terminal.send("echo $((6 * 7))-shown\r")
        await terminal.expect("42-shown\r\n")
        own.kill9()
        assert await terminal.wait() == 255
    own.start()
    (row,) = await own.rows("sessions")
    assert (row["id"], row["end_reason"]) == (session, "interrupted")
    assert row["ended_at"]
    told_of = {"session.started", "session.ended", "recording.sealed"}
    events: list[dict[str, object]] = []
    async with asyncio.timeout(10):  # it is sealed a moment after it was mended
        while {event["what"] for event in events} != told_of:
            told = (await own.admin("audit", "--session", session, "--json")).out
            events = [json.loads(event) for event in told.splitlines()]
    assert len(events) == len(told_of)
    export = await own.admin("export", session)
    header, *shown = [json.loads(line) for line in export.out.splitlines()]
    assert header["version"] == 2
    assert "42-shown" in "".join(event[2] for event in shown if event[1] == "o")
    assert "42-shown" in (await own.admin("replay", session)).out
    assert (await bob.jump("echo again")).out == "again\n"


async def test_a_home_is_served_once(own: Bastion) -> None:
    """A second `serve` is refused with one sentence, and the first goes on."""
    done = await own.admin("serve", expect=1)
    assert "is served already" in done.err
    assert len(done.err.splitlines()) == 1


def gone(pid: int) -> None:
    """Waits until a process has ended, for at most ten seconds."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with select.epoll() as poll:
            poll.register(watched)
            assert poll.poll(10), f"the process {pid} goes on"
    finally:
        os.close(watched)
