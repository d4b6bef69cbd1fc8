"""Latches: as asyncio's events."""

import asyncio

from bastion.latch import Latch


async def test_all_who_wait_go_on() -> None:
    """Whoever gives up meanwhile is in nobody's way; who comes later does not wait."""
    latch = Latch()
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(latch.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        assert not latch.is_set()
        latch.set()
        latch.set()
    assert latch.is_set()
    assert [task.cancelled() for task in waiting] == [False, True, False]
    await latch.wait()


async def test_cleared_it_holds_again() -> None:
    """But not those that it let go."""
    latch = Latch()
    async with asyncio.TaskGroup() as group:
        before = group.create_task(latch.wait())
        await asyncio.sleep(0)
        latch.set()
        latch.clear()
        after = group.create_task(latch.wait())
        await before
        assert not after.done()
        latch.set()
