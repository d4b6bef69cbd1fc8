"""A shell through the jump, with somebody typing: size, modes, ^C, breaks, escapes, the end."""

import asyncio
import json
import re
import signal

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor


async def test_a_shell_begins_with_its_recording_and_ends_with_its_status(
    alice: Contractor,
) -> None:
    """The first line says what is recorded and until when; then it is the target's shell."""
    async with alice.jump_terminal() as terminal:
        await terminal.expect(r"bastion: recorded as S-\d+, G-\d+ until [^\r\n]+ UTC\r\n")
        await terminal.expect(r"\$ ")
        terminal.send("echo $((6 * 7)); exit 5\r")
        await terminal.expect("42\r\n")
        assert await terminal.wait() == 5


async def test_a_terminal_has_the_size_and_the_kind_of_the_clients(alice: Contractor) -> None:
    """TERM and the window arrive, and a change of the window does too."""
    async with alice.jump_terminal(size=(91, 17)) as terminal:
        await terminal.expect(r"\$ ")
        terminal.send("echo $TERM; stty size\r")
        await terminal.expect("xterm-256color\r\n17 91\r\n")
        watch = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done"
        terminal.send(f'exec sh -c "{watch}"\r')
        await terminal.expect("\rready\r\n")
        terminal.resize(132, 43)
        await terminal.expect("43 132\r\n")


async def test_terminal_modes_arrive(alice: Contractor) -> None:
    """The client's erase character is the target's."""
    async with alice.jump_terminal("stty -a", options=("-t",)) as terminal:
        await terminal.expect(r"erase = \^\?")


async def test_control_c_interrupts_what_runs_there(alice: Contractor) -> None:
    """It is a character to the relay, and a signal to the program in front."""
    async with alice.jump_terminal() as terminal:
        await terminal.expect(r"\$ ")
        terminal.send("sh -c 'echo o\"\"n; exec sleep 600'\r")
        await terminal.expect("on\r\n")
        terminal.send("\x03")
        await terminal.expect(r"\^C.*\$ ")
        terminal.send("exit $(($? - 100))\r")
        assert await terminal.wait() == 30


async def test_a_break_does_not_disturb(alice: Contractor) -> None:
    """`~B` goes to the target, where a pseudo-terminal has no line to send it on."""
    async with alice.jump_terminal() as terminal:
        await terminal.expect(r"\$ ")
        terminal.send("\r~B")
        terminal.send("echo st''ill\r")
        await terminal.expect("still\r\n")


async def test_a_terminal_can_be_asked_for_with_a_command(alice: Contractor) -> None:
    """`-t`: stderr is the terminal too, and no line of ours comes before a command's output."""
    command = "tty; echo err >&2; exit 6"
    async with alice.jump_terminal(command, options=("-q", "-t")) as terminal:
        assert re.fullmatch(r"/dev/pts/\d+\r\nerr\r\n", await terminal.end())
        assert await terminal.wait() == 6


async def test_hanging_up_ends_the_session(alice: Contractor, bastion: Bastion) -> None:
    """`~.` closes the connection; the bastion records the end within a moment."""
    async with alice.jump_terminal() as terminal:
        match = await terminal.expect(r"recorded as (S-\d+)")
        session = match[1].decode()
        await terminal.expect(r"\$ ")
        terminal.send("\r~.")
        assert await terminal.wait() == 255
    assert (await ended(bastion, session))["end_reason"] == "closed"


async def ended(bastion: Bastion, session: str) -> dict[str, object]:
    """The row of a session, once it has an end."""
    async with asyncio.timeout(10):
        while True:
            rows = await bastion.rows("sessions")
            for row in rows:
                if row["id"] == session and row["ended_at"]:
                    return row


async def test_operators_watch(alice: Contractor, bastion: Bastion) -> None:
    """A live shell from its present screen on, as it is typed, by several at once, who hear of one
    another; each look is in the log. A session that is over is not watched."""
    async with alice.jump_terminal() as shell:
        session = (await shell.expect(r"recorded as (S-\d+)"))[1].decode()
        await shell.expect(r"\$ ")
        shell.send("clear; echo before-$((1 + 1))\r")
        await shell.expect("before-2\r\n")
        async with bastion.running("watch", session) as watcher:
            await watcher.stdout.expect("before-2")
            await watched_by(bastion, session, 1)
            async with bastion.running("watch", session) as other:
                await other.stderr.expect(f"Others who watch {session}: os:[a-z]+\\.\n")
                await other.stdout.expect("before-2")
                await watched_by(bastion, session, 2)
                other.signal(signal.SIGTERM)
                assert await other.wait() == 0
            shell.send("echo after-$((1 + 1))\r")
            await watcher.stdout.expect("after-2\r\n")
            await watched_by(bastion, session, 1)
            shell.send("exit\r")
            await watcher.stderr.expect(f"{session} is over")
            assert await watcher.wait() == 0
    refused = await bastion.admin("watch", session, expect=1)
    assert f"replay {session} shows it" in refused.err
    of_it = ("--session", session, "--json")
    looks = (await bastion.admin("audit", "--what", "recording", *of_it)).out
    assert looks.count('"how":"watch"') == 2
    ends = (await bastion.admin("audit", "--what", "watch", *of_it)).out
    assert ends.count('"why":"left"') == 2


async def watched_by(bastion: Bastion, session: str, number: int) -> None:
    """Waits until so many are known to watch."""
    async with asyncio.timeout(10):
        while True:
            shown = json.loads((await bastion.admin("show", session, "--json")).out)
            if len(shown["watchers"]) == number:
                return
