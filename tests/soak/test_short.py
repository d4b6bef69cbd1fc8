"""The soak, in short: each act once, all at once; then nothing is left, and all of it is sound."""

import asyncio

import pytest

from tests.soak import acts, faults
from tests.soak.scene import scene
from tests.soak.soak import Plan, Soak, sound

pytestmark = pytest.mark.timeout(120)

PLAN = Plan(seconds=60, rounds=1, seed=7, kills=False, drivers=8, calm=0.3)
ACTS = [share.act for share in acts.SHARES if share.act is not acts.expired]  # that has to wait


def test_a_short_soak_is_sound() -> None:
    """No session is live without a client, no connection is left, as many sessions as were opened,
    every seal and chain holds; and the keys were changed beside it."""
    with scene(workers=2, people=2, guests=1) as made:
        soak = Soak(made, PLAN, lambda line: None)
        found = asyncio.run(soak.once([*ACTS, faults.as_act(faults.seal_rotated)]))
    assert found.wrong == []
    assert sound(found, PLAN)
    assert sum(found.done.values()) == len(ACTS) + 1
    assert {sample.process for sample in found.samples} >= {"steward", "worker 1", "worker 2"}
    assert found.sessions > len(ACTS) / 2
