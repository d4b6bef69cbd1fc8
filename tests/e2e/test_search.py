"""Found: a line that a real session showed, by its text, and again in a replay from there."""

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor


@pytest.fixture
def rita(bastion: Bastion, newly_enrolled: Callable[[], Contractor]) -> Contractor:
    """An auditor, and nothing else."""
    person = newly_enrolled()
    bastion.admin_now("user", "set", person.name, "--role", "auditor")
    return person


async def found(who: Contractor, *words: str) -> list[dict[str, object]]:
    """What a search finds, as soon as it finds something."""
    async with asyncio.timeout(30):
        while True:
            said = await who.ssh("bastion", "search", "--json", *words)
            assert said.status == 0, said.err
            if hits := json.loads(said.out):
                return list(hits)
            await asyncio.sleep(0.2)


async def test_a_line_is_found_and_replayed_from_there(
    bastion: Bastion, alice: Contractor, rita: Contractor
) -> None:
    """Typed with a mistake and shown in colours; whoever is no auditor finds nothing."""
    async with alice.jump_terminal() as shell:
        await shell.expect(r"recorded as (S-\d+)")
        shell.send("printf '\\033[31mDROP\\033[0m  TABLX\x7fLE %s\\n' use''rs\r")
        await shell.expect("users")
        shell.send("exit\r")
        await shell.wait()
    (shown, *rest) = await found(rita, "drop", "tablle", "users")
    assert (shown["text"], shown["place"], rest) == ("DROP  TABLLE users", "screen", [])
    assert (shown["user"], shown["host"]) == (alice.name, "prod-host")
    session, begin = str(shown["session"]), str(shown["from"])
    replayed = await rita.ssh("bastion", "replay", session, "--from", begin)
    assert "TABLLE users" in replayed.out
    transcript = await rita.ssh("bastion", "transcript", session)
    assert f"[{begin}]   DROP  TABLLE users\n" in transcript.out
    assert f"* bastion: recorded as {session}" in transcript.out
    refused = await alice.ssh("bastion", "search", "drop", "tablle")
    assert (refused.status, refused.out) == (2, "")
    (line, *_) = (await bastion.admin("audit", "--what", "recording.searched")).out.splitlines()[1:]
    assert f"{rita.name} searched recordings for drop tablle users" in line


async def test_commands_and_files_are_found(
    bastion: Bastion, alice: Contractor, rita: Contractor
) -> None:
    """A command line by its words, also where it has shown nothing."""
    await alice.jump("true --flag=unheard-of-word")
    (hit,) = await found(rita, "--kind", "exec", "--", "--flag=unheard-of")
    assert (hit["place"], hit["text"]) == ("command", "true --flag=unheard-of-word")
