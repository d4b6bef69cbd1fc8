"""A bastion for each test, and one target behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.corpus.world import World, make_template, served, target_for


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that is copied for each test: making one takes longer than serving it."""
    return make_template(tmp_path_factory.mktemp("template") / "home")


@pytest.fixture
async def bare(template: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A bastion that serves, and knows no host yet."""
    async with served(template, tmp_path / "home") as world:
        yield world


@pytest.fixture
async def world(bare: World) -> AsyncIterator[World]:
    """A bastion that serves, with `prod-host` behind it."""
    async with target_for(bare):
        yield bare
