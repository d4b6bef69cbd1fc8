"""Faults and changes: what operators do to a bastion while people work, and what befalls it."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tests.e2e.contractor import HOST
from tests.soak import samples
from tests.soak.scene import Scene

CAREFUL: Final = 3.0
"""Seconds between two steps of a rotation: what was begun by the old key is over then."""

EXCUSED: Final = 1.0
"""Seconds around a loss for which acts may fail."""


@dataclass
class Losses:
    """When processes were lost (seconds of the loop's clock), and how often what was done."""

    at: list[float] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def excuse(self, begun: float, over: float) -> bool:
        """Whether what went on meanwhile may have failed for that."""
        return any(begun - EXCUSED <= at <= over + EXCUSED for at in self.at)

    def count(self, what: str) -> None:
        """It was done once more."""
        self.done[what] = self.done.get(what, 0) + 1


Change = Callable[[Scene], Awaitable[None]]


async def reread(scene: Scene) -> None:
    """SIGHUP."""
    os.kill(scene.bastion.pid, signal.SIGHUP)


async def target_rotated(scene: Scene) -> None:
    """The CA that targets trust, in all its steps."""
    bastion, sshd = scene.bastion, scene.sshd
    old = (await bastion.admin("ca", "show", "target")).out
    sshd.trust((await bastion.admin("ca", "rotate", "target")).out)
    await bastion.admin("host", "check", HOST, "--login", sshd.login)
    await asyncio.sleep(CAREFUL)
    await bastion.admin("ca", "rotate", "target", "--retire")
    await asyncio.sleep(CAREFUL)
    sshd.distrust(old)


async def seal_rotated(scene: Scene) -> None:
    """The key that seals."""
    await scene.bastion.admin("ca", "rotate", "seal")


async def user_rotated(scene: Scene) -> None:
    """The CA of contractors: everybody needs a new certificate. While nobody works."""
    await scene.bastion.admin("ca", "rotate", "user")
    await scene.bastion.admin("ca", "rotate", "user", "--retire")
    for person in scene.people:
        await person.certify()


BESIDE: Final[dict[str, Change]] = {
    "SIGHUP": reread,
    "target CA rotated": target_rotated,
    "seal key rotated": seal_rotated,
}
"""What may be done while people work."""


async def lose(scene: Scene, losses: Losses) -> None:
    """kill -9 of the last worker, and wait until it is there again."""
    found = samples.processes(scene.bastion.pid)
    name = max(name for name in found if name.startswith("worker"))
    loop = asyncio.get_running_loop()
    losses.at.append(loop.time())
    losses.count("worker killed by -9")
    os.kill(found[name], signal.SIGKILL)
    async with asyncio.timeout(60):
        while await asyncio.to_thread(_missing, scene, name, found[name]):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    losses.at.append(loop.time())


def _missing(scene: Scene, name: str, pid: int) -> bool:
    """Whether it is not there yet, or not the new one."""
    said = samples.metrics(scene.metrics_port)
    now = samples.processes(scene.bastion.pid).get(name)
    return now in (None, pid) or not said.get(("bastion_process_ready", name))


async def befall(
    scene: Scene, losses: Losses, dice: random.Random, *, kills: bool, seconds: float
) -> None:
    """About five of these, one after the other, for so many seconds; a loss now and then.

    What has been begun is brought to its end.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        await asyncio.sleep(seconds / 5 * (0.5 + dice.random()))
        if loop.time() > until:
            return
        if kills and dice.random() < 0.4:
            await lose(scene, losses)
            continue
        name = dice.choice(list(BESIDE))
        await BESIDE[name](scene)
        losses.count(name)


def as_act(change: Change) -> Callable[[Scene, random.Random], Awaitable[None]]:
    """A change, to be done as one act among others."""

    async def changed(scene: Scene, dice: random.Random) -> None:
        await change(scene)

    return changed
