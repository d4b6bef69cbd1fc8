"""Tasks that belong to no connection: waited for at the end, and never the end of the others."""

import asyncio

import pytest

from bastion.crew import Crew
from bastion.errors import Unavailable


async def test_the_end_waits_for_what_was_started_and_for_what_that_starts() -> None:
    """How a session ended is told by tasks: nothing of it comes after the last words."""
    told: list[str] = []
    go = asyncio.Event()

    async def second() -> None:
        told.append("second")

    async with asyncio.TaskGroup() as group:
        crew = Crew(group)

        async def first() -> None:
            await go.wait()
            told.append("first")
            crew.start(second(), "second")

        crew.start(first(), "first")
        settling = group.create_task(crew.settle(30))
        await asyncio.sleep(0)
        assert not told
        go.set()
        await settling
        assert told == ["first", "second"]


async def test_one_that_hangs_holds_up_nothing_for_long(caplog: pytest.LogCaptureFixture) -> None:
    """It is said how many were not done."""
    never = asyncio.Event()

    async def hang() -> None:
        await never.wait()

    async with asyncio.TaskGroup() as group:
        crew = Crew(group)
        crew.start(hang(), "hanging")
        await crew.settle(0.01)
        assert "1 tasks were not done in time" in caplog.text
        never.set()


async def test_a_failure_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with what it was."""

    async def fail() -> None:
        raise Unavailable("The database does not answer.")

    async with asyncio.TaskGroup() as group:
        crew = Crew(group)
        crew.start(fail(), "S-1 ends")
        await crew.settle(30)
    assert "S-1 ends: The database does not answer." in caplog.text
