"""The real thing for end-to-end tests: sshd, contractors, and the bastion between them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import Client, Newcomer
from tests.e2e.sshd import Sshd


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """One target for all tests; whoever uses it tells it which CA to trust."""
    target = Sshd()
    yield target
    target.stop()


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A contractor who has a key, and nothing else yet."""
    return Client(tmp_path / "contractor")


@pytest.fixture
def newcomer() -> Iterator[Newcomer]:
    """A contractor with an OS account of his own."""
    if os.geteuid() != 0:
        pytest.skip("adding an account needs root")
    person = Newcomer(f"newcomer-{os.getpid()}")
    yield person
    person.remove()
