"""PostgreSQL away: nobody new comes in, who is in goes on, and what was to be kept is kept."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE
from tests.postgres import Server

ECHO = "while read line; do echo got $line; done"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL that may be stopped: nobody else uses it."""
    made = Server()
    yield made
    made.remove()


@pytest.fixture
def url(server: Server) -> str:
    """An empty database there."""
    return server.new_url()


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm, url: str) -> Iterator[Bastion]:
    """A bastion on it."""
    made = Bastion(tmp_path / "home", warm, url)
    with serving(made, sshd):
        yield made


def told(url: str) -> Counter[tuple[str, str]]:
    """How often what was told of which session and connection, as the log lies there."""
    asked = (
        "SELECT coalesce('S-' || session, 'C-' || connection), what FROM events WHERE session IS "
        "NOT NULL OR what = 'connection.closed'"
    )
    with closing(psycopg.connect(url)) as raw:
        return Counter((str(of), str(what)) for of, what in raw.execute(asked))


async def until_over(own: Bastion, url: str) -> list[dict[str, Any]]:
    """Waits until all sessions are over, sealed, and told of; their rows by number."""
    async with asyncio.timeout(4 * PATIENCE):
        while True:
            rows = await own.rows("sessions", "--limit", "500")
            ended = {of for (of, what) in told(url) if what == "session.ended"}
            over = [row for row in rows if row["ended_at"] and row["recording"]["sealed"]]
            if len(over) == len(rows) == len(ended):
                return sorted(over, key=lambda row: int(row["id"].removeprefix("S-")))


def cast(own: Bastion, name: str) -> bytes:
    """What lies there of a session's recording."""
    [found] = own.home.rglob(f"{name}.cast")
    return found.read_bytes()


def at(row: dict[str, Any], name: str) -> datetime:
    """A time of a row."""
    return datetime.fromisoformat(row[name])


async def nothing_is_lost(own: Bastion, url: str) -> list[dict[str, Any]]:
    """All are over and sealed, everything was told once, and nothing is wrong; their rows."""
    rows = await until_over(own, url)
    assert [each for each, times in told(url).items() if times > 1] == []
    begun = {of for (of, what) in told(url) if what == "session.started"}
    assert begun == {row["id"] for row in rows}
    await own.admin("verify", "--all", expect=0)
    await own.admin("audit", "verify", expect=0)
    return rows


@pytest.mark.timeout(120)
async def test_a_database_that_is_stopped_lets_nobody_in_and_loses_nothing(
    own: Bastion, bob: Contractor, server: Server, url: str
) -> None:
    """A session goes on and another one ends without it; both are kept as they were, and once."""
    async with bob.jumping(ECHO) as going_on, bob.jumping(ECHO) as ending:
        for session in (going_on, ending):
            await session.send("one\n")
            await session.stdout.expect("got one\n")
        await asyncio.to_thread(server.stop)
        assert (await bob.jump("echo in", patience=60)).status == 255
        await going_on.send("two\n")
        await going_on.stdout.expect("got two\n")
        ending.close_stdin()
        assert await ending.wait() == 0
        await asyncio.to_thread(server.start)
        stopped_for = datetime.now().astimezone()
        async with asyncio.timeout(2 * PATIENCE):
            while (await bob.jump("echo in")).out != "in\n":
                pass
        going_on.close_stdin()
        assert await going_on.wait() == 0
    rows = await nothing_is_lost(own, url)
    assert len(rows) == 3
    by_end = sorted(rows, key=lambda row: at(row, "ended_at"))
    assert at(by_end[0], "ended_at") < stopped_for < at(by_end[1], "ended_at")
    assert {row["end_reason"] for row in rows} == {"closed"}
    assert {row["bytes_out"] for row in rows} == {len("got one\n"), len("got one\ngot two\n"), 3}


def kill(own: Bastion) -> str:
    """It has no time for anything; how what it carried ended."""
    own.kill9()
    return "interrupted"


def stop(own: Bastion) -> str:
    """It ends what it carries, and says what it could not write."""
    own.stop(patience=40)
    assert "left to the next start" in own.log
    assert "Traceback" not in own.log
    return "drained"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", [kill, pytest.param(stop, marks=pytest.mark.faults)])
