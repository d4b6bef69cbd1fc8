"""An installation of its own for every test of the command line, empty or furnished."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.app import Services
from tests.cli.desks import HOST_KEY, KEY, OTHER, Installation


@pytest.fixture
def admin(tmp_path: Path) -> Installation:
    """An empty installation."""
    return Installation(tmp_path / "bastion")


@pytest.fixture
def furnished(admin: Installation) -> Installation:
    """With alice, olga who does everything else, two hosts, and a grant of alice's."""
    admin("user", "add", "alice", "--key", KEY)
    roles = ("--role", "auditor", "--role", "approver", "--role", "admin")
    admin("user", "add", "olga", "--key", OTHER, *roles)
    add = ("--host-key", HOST_KEY, "--shell-type", "bash")
    admin("host", "add", "web-1", "--address", "192.0.2.1:2200", *add, "--alias", "www")
    admin("host", "add", "db-1", "--address", "192.0.2.2", *add, "--label", "env=prod")
    to = ("--login", "deploy", "--shell", "--for", "2h", "--reason", "disk full")
    admin("grant", "alice", "--host", "web-1", *to)
    return admin


@pytest.fixture
def services(furnished: Installation) -> Iterator[Services]:
    """The furnished installation's services, as the server has them."""
    with furnished.services() as found:
        yield found
