"""What was typed through the jump, told to an auditor: with real shells, prompts and an editor."""

import asyncio
import shutil
from collections.abc import Sequence

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.test_terminals import ended
from tests.e2e.watching import Terminal

MASKED = "********\\r (not echoed: masked, a guess)"


async def typed(terminal: Terminal, text: str, after: str) -> None:
    """Types key by key once `after` is seen, as a person does."""
    await terminal.expect(after)
    for key in text:
        terminal.send(key)
        await asyncio.sleep(0)


async def timeline(bastion: Bastion, session: str, *options: str) -> list[str]:
    """The lines of a replay with what was typed, without their times."""
    identity = str(bastion.home / "keys" / "auditor.age")
    said = await bastion.admin("replay", session, "--input", "--identity", identity, *options)
    return [line.partition("] ")[2] for line in said.out.splitlines()]


def of_typing(lines: Sequence[str]) -> list[str]:
    """What was typed, of a timeline."""
    return [line.removeprefix("typed  ") for line in lines if line.startswith("typed")]


async def test_commands_are_told_and_secrets_are_masked(
    alice: Contractor, bastion: Bastion
) -> None:
    """A silent `read`, a prompt with stars, a program that turns echo off and on: bash and dash."""
    async with alice.jump_terminal() as terminal:
        session = (await terminal.expect(r"recorded as (S-\d+)"))[1].decode()
        prompt = r"getpass() { stty -echo; printf 'Secret: '; read -r p; stty echo; echo; }"
        await typed(terminal, f"{prompt}\r", r"\$ ")
        await typed(terminal, "getpass\r", r"\$ ")
        await typed(terminal, "hunter2\r", r"l\rSecret: ")
        await typed(terminal, "read -sp 'PIN? ' p; echo\r", r"\$ ")
        await typed(terminal, "0815\r", r"l\rPIN\? ")
        await typed(terminal, "exec env PS1='dash> ' dash -i\r", r"\$ ")
        await typed(terminal, "stty -echo\r", "\rdash> ")
        await typed(terminal, "echo in the $((1 - 1)) dark\r", "\ndash> ")
        await typed(terminal, "stty echo\r", "in the 0 dark\r\ndash> ")
        await typed(terminal, "echo $((6 * 7)); exit\r", "dash> ")
        await terminal.expect("42\r\n")
        await terminal.wait()
    await ended(bastion, session)
    assert of_typing(await timeline(bastion, session))[1:] == [
        "getpass\\r",
        MASKED,
        "read -sp 'PIN? ' p; echo\\r",
        MASKED,
        "exec env PS1='dash> ' dash -i\\r",
        "stty -echo\\r",
        MASKED,
        MASKED,
        "echo $((6 * 7)); exit\\r",
    ]
    unmasked = of_typing(await timeline(bastion, session, "--unmask"))
    assert {"hunter2\\r", "0815\\r", "echo in the $((1 - 1)) dark\\r"} <= set(unmasked)
    identity = str(bastion.home / "keys" / "auditor.age")
    raw = await bastion.admin("export", session, "--raw", "stdin", "--identity", identity)
    assert "hunter2\r" in raw.out
    plain = await bastion.admin("replay", session)
    assert "hunter2" not in plain.out


@pytest.mark.skipif(shutil.which("vim") is None, reason="there is no vim here")
async def test_what_is_written_in_an_editor_is_told(alice: Contractor, bastion: Bastion) -> None:
    """Its text is; keys that are commands, and a key for encrypting, are not."""
    async with alice.jump_terminal() as terminal:
        session = (await terminal.expect(r"recorded as (S-\d+)"))[1].decode()
        await typed(terminal, "vim -N -u NONE -n\r", r"\$ ")
        await typed(terminal, "i", "VIM - Vi IMproved|~")
        await terminal.expect("INSERT")
        for key in "PermitRootLogin":
            terminal.send(key)
            await terminal.expect(key)
        terminal.send("\x03")
        await typed(terminal, ":X\r", r"\x1b\[24;1H\x1b\[K")  # -- INSERT -- is gone
        await typed(terminal, "topsecret\r", "encryption key")
        await typed(terminal, "topsecret\r", "same key again")
        await typed(terminal, ":q!\r", "")
        await typed(terminal, "exit\r", r"\$ ")
        await terminal.wait()
    await ended(bastion, session)
    told = "\n".join(of_typing(await timeline(bastion, session)))
    assert "PermitRootLogin^C" in told
    assert "topsecret" not in told
    assert told.count(MASKED) >= 2


async def test_a_script_that_is_piped_in_is_told(alice: Contractor, bastion: Bastion) -> None:
    """`bash -s < script` runs without a word on the screen."""
    done = await alice.jump("bash -s", stdin=b"umask 077\nx=42\nexit 7\n")
    assert done.status == 7
    newest = (await bastion.rows("sessions", "--user", alice.name))[0]["id"]
    await ended(bastion, newest)
    assert await timeline(bastion, newest) == [
        "ran    bash -s",
        "piped  umask 077\\n",
        "piped  x=42\\n",
        "piped  exit 7\\n",
    ]
