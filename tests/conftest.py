"""What holds for every test: a home of its own, and nothing that fails unheard."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests import postgres

# No deadline: a machine under load is not a bug. CI tries the same examples each time, so that a
# change is judged by what it changed; at home the search goes on, and a long one goes far.
settings.register_profile("home", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("long", deadline=None, print_blob=True, max_examples=20_000)
settings.load_profile("ci" if os.environ.get("CI") else "home")


REAL = "tests/e2e/"
"""Tests with sshd, ssh and terminals: one after another, however many run at once."""


class Rows(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """The long row of real tests first, by one process; others do the rest meanwhile.

    They watch real programs with a person's patience. Two of them on two cores, each with a handful
    of processes, come too late for one another now and then; beside the others they do not.
    (`--dist loadgroup` would say the same, and does nothing with this pytest.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return REAL if nodeid.startswith(REAL) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Rows:
    """Asked by xdist where several processes share the tests."""
    return Rows(config, log)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME that is empty, and no agent, askpass or setting of the person who runs the tests.

    OpenSSH takes the home directory from the password database, not from HOME: a test that
    starts ssh gives it `-F` and files of its own.
    """
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in os.environ:
        if name.startswith(("BASTION_", "SSH_", "SUDO_", "XDG_")):
            monkeypatch.delenv(name)
    return home


class _Unheard(logging.Handler):
    """Keeps what asyncio could only log, because nobody waited for it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(autouse=True)
def nothing_unheard() -> Iterator[None]:
    """Fails a test in which a task or a callback raised and nobody took the exception."""
    unheard = _Unheard()
    logger = logging.getLogger("asyncio")
    logger.addHandler(unheard)
    yield
    logger.removeHandler(unheard)
    assert not unheard.lines, "\n".join(unheard.lines)


@pytest.fixture(autouse=True)
def no_database_is_left() -> Iterator[None]:
    """A test's own databases go with it; those of several tests were made before."""
    with postgres.dropping():
        yield


@pytest.fixture(autouse=True, scope="session")
def no_server_is_left() -> Iterator[None]:
    """What was started for many tests ends with the last of them."""
    yield
    postgres.finish()
