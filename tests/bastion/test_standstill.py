"""Standstill: what would pass waits in its order, and is done once, or never."""

import asyncio
from functools import partial

from bastion.standstill import Standstill


def test_what_is_put_off_is_done_in_its_order() -> None:
    """Of a kind, the last; and while it moves nothing is put off."""
    still, done = Standstill(), list[str]()
    assert not still.put_off(partial(done.append, "no"))
    still.begin()
    for act, kind in (("a", None), ("80x24", "size"), ("b", None), ("100x40", "size")):
        assert still.put_off(partial(done.append, act), kind)
    assert done == []
    still.end()
    assert done == ["a", "100x40", "b"]
    still.end()
    assert len(done) == 3


def test_what_is_given_up_is_never_done() -> None:
    """The session is over."""
    still, done = Standstill(), list[str]()
    still.begin()
    still.put_off(partial(done.append, "a"))
    still.give_up()
    assert (done, still.frozen) == ([], False)


async def test_who_waits_goes_on_only_when_it_moves() -> None:
    """Also when it was frozen again in the same moment."""
    still = Standstill()
    still.begin()
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(still.over())
        await asyncio.sleep(0)
        still.end()
        still.begin()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not waits.done()
        still.end()
