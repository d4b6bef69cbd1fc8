"""One connection kept open, as ControlMaster keeps it: it stays what it was, and ends in time.

Whoever finds somebody's control socket can run verbs by it; a rule that demands a fresh sign-in
must see how old that one is.
"""

import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh

from bastion.control import Voice
from bastion.policy import Identity
from tests.corpus.world import OPERATOR, World, served, until


@dataclass
class Witness:
    """Implements `bastion.control.Control`: keeps who came, and waits when it is told to."""

    came: list[Identity] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def run(self, identity: Identity, words: Sequence[str], voice: Voice) -> int:
        """`wait` waits until the end; everything else is done at once."""
        self.came.append(identity)
        try:
            while words == ["wait"]:
                voice.pause(60)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        return 0


@asynccontextmanager
async def witnessed(template: Path, place: Path) -> AsyncIterator[tuple[World, Witness]]:
    """A bastion whose control plane is a witness."""
    witness = Witness()
    async with served(template, place / "home", control=lambda _: witness) as world:
        yield world, witness


async def waiting(connection: asyncssh.SSHClientConnection, witness: Witness) -> None:
    """A verb that waits, begun."""
    await connection.create_process("wait")
    await until(lambda: witness.came)


async def test_a_verb_on_an_old_connection_has_the_old_time(template: Path, tmp_path: Path) -> None:
    """Each verb sees when its connection signed in, however late it comes."""
    async with witnessed(template, tmp_path) as (world, witness):
        alice = world.enrol("alice")
        begun = world.now
        async with world.outer(alice.key) as old:
            await old.run("one")
            between = world.now
            async with world.outer(alice.key) as new:
                await new.run("two")
            await old.run("three")
    one, two, three = (identity.signed_in_at for identity in witness.came)
    assert one is not None
    assert two is not None
    assert begun <= one <= between <= two
    assert three == one


async def test_what_waits_ends_with_its_account(template: Path, tmp_path: Path) -> None:
    """Within a second of its being closed."""
    async with witnessed(template, tmp_path) as (world, witness):
        alice = world.enrol("alice")
        async with world.outer(alice.key) as outer:
            await waiting(outer, witness)
            began = time.monotonic()
            user = world.services.store.user("alice")
            assert user is not None
            closed = replace(user, disabled_at=world.now)
            world.services.store.update_user(closed, OPERATOR, world.now)
            await until(lambda: witness.ended == ["BrokenPipeError"])
            assert time.monotonic() - began < 1


async def test_what_waits_ends_with_the_server(template: Path, tmp_path: Path) -> None:
    """Though its client stays: no thread keeps the process alive."""
    async with AsyncExitStack() as clients:
        async with witnessed(template, tmp_path) as (world, witness):
            alice = world.enrol("alice")
            outer = await clients.enter_async_context(world.outer(alice.key))
            await waiting(outer, witness)
        await until(lambda: witness.ended == ["BrokenPipeError"])
        outer.abort()
    await until(lambda: not any("verbs" in each.name for each in threading.enumerate()))
