"""The guided prompt, with the real client: what a command grant gives instead of a shell."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.watching import PATIENCE

GRANTED = ("--command", "echo one two", "--command", "cat", "--command", "sleep 60")


@pytest.fixture
async def carol(newly_enrolled: Callable[[], Contractor]) -> Contractor:
    """Somebody with three commands, and nothing else."""
    person = await asyncio.to_thread(newly_enrolled)
    await person.granted(*GRANTED, "--command", "sh -c 'echo out; echo err >&2; exit 7'")
    await person.certified()
    return person


async def sessions(bastion: Bastion, person: Contractor, count: int) -> list[dict[str, Any]]:
    """That many sessions of theirs, when all are over; the oldest first."""
    async with asyncio.timeout(PATIENCE):
        while True:
            rows = await bastion.rows("sessions", "--user", person.name)
            if len(rows) == count and all(row["ended_at"] for row in rows):
                return sorted(rows, key=lambda row: int(row["id"].removeprefix("S-")))


async def test_lines_from_a_pipe(carol: Contractor, bastion: Bastion) -> None:
    """Each is judged and run by itself; the last one's status is the client's."""
    script = b"echo one two\n\nid\necho 'one' two\nsh -c 'echo out; echo err >&2; exit 7'"
    done = await carol.jump(stdin=script)
    assert done.stdout == b"one two\none two\nout\n"
    assert done.status == 7
    assert "this is no shell" in done.err
    assert "\n  echo one two\n" in done.err
    assert "\nerr\n" in done.err
    assert "bastion: that command is not granted here." in done.err
    rows = await sessions(bastion, carol, 3)
    assert {row["kind"] for row in rows} == {"prompt"}
    assert [row["exit_status"] for row in rows] == [0, 0, 7]
    assert rows[1]["command"] == "echo one two"
    shown = await bastion.admin("replay", rows[2]["id"], "--speed", "1000")
    assert "err" in shown.out


async def test_a_line_has_no_input(carol: Contractor) -> None:
    """What follows is the next line, never what a command reads."""
    done = await carol.jump(stdin=b"cat\necho one two\n")
    assert (done.stdout, done.status) == (b"one two\n", 0)


async def test_typed_at_a_terminal(carol: Contractor, bastion: Bastion) -> None:
    """What is typed is seen and can be corrected; output has its lines; exit ends it."""
    async with carol.jump_terminal() as terminal:
        await terminal.expect(r"this is no shell.*gives commands")
        await terminal.expect(r"prod-host> ")
        terminal.send("echo one twx\x7fo\r")
        await terminal.expect(r"o\r\none two\r\n\S*prod-host> ")
        terminal.send("echo $HOME\r")
        await terminal.expect(r"bastion: '\$' at character 6 is not taken")
        terminal.send("nothing\x03help\r")
        await terminal.expect(r"\^C\r\n.*help\r\n.*what you may run here")
        terminal.send("exit\r")
        assert await terminal.wait() == 254
    await sessions(bastion, carol, 1)


async def test_ctrl_c_ends_the_line_and_not_the_prompt(carol: Contractor, bastion: Bastion) -> None:
    """A command that would run on is ended; ctrl-d on an empty line leaves."""
    async with carol.jump_terminal() as terminal:
        await terminal.expect(r"prod-host> ")
        terminal.send("sleep 60\r")
        async with asyncio.timeout(PATIENCE):
            while not await bastion.rows("sessions", "--user", carol.name, "--live"):
                pass
        terminal.send("\x03")
        await terminal.expect(r"\^C\r\n.*prod-host> ")
        terminal.send("echo one two\r")
        await terminal.expect(r"\none two\r\n")
        terminal.send("\x04")
        assert await terminal.wait() == 0
    rows = await sessions(bastion, carol, 2)
    assert [row["command"] for row in rows] == ["sleep 60", "echo one two"]


async def test_a_prompt_ends_with_its_grant(carol: Contractor, bastion: Bastion) -> None:
    """Revoked while somebody waits at it, and while a line runs: a last line, status 255."""
    (grant,) = await bastion.rows("grants", "--user", carol.name)
    async with carol.jump_terminal() as idle, carol.jump_terminal() as busy:
        for terminal in (idle, busy):
            await terminal.expect(r"prod-host> ")
        busy.send("sleep 60\r")
        async with asyncio.timeout(PATIENCE):
            while not await bastion.rows("sessions", "--user", carol.name, "--live"):
                pass
        await bastion.admin("revoke", grant["id"], "--reason", "enough")
        for terminal in (idle, busy):
            await terminal.expect(rf"{grant['id']} was revoked; this session is over")
            assert await terminal.wait() == 255
    (row,) = await sessions(bastion, carol, 1)
    assert row["end_reason"] == "revoked"
