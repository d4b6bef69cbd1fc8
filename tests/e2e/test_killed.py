"""`kill -9` of the bastion at random moments, under load: who had got what, and what was kept.

Each round ends several sessions at once, each at another point of its work. `KILLS=200` in the
environment makes it as many rounds.
"""

import asyncio
import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.own import serving
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import PATIENCE, Running

ROUNDS = int(os.environ.get("KILLS", "3"))
COUNTING = "i=0; while :; do i=$((i+1)); echo $i; done"
DOWN, UP = 4, 2
BUSY = 45.0
"""Seconds that beginning six sessions may take where many rounds are run beside other work."""


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion that is killed again and again."""
    made = Bastion(tmp_path / "home", warm)
    made.set("recording", "checkpoint", "1s")
    with serving(made, sshd):
        yield made


class Round:
    """Sessions that are under way, by the mark in their command."""

    def __init__(self, bob: Contractor, place: Path, number: int) -> None:
        self._bob = bob
        self._place = place
        self.down = {f"down-{number}-{each}": b"" for each in range(DOWN)}
        self.up = [f"up-{number}-{each}" for each in range(UP)]

    def file(self, mark: str) -> Path:
        """Where the target writes what it gets."""
        return self._place / mark

    def _printing(self, mark: str) -> Running:
        return self._bob.jumping(f": {mark}; {COUNTING}")

    def _sending(self, mark: str) -> Running:
        words = f"-J bastion {self._bob.login}@{HOST} ': {mark}; cat > {self.file(mark)}'"
        line = f"({COUNTING}) | ssh -F {self._bob.config} {words}"
        return Running("sh", "-c", line, env=self._bob.env)

    async def until_killed(self, own: Bastion, after: float) -> None:
        """Begin them all, and kill the bastion a moment after all have got something."""
        async with AsyncExitStack() as stack:
            # Those that send connect first: beside floods on both cores it takes them long.
            sending = [await stack.enter_async_context(self._sending(mark)) for mark in self.up]
            async with asyncio.timeout(BUSY):
                while not all(map(_has_some, map(self.file, self.up))):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            printing = {
                mark: await stack.enter_async_context(self._printing(mark)) for mark in self.down
            }
            for running in printing.values():
                await running.stdout.expect("1\n", BUSY)
            await asyncio.sleep(after)
            await asyncio.to_thread(kill_all, own)
            for running in (*printing.values(), *sending):
                await running.wait()
            self.down = {mark: bytes(each.stdout.seen) for mark, each in printing.items()}


def kill_all(own: Bastion) -> None:
    """SIGKILL for each process of it, in one breath."""
    children = Path(f"/proc/{own.pid}/task/{own.pid}/children").read_text().split()
    for pid in (own.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    own.kill9()


def _has_some(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param(1, marks=pytest.mark.timeout(60 + 25 * ROUNDS)),
        pytest.param(2, marks=[pytest.mark.faults, pytest.mark.timeout(60 + 60 * ROUNDS)]),
    ],
)
async def test_nothing_is_lost_that_somebody_had(
    own: Bastion, bob: Contractor, place: Path, workers: int
) -> None:
    """What a contractor had seen, and what a target had got, is in the recordings, byte by byte.

    And nothing looks as if somebody had been at it: each is as its checkpoint says, and sealed.
    """
    chance = random.Random(31)  # noqa: S311 - moments, no secrets
    if workers > 1:
        await asyncio.to_thread(own.stop)
        await asyncio.to_thread(own.start, workers)
    for number in range(ROUNDS):
        under_way = Round(bob, place / "in", number)
        await under_way.until_killed(own, chance.random() * 0.5)
        await asyncio.to_thread(own.start, workers)
        rows = {
            str(row["command"]).split(";")[0].removeprefix(": "): row["id"]
            for row in await own.rows("sessions", "--limit", str(DOWN + UP))
        }
        for mark, had in under_way.down.items():
            kept = await own.admin("export", rows[mark], "--raw", "stdout")
            assert len(had) > 1
            assert kept.stdout.startswith(had), f"{mark}: {len(had)} bytes were shown"
        key = str(own.home / "keys" / "auditor.age")
        for mark in under_way.up:
            kept = await own.admin("export", rows[mark], "--raw", "stdin", "--identity", key)
            had = under_way.file(mark).read_bytes()
            assert kept.stdout.startswith(had), f"{mark}: {len(had)} bytes were sent"
            under_way.file(mark).unlink()
    async with asyncio.timeout(PATIENCE):
        while not all(row["recording"]["sealed"] for row in await own.rows("sessions")):
            pass
    done = await own.admin("verify", "--all")
    assert f"{ROUNDS * (DOWN + UP)} recordings: nothing was changed" in done.out


async def test_what_is_done_between_a_kill_and_the_next_start_is_found(
    own: Bastion, bob: Contractor
) -> None:
    """The files lie there, written by nobody and not sealed yet: one is cut, another changed."""
    line = "echo guilty; exec cat"
    async with bob.jumping(line) as one, bob.jumping(line) as other:
        for running in (one, other):
            await running.stdout.expect("guilty\n")
        async with asyncio.timeout(PATIENCE):
            while not all([await known(own, name) for name in ("S-1", "S-2")]):
                pass
        await asyncio.to_thread(own.kill9)
        for running in (one, other):
            await running.wait()
    first, second = cast(own, "S-1"), cast(own, "S-2")
    first.write_bytes(first.read_bytes().splitlines(keepends=True)[0])
    second.write_bytes(second.read_bytes().replace(b"guilty", b"honest"))
    for name, spoilt in (("S-1", "cut"), ("S-2", "changed")):
        found = await own.admin("verify", name, expect=1)
        assert f"{name}.cast was {spoilt} since its checkpoint" in found.out
    await asyncio.to_thread(own.start)
    async with asyncio.timeout(PATIENCE):
        while not all(row["recording"]["sealed"] for row in await own.rows("sessions")):
            pass
    found = await own.admin("verify", "--all", expect=1)
    for name, spoilt in (("S-1", "cut"), ("S-2", "changed")):
        said = f"{name}: it was {spoilt} before it was sealed: its checkpoint did not hold."
        assert said in found.out


def cast(own: Bastion, name: str) -> Path:
    """A session's recording."""
    [found] = own.home.rglob(f"{name}.cast")
    return found


async def known(own: Bastion, name: str) -> bool:
    """Whether the database knows of all that was shown so far."""
    told = json.loads((await own.admin("verify", name, "--json")).out)["checkpoint"]
    return told is not None and told["size"] == cast(own, name).stat().st_size