async def test_a_bastion_that_ends_meanwhile_loses_nothing_either(
    own: Bastion, bob: Contractor, server: Server, url: str, how: Callable[[Bastion], str]
) -> None:
    """What could not be written before is found in the files by the next start."""
    async with bob.jumping(ECHO) as ending, bob.jumping(ECHO) as killed:
        for session in (ending, killed):
            await session.send("one\n")
            await session.stdout.expect("got one\n")
        await asyncio.to_thread(server.stop)
        ending.close_stdin()
        assert await ending.wait() == 0
        async with asyncio.timeout(PATIENCE):
            while b"bastion:ended" not in cast(own, "S-1") + cast(own, "S-2"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        reason = await asyncio.to_thread(how, own)
        assert await killed.wait() == 255
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(own.start)
    rows = await nothing_is_lost(own, url)
    assert len(rows) == 2
    assert {row["end_reason"] for row in rows} == {"closed", reason}


@pytest.mark.faults
@pytest.mark.timeout(120)
async def test_after_a_while_without_it_all_sessions_end(
    own: Bastion, bob: Contractor, server: Server, url: str
) -> None:
    """No revocation could reach them; `[limits] without_database` says how long that may be."""
    own.set("limits", "without_database", "3s")
    await asyncio.to_thread(own.stop)
    await asyncio.to_thread(own.start)
    async with bob.jumping(ECHO) as session:
        await session.send("one\n")
        await session.stdout.expect("got one\n")
        await asyncio.to_thread(server.stop)
        await session.stderr.expect("the bastion has lost its database; this session is over")
        assert await session.wait() == 255
    await asyncio.to_thread(server.start)
    [row] = await nothing_is_lost(own, url)
    assert row["end_reason"] == "lost"


class Storm:
    """Contractors who come and go all the time, each with a word of her own to see."""

    def __init__(self, bob: Contractor) -> None:
        self._bob = bob
        self.seen: set[str] = set()
        self.refused = 0
        self.over = False

    async def blow(self, number: int) -> None:
        """One after another, until it is over."""
        for turn in range(10_000):
            if self.over:
                return
            word = f"word-{number}-{turn}"
            had = await self._bob.jump(f"echo {word}", patience=100)
            if had.out == f"{word}\n":
                self.seen.add(word)
            else:
                self.refused += 1


def cut_all(url: str) -> None:
    """Ends every connection that others have to this database."""
    with suppress(psycopg.OperationalError), closing(psycopg.connect(url, autocommit=True)) as own:
        own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def cut_again_and_again(server: Server, url: str) -> None:
    """At any moment, also in the middle of a commit."""
    chance = random.Random(31)  # noqa: S311 - moments, no secrets
    for _ in range(60):
        await asyncio.sleep(chance.random() / 2)
        await asyncio.to_thread(cut_all, url)


async def restart_again_and_again(server: Server, url: str) -> None:
    """As after a crash: whatever was under way is gone."""
    for _ in range(6):
        await asyncio.sleep(2)
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(1)
        await asyncio.to_thread(server.start)


async def hang_again_and_again(server: Server, url: str) -> None:
    """It takes everything, and says nothing for seconds."""
    for _ in range(4):
        await asyncio.sleep(2)
        with server.hanging():
            await asyncio.sleep(4)


Fault = Callable[[], Coroutine[None, None, None]]


@pytest.fixture(params=[cut_again_and_again, restart_again_and_again, hang_again_and_again])
def fault(request: pytest.FixtureRequest, server: Server, url: str) -> Fault:
    """What befalls the database."""
    return partial(request.param, server, url)


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize("workers", [1, 2])
async def test_nothing_is_lost_in_a_storm(
    own: Bastion, bob: Contractor, fault: Fault, url: str, workers: int
) -> None:
    """Whatever somebody saw is in the recording of a session that is over, sealed and told once."""
    if workers > 1:
        await asyncio.to_thread(own.stop)
        await asyncio.to_thread(own.start, workers)
    storm = Storm(bob)
    async with bob.jumping(ECHO) as going_on, asyncio.TaskGroup() as group:
        await going_on.send("there\n")
        await going_on.stdout.expect("got there\n")
        for number in range(3):
            group.create_task(storm.blow(number))
        while len(storm.seen) <= 10:  # on a machine with much to do few get through at a time
            await fault()
        await going_on.send("still here\n")
        await going_on.stdout.expect("got still here\n")
        going_on.close_stdin()
        assert await going_on.wait() == 0
        storm.over = True
    rows = await nothing_is_lost(own, url)
    shown = {str(row["command"]).removeprefix("echo ") for row in rows if row["bytes_out"]}
    assert storm.seen <= shown
