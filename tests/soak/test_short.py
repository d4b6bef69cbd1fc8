"""The soak, in short: each act once, all at once; then nothing is left, and all of it is sound."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from tests.soak import acts, faults
from tests.soak.scene import Person, Scene, scene
from tests.soak.shares import SHARES
from tests.soak.soak import Plan, Soak, sound

pytestmark = pytest.mark.timeout(120)

PLAN = Plan(seconds=60, rounds=1, seed=7, kills=False, drivers=8, calm=0.3)
DICE = random.Random(7)  # noqa: S311 the same run again, no secret
ACTS = [share.act for share in SHARES if share.act is not acts.expired]  # that has to wait


@pytest.fixture(scope="module")
def made() -> Iterator[Scene]:
    """One scene for all of these."""
    with scene(workers=2, people=2, guests=1) as made:
        yield made


def test_a_short_soak_is_sound(made: Scene) -> None:
    """No session is live without a client, no connection is left, as many sessions as were opened,
    every seal and chain holds; and the keys were changed beside it."""
    soak = Soak(made, PLAN, lambda line: None)
    found = asyncio.run(soak.once([*ACTS, faults.as_act(faults.seal_rotated)]))
    assert found.wrong == []
    assert sound(found, PLAN)
    assert sum(found.done.values()) == len(ACTS) + 1
    assert {sample.process for sample in found.samples} >= {"steward", "worker 1", "worker 2"}
    assert found.sessions > len(ACTS) / 2


class Unlucky(Person):
    """Whose worker is killed as she asks for a certificate."""

    async def certify(self) -> None:
        raise ConnectionResetError("a worker was killed")


def test_an_act_that_fails_leaves_no_grant(made: Scene) -> None:
    """Or the next session of the same guest would go on by it, and not end with its own."""
    guest = made.guests.pop()
    made.guests.append(Unlucky(guest.stock))
    with pytest.raises(ConnectionResetError):
        asyncio.run(acts.revoked(made, DICE))
    assert len(made.guests) == 1
    services = made.services
    assert services.store.grants_not_over(guest.stock.name, services.clock.now()) == ()


def test_an_act_that_does_not_end_says_where_it_stood(made: Scene) -> None:
    """Its steps with their times, its lines, and what the table has of its session; a lost process
    is no excuse for that."""

    async def endless(scene: Scene, dice: random.Random) -> None:
        async with scene.people[0].jump() as inner, acts.shown(scene, inner, "sleep 60"):
            raise TimeoutError

    soak = Soak(made, PLAN, lambda line: None)

    async def once() -> None:
        soak.found.losses.at.append(asyncio.get_running_loop().time())
        await soak.try_one(endless, DICE)

    asyncio.run(once())
    (sentence,) = soak.found.wrong
    for told in ("connects to the bastion", "connects to the target", " is on", " by G-1 from "):
        assert told in sentence
