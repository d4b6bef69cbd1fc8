"""Who it is: the key that signed last, and nothing that was only offered before it."""

import asyncssh

from tests.corpus.world import World


async def test_a_jump_works_at_all(world: World) -> None:
    """The world of these tests is a real one: without an attack, one gets in and is recorded."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        done = await inner.run("echo in")
    assert (done.stdout, done.exit_status) == ("in\n", 0)
    assert [session.user for session in world.sessions] == ["alice"]
    assert isinstance(inner, asyncssh.SSHClientConnection)
