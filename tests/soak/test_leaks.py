"""The soak finds what leaks: a bastion that keeps something of each session is not sound."""

import asyncio
from pathlib import Path

import pytest

from tests.soak import growth
from tests.soak.scene import scene
from tests.soak.soak import Plan, Soak, sound

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

PLAN = Plan(seconds=100, rounds=10, seed=7, kills=False, calm=0.5)


def test_a_bastion_that_leaks_is_not_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor of each session in the workers, and some memory of each in the steward; of what
    does not leak nothing is said."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "leaks"))
    with scene(workers=2, people=2, guests=1) as made:
        found = asyncio.run(Soak(made, PLAN, lambda line: None).run())
    lines = growth.compared(found.samples, PLAN.seconds)
    grown = {(line.process, line.what) for line in lines if line.grown}
    assert {(f"worker {n}", growth.DESCRIPTORS) for n in (1, 2)} < grown
    assert ("steward", growth.USS) in grown
    assert not any(line.what == growth.TASKS for line in lines if line.grown)
    assert not sound(found, PLAN)
