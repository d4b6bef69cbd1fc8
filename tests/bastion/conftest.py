"""A store in a database of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.store import Store
from tests.bastion.worlds import NOW, ROOT, host, user
from tests.postgres import new_url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated store."""
    opened = Store.open(new_url(tmp_path), migrate=True)
    yield opened
    opened.close()


@pytest.fixture
def on_file(tmp_path: Path) -> Iterator[Store]:
    """The same on SQLite, whatever the others are on."""
    opened = Store.open(f"sqlite:///{tmp_path}/bastion.db", migrate=True)
    yield opened
    opened.close()


@pytest.fixture
def peopled(store: Store) -> Store:
    """A store with alice, bob and prod-host."""
    store.add_user(user("alice"), ROOT, NOW)
    store.add_user(user("bob"), ROOT, NOW)
    store.add_host(host("prod-host", aliases={"prod"}, labels={("env", "prod")}), ROOT, NOW)
    return store
