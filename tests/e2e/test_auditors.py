"""Auditors with nothing but ssh: looking at recordings, live and over, through the bastion."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor

MEGABYTE = 1024 * 1024


@pytest.fixture
def rita(bastion: Bastion, newly_enrolled: Callable[[], Contractor]) -> Contractor:
    """An auditor, and nothing else."""
    person = newly_enrolled()
    bastion.admin_now("user", "set", person.name, "--role", "auditor")
    return person


async def newest(bastion: Bastion, who: Contractor, *, live: bool = False) -> str:
    """The newest session of somebody, as `S-31`."""
    found = await bastion.rows("sessions", "--user", who.name, "--live" if live else "--over")
    return str(found[0]["id"])


async def looks(bastion: Bastion, session: str) -> list[tuple[str, str]]:
    """Who has looked at a session, and how, the newest first."""
    lines = (await bastion.admin("audit", "--session", session, "--json")).out.splitlines()
    events = [json.loads(line) for line in lines]
    told = [each for each in events if each["what"] == "recording.looked_at"]
    return [(each["actor"], each["details"]["how"]) for each in told]


async def test_an_export_is_the_same_as_on_the_machine(
    bastion: Bastion, alice: Contractor, rita: Contractor
) -> None:
    """Byte by byte, what is not text too; what was typed stays encrypted."""
    await alice.jump("head -c 300000 /dev/urandom; echo oops >&2; cat", stdin=b"typed\n")
    session = await newest(bastion, alice)
    for raw in ((), ("--raw", "stdout"), ("--raw", "stderr"), ("--raw", "sent")):
        here = await bastion.admin("export", session, *raw)
        away = await rita.ssh("bastion", "export", session, *raw)
        assert away.status == 0, away.err
        assert hashlib.sha256(away.stdout).digest() == hashlib.sha256(here.stdout).digest()
    track = (await rita.ssh("bastion", "export", session, "--raw", "sent")).stdout
    assert track.startswith(b'{"bastion-sent":1,')
    assert b"typed" not in track
    refused = await rita.ssh("bastion", "export", session, "--raw", "stdin")
    assert (refused.status, refused.stdout) == (2, b"")
    assert "never on the bastion: take --raw sent" in refused.err
    on_terminal = await rita.ssh("-tt", "bastion", "export", session)
    assert on_terminal.status == 2
    assert "That would go to your terminal as it is: leave out -t" in on_terminal.out
    told = await looks(bastion, session)
    assert told.count((rita.name, "export sent")) == 2
    assert not any("stdin" in how for _, how in told)


async def test_a_replay_is_paced_and_held_by_keys(
    bastion: Bastion, alice: Contractor, rita: Contractor
) -> None:
    """A hundred times as slow the next thing is far away: one key brings it, another ends it."""
    await alice.jump("printf one; sleep 0.3; printf two; sleep 0.3; printf three")
    session = await newest(bastion, alice)
    async with rita.terminal("-t", "bastion", "replay", session, "--speed", "0.01") as terminal:
        await terminal.expect("one")
        terminal.send(" .")
        await terminal.expect("two")
        assert "three" not in terminal.text
        terminal.send("q")
        await terminal.expect(r"\x1b\[\?1049l")
        assert await terminal.wait() == 0
    at_once = await rita.ssh("bastion", "replay", session, "--speed", "0.01")
    assert (at_once.status, at_once.out) == (0, "onetwothree")
    assert (await looks(bastion, session))[0] == (rita.name, "replay")


async def test_several_watch_one_session(
    bastion: Bastion, alice: Contractor, rita: Contractor, newly_enrolled: Callable[[], Contractor]
) -> None:
    """Each from its present screen; the session goes on whoever leaves, and all hear of its end."""
    rob = newly_enrolled()
    await bastion.admin("user", "set", rob.name, "--role", "auditor")
    async with alice.jump_terminal() as shell:
        await shell.expect(r"recorded as (S-\d+)")
        shell.send("clear; echo pres''ent\r")
        await shell.expect("present")
        session = await newest(bastion, alice, live=True)
        async with (
            rita.terminal("-t", "bastion", "watch", session) as first,
            rob.terminal("-t", "bastion", "watch", session) as second,
        ):
            for each in (first, second):
                await each.expect("present")
                assert "recorded as" not in each.text
            shell.send("echo la''ter\r")
            for each in (first, second):
                await each.expect("later")
            first.send("\x03")
            assert await first.wait() == 0
            shell.send("exit\r")
            await second.expect(f"{session} is over")
            assert await second.wait() == 0
    watched = [who for who, how in await looks(bastion, session) if how == "watch"]
    assert sorted(watched) == sorted([rita.name, rob.name])
    over = await rita.ssh("bastion", "watch", session)
    assert (over.status, over.stdout) == (1, b"")
    assert f"is over: ssh bastion replay {session} shows it" in over.err


async def test_who_is_no_auditor_any_more_is_cut(
    bastion: Bastion, alice: Contractor, rita: Contractor
) -> None:
    """Soon, also where nothing is shown; with a sentence, and a terminal that is whole again."""
    async with alice.jumping("echo here; exec sleep 60") as running:
        await running.stdout.expect("here")
        session = await newest(bastion, alice, live=True)
        async with rita.terminal("-t", "bastion", "watch", session) as watching:
            await watching.expect(r"\x1b\[2J")
            await bastion.admin("user", "set", rita.name, "--role", "approver")
            await watching.expect("Your roles have changed meanwhile")
            assert await watching.wait() == 1
        denied = await rita.ssh("bastion", "watch", session)
        assert denied.err.startswith("ssh bastion: No such command 'watch'.")
        await bastion.admin("user", "set", rita.name, "--role", "auditor")
        async with rita.start("bastion", "watch", session) as watching_on:
            await watching_on.stdout.expect(r"\x1b\[2J")
            await bastion.admin("user", "disable", rita.name)
            await watching_on.stderr.expect("your account was closed")
            assert await watching_on.wait() == 255


async def test_slow_readers_cost_no_memory_and_keep_nobody_from_working(
    bastion: Bastion, alice: Contractor, rita: Contractor
) -> None:
    """Their exports stand still in a little memory; one more is refused with a sentence."""
    await alice.jump(f"head -c {48 * MEGABYTE} /dev/zero | tr '\\0' x", patience=30)
    session = await newest(bastion, alice)
    assert (await rita.ssh("bastion", "export", session)).status == 0  # what it loads, it keeps
    async with AsyncExitStack() as stack:
        slow = [rita.unread("bastion", "export", session) for _ in range(4)]
        before = bastion.resident
        for each in slow:
            await stack.enter_async_context(each)
            assert await each.read(1024)
        fifth = await rita.ssh("bastion", "export", session)
        assert (fifth.status, fifth.stdout) == (1, b"")
        assert "4 commands of yours read recordings already: end one first." in fifth.err
        assert (await rita.ssh("bastion", "sessions", "--user", alice.name)).status == 0
        assert session in (await rita.ssh("bastion", "show", session)).out
        for _ in range(20):
            assert await slow[0].read(1024)
        assert bastion.resident - before < 32 * MEGABYTE  # less than one of them is long
    done = await rita.ssh("bastion", "export", session, "--raw", "stdout", patience=30)
    assert (done.status, len(done.stdout)) == (0, 48 * MEGABYTE)


async def test_who_leaves_in_the_middle_of_an_export_leaves_nothing_behind(
    bastion: Bastion, alice: Contractor, rita: Contractor
) -> None:
    """By a signal, or because `head` has read enough: as many may come again as before."""
    await alice.jump(f"head -c {8 * MEGABYTE} /dev/zero | tr '\\0' x")
    session = await newest(bastion, alice)
    for _ in range(5):
        async with rita.unread("bastion", "export", session) as export:
            assert await export.read(1024)
    ssh = " ".join(rita._ssh(("bastion", "export", session)))
    for _ in range(5):
        done = await rita.run("sh", "-c", f"{ssh} | head -c 100")
        assert (done.status, len(done.stdout), done.err) == (0, 100, "")
