"""Over means over: what is open ends with its grant, and says so before and after.

Times are observed as the client sees them. The promise is one second; a test allows three, because
the machine may be busy.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.watching import Running, Terminal

SOON = 3.0
Enrol = Callable[[], Contractor]
LIVE = "echo on; exec cat"
"""A command that goes on until its stdin ends, and so leaves nothing at the target."""


async def test_a_live_shell_is_cut_at_the_end_of_its_grant(newly_enrolled: Enrol) -> None:
    """The last line says which grant ended; the terminal is given back, the status is 255."""
    person = newly_enrolled()
    began = time.monotonic()
    grant = await person.granted(lasting="3s")
    await person.certified()
    async with person.jump_terminal() as terminal:
        await terminal.expect(rf"recorded as S-\d+, {grant} until ")
        await terminal.expect(r"\$ ")
        await terminal.expect(rf"\r\nbastion: {grant} ended at .* UTC; this session is over\.\r\n")
        assert 2 < time.monotonic() - began < 3 + SOON
        assert await terminal.wait(SOON) == 255


async def test_a_live_command_is_cut_with_its_line_on_stderr(newly_enrolled: Enrol) -> None:
    """stdout holds the program's words alone, and the client ends with 255."""
    person = newly_enrolled()
    began = time.monotonic()
    grant = await person.granted(lasting="3s")
    await person.certified()
    async with person.jumping(LIVE) as going:
        await going.stdout.expect("on\n")
        await going.stderr.expect(f"bastion: {grant} ended at ")
        assert 2 < time.monotonic() - began < 3 + SOON
        assert await going.wait(SOON) == 255
        assert going.stdout.text == "on\n"


async def test_after_the_end_the_next_jump_says_so(newly_enrolled: Enrol) -> None:
    """It says which grant it was, and when it ended."""
    person = newly_enrolled()
    grant = await person.granted(lasting="3s")
    await person.certified()
    async with person.jumping(LIVE) as going:
        await going.stderr.expect(f"bastion: {grant} ended at ")
    done = await person.jump("true", patience=10)
    assert re.search(rf"bastion: {grant} ended at .* UTC; ", done.err)
    assert done.status == 255


@pytest.mark.parametrize(
    ("lasting", "words"), [("63s", "ends in 1 minute,"), ("303s", "ends in 5 minutes,")]
)
async def test_the_end_is_told_before_it_comes(
    newly_enrolled: Enrol, bastion: Bastion, lasting: str, words: str
) -> None:
    """Five minutes and one minute before, on a shell's terminal and on a command's stderr."""
    person = newly_enrolled()
    grant = await person.granted(lasting=lasting)
    await person.certified()
    async with person.jump_terminal() as terminal, person.jumping(LIVE) as going:
        await terminal.expect(rf"bastion: {grant} {words} at .* UTC\.\r\n")
        await going.stderr.expect(rf"bastion: {grant} {words} at .* UTC\.\r?\n")
        terminal.send("echo st''ill\r")
        await terminal.expect("still\r\n")
        assert going.stdout.text == "on\n"
        await bastion.admin("revoke", grant, "--reason", "seen")


@pytest.fixture
def person(newly_enrolled: Enrol) -> Contractor:
    """Somebody with a shell for an hour."""
    made = newly_enrolled()
    made.granted_now()
    made.certified_now()
    return made


async def both_hear(terminal: Terminal, going: Running, line: str, since: float) -> None:
    """A shell and a command hear `line` soon after `since`, and end with 255."""
    await terminal.expect(rf"\r\nbastion: {line}\r\n")
    await going.stderr.expect(rf"bastion: {line}\r?\n")
    assert time.monotonic() - since < SOON
    assert (await terminal.wait(SOON), await going.wait(SOON)) == (255, 255)


async def test_revoke_cuts_at_once(person: Contractor, bastion: Bastion) -> None:
    """Shell and command hear that the grant was revoked."""
    async with person.jump_terminal() as terminal, person.jumping(LIVE) as going:
        grant = (await terminal.expect(r"(G-\d+) until"))[1].decode()
        await going.stdout.expect("on\n")
        revoked = time.monotonic()
        await bastion.admin("revoke", grant, "--reason", "a test")
        await both_hear(terminal, going, f"{grant} was revoked; this session is over.", revoked + 1)
    assert {row["end_reason"] for row in await over(bastion, person)} == {"revoked"}


async def test_disabling_a_user_cuts_all_that_is_his(person: Contractor, bastion: Bastion) -> None:
    """Sessions and the connection to the bastion itself end, each with a line."""
    master = ("-N", "-v", "bastion")
    async with (
        person.jump_terminal() as terminal,
        person.jumping(LIVE) as going,
        person.start(*master) as waiting,
    ):
        await terminal.expect("until")
        await going.stdout.expect("on\n")
        await waiting.stderr.expect("Entering interactive session")
        disabled = time.monotonic()
        await bastion.admin("user", "disable", person.name)
        await both_hear(terminal, going, "your account was closed; .*", disabled + 1)
        await waiting.stderr.expect("bastion: your account was closed")
        assert await waiting.wait(SOON) == 255


