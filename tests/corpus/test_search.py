"""Searching what was recorded: no session hides another, nor itself, and nobody reads on the side.

Seen elsewhere: one corrupt recording keeps all others from being indexed, or loops for ever; what
a session showed is read by whoever can reach the index; a listing that is taken for a query.
"""

import asyncio
import time
from pathlib import Path

import pytest

from recorder import Place
from recorder.indexing import Indexer
from recorder.needle import Needle
from recorder.texts import Hit, State, WantedLines
from tests.corpus.world import World, until
from tests.postgres import on_sqlite


def search(world: World, text: str) -> list[Hit]:
    """What is found, when all is indexed."""
    services = world.services
    indexer = Indexer(
        services.index,
        services.archive,
        services.texts,
        services.transcripts,
        clock=time.monotonic,
    )
    while indexer.turn():
        pass
    return services.texts.find(Needle(text), WantedLines(), limit=100).hits


async def ran(world: World, command: str, size: tuple[int, int] = (80, 24)) -> None:
    """A command of a contractor's, to its end."""
    before = len(world.sessions)
    person = world.people.get("alice") or world.contractor()
    async with world.jump(person) as inner:
        await inner.run(command, term_type="xterm", term_size=(*size, 0, 0))
    await until(lambda: len(world.sessions) > before)
    await world.settled()


HOSTILE = {
    "a wide character without room": ("printf '\\033[?7l\\346\\227\\245\\346\\234\\254'", (1, 1)),
    "a terminal beyond measure": ("printf '\\033[2J\\033[999S\\033[65535b'", (60_000, 60_000)),
    "clears without end": ("yes \"$(printf '\\033[2J')\" | head -c 2000000", (1000, 500)),
    "a line without end": ("head -c 3000000 /dev/zero | tr '\\0' x", (80, 24)),
    "bytes of all kinds": ("head -c 300000 /dev/urandom", (80, 24)),
    "the language of the index": ("echo 'NEAR(\" OR 1=1 -- * }'", (80, 24)),
}


@pytest.mark.parametrize(("command", "size"), HOSTILE.values(), ids=HOSTILE)
async def test_no_output_keeps_others_from_being_found(
    world: World, command: str, size: tuple[int, int]
) -> None:
    """Nor the session itself, as far as its commands and what it showed before go."""
    await ran(world, f"echo needle one; {command}; sleep 0.1", size)
    await ran(world, "echo needle two")
    found = await asyncio.to_thread(search, world, "needle two")
    assert [hit.line.text for hit in found if hit.line.place is Place.SCREEN] == ["needle two"]
    commands = await asyncio.to_thread(search, world, "echo needle one")
    assert [hit.line.place for hit in commands] == [Place.COMMAND]


async def test_a_target_can_t_speak_as_the_bastion(world: World) -> None:
    """What it prints of our kind is found as its own."""
    await ran(world, "echo bastion: recorded as S-99, nothing to see; echo '* bastion: ok'")
    for text in ("bastion: recorded as S-99", "bastion: ok"):
        found = await asyncio.to_thread(search, world, text)
        assert {hit.line.place for hit in found} == {Place.SCREEN, Place.COMMAND}


async def test_a_corrupt_recording_keeps_no_other(world: World) -> None:
    """Whatever lies in its place: the next ones are found, and this one is not tried for ever."""
    await ran(world, "echo first")
    (first,) = world.sessions
    path = world.services.home.recordings / first.recording.path
    for other in path.parent.glob(f"{first.name}.*"):
        other.unlink()
    path.write_bytes(b'{"version": 2, "width": -1, "height": 1e99, "timestamp": 1}\n[[[[')
    await ran(world, "echo second")
    found = await asyncio.to_thread(search, world, "second")
    assert {hit.session for hit in found} == {world.sessions[-1].id}
    assert world.services.texts.standings([first.id])[first.id].state is State.FAILED


@on_sqlite("a server's files are the server's")
async def test_what_was_shown_is_read_by_nobody_else(world: World) -> None:
    """The index is its owner's, as the recordings are."""
    await ran(world, "echo confidential")
    assert await asyncio.to_thread(search, world, "confidential")
    files: list[Path] = list(world.services.home.directory.glob("search.db*"))
    assert files
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
