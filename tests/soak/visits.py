"""Acts of those who look on, who ask, or who have no business here.

Whole as those of `acts` are.
"""

import asyncio
import os
import random
from typing import Final

import asyncssh

from tests.e2e.contractor import HOST
from tests.soak.acts import PATIENCE, shown, somebody
from tests.soak.scene import Scene
from tests.soak.story import step

LONG: Final = 55.0
"""For looks at what may be millions of lines."""


async def watched(scene: Scene, dice: random.Random) -> None:
    """An auditor looks on for a moment."""
    async with (
        somebody(scene, dice).jump() as inner,
        shown(scene, inner, "while sleep 0.1; do echo tick; done") as (tag, _),
    ):
        session = await scene.tagged(tag)
        step(f"is watched in {session.name}")
        async with scene.auditor.stock.start("bastion", "watch", session.name) as watching:
            await watching.stdout.expect("tick", PATIENCE)


async def looked_at(scene: Scene, dice: random.Random) -> None:
    """An auditor reads what was shown, or looks for it."""
    over = [each for each in await scene.newest(200) if not each.live]
    if not over:
        return
    verb = dice.choice(("replay", "transcript", "export", "search"))
    words = ("search", "soak") if verb == "search" else (verb, dice.choice(over).name)
    step(f"asks for {' '.join(words)}")
    done = await scene.auditor.stock.ssh("bastion", *words, patience=LONG)
    assert done.status == 0 or verb == "search", (words, done.status, done.err)


async def asked(scene: Scene, dice: random.Random) -> None:
    """The control plane."""
    verb = dice.choice(("status", "hosts", "trust"))
    step(f"asks for {verb}")
    done = await somebody(scene, dice).stock.ssh("bastion", verb, patience=PATIENCE)
    assert done.status == 0, done.err


async def renewed(scene: Scene, dice: random.Random) -> None:
    """A new certificate."""
    await somebody(scene, dice).certify()


async def a_stranger(scene: Scene, dice: random.Random) -> None:
    """Somebody who says nothing, or what is no SSH, or has a key that nobody knows."""
    kind = dice.randrange(3)
    step(("says nothing", "speaks no SSH", "has an unknown key")[kind])
    if kind == 2:
        key = asyncssh.generate_private_key("ssh-ed25519")
        try:
            async with asyncssh.connect(
                *("127.0.0.1", scene.bastion.port),
                username="mallory",
                client_keys=[key],
                agent_path=None,
                known_hosts=None,
                config=None,
            ):
                raise AssertionError("a stranger was let in")
        except asyncssh.PermissionDenied:
            return
    _, writer = await asyncio.open_connection("127.0.0.1", scene.bastion.port)
    if kind:
        writer.write(b"SSH-2.0-soak\r\n" + os.urandom(dice.randint(1, 5000)))
    await asyncio.sleep(dice.random() / 5)
    writer.transport.abort()


async def in_vain(scene: Scene, dice: random.Random) -> None:
    """To where nobody may go."""
    async with somebody(scene, dice).outer() as outer:
        tries = (("nowhere", 22), (HOST, 2222), ("127.0.0.1", 22))
        for host, port in tries:
            step(f"wants to reach {host}:{port}")
            try:
                await asyncio.wait_for(outer.open_connection(host, port), 10)
            except asyncssh.ChannelOpenError:
                continue