async def test_a_master_connection_does_not_outlive_the_grant(
    person: Contractor, bastion: Bastion, short: Path
) -> None:
    """Every new channel on a connection that is still open asks the doors again."""
    path = ("-o", f"ControlPath={short}/inner")
    async with person.jumping(options=(*path, "-M", "-N", "-v")) as master:
        await master.stderr.expect(f"Authenticated to {HOST}.*Entering interactive session")
        assert (await person.jump("true", options=path)).status == 0
        grant = (await bastion.rows("grants", "--user", person.name))[0]["id"]
        await bastion.admin("revoke", grant, "--reason", "a test")
        done = await person.jump("echo in", options=path, patience=10)
        assert (done.out, done.status) == ("", 254)
        assert f"bastion: {grant} was revoked at " in done.err


async def test_taking_a_key_away_cuts_what_it_opened(person: Contractor, bastion: Bastion) -> None:
    """Whoever holds a key that was lost is out at once, and hears why."""
    printed = (await person.run("ssh-keygen", "-lf", str(person.public_key))).out.split()[1]
    async with person.jump_terminal() as terminal, person.jumping(LIVE) as going:
        await terminal.expect("until")
        await going.stdout.expect("on\n")
        removed = time.monotonic()
        await bastion.admin("user", "key", "remove", person.name, printed)
        await both_hear(terminal, going, "[^\r\n]* key [^\r\n]*", removed + 1)
    assert {row["end_reason"] for row in await over(bastion, person)} == {"revoked"}


async def test_the_end_of_an_account_cuts_too(person: Contractor, bastion: Bastion) -> None:
    """`user set --until`: the account's end counts as its closing does."""
    async with person.jumping(LIVE) as going:
        await going.stdout.expect("on\n")
        end = datetime.now(UTC) + timedelta(seconds=2)
        await bastion.admin("user", "set", person.name, "--until", end.isoformat())
        await going.stderr.expect("bastion: your account was closed; this session is over")
        assert 0 <= (datetime.now(UTC) - end).total_seconds() < SOON
        assert await going.wait(SOON) == 255


async def test_kill_ends_one_session_and_leaves_the_others(
    person: Contractor, bastion: Bastion
) -> None:
    """The other session of the same person goes on. Why is heard there, kept, and told."""
    async with person.jump_terminal() as terminal, person.jumping(LIVE) as going:
        session = (await terminal.expect(r"recorded as (S-\d+)"))[1].decode()
        await going.stdout.expect("on\n")
        killed = time.monotonic()
        await bastion.admin("kill", session, "--reason", "a test")
        await terminal.expect(r"\r\nbastion: this session was ended by an operator: a test\r\n")
        assert time.monotonic() - killed < SOON + 1
        assert await terminal.wait(SOON) == 255
        assert going.stderr.text == ""
    reasons = {row["id"]: row["end_reason"] for row in await over(bastion, person)}
    assert reasons[session] == "killed"
    shown = json.loads((await bastion.admin("show", session, "--json")).out)
    assert (shown["kill_reason"], shown["end_reason"]) == ("a test", "killed")
    told = (await bastion.admin("audit", "--what", "session.killed", "--json")).out.splitlines()
    why = {each["session"]: each["why"] for each in map(json.loads, told)}
    assert why[session] == "a test"


async def test_a_target_that_floods_is_cut_too(person: Contractor, bastion: Bastion) -> None:
    """Output without end does not keep the end away; the last line is the last."""
    async with person.jump_terminal("yes", options=("-t",)) as terminal:
        await terminal.expect("y\r\n")
        grant = (await bastion.rows("grants", "--user", person.name))[0]["id"]
        await bastion.admin("revoke", grant, "--reason", "a test")
        await terminal.expect(r"bastion: G-\d+ was revoked; this session is over\.\r\n")
        assert await terminal.wait(SOON) == 255


async def test_a_client_that_reads_nothing_is_cut_too(person: Contractor, bastion: Bastion) -> None:
    """It does not take its last line; its session ends all the same."""
    async with person.stalled("yes") as stalled:
        await stalled.read(2)
        await bastion.admin("user", "disable", person.name)
        assert await over(bastion, person)


async def over(bastion: Bastion, person: Contractor) -> list[dict[str, object]]:
    """The sessions of a contractor, once all have an end: the client has heard of it before."""
    async with asyncio.timeout(30):
        while True:
            rows = await bastion.rows("sessions", "--user", person.name)
            if all(row["ended_at"] for row in rows):
                return rows
