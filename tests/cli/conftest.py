"""An installation of its own for every test of the command line, empty or furnished."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bastion.app import Services
from tests.cli.desks import HOST_KEY, KEY, OTHER, Installation, new_key


@pytest.fixture
def admin(tmp_path: Path) -> Installation:
    """An empty installation."""
    return Installation(tmp_path / "bastion")


@pytest.fixture(scope="session")
def furnishings(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """What is copied for every test that wants it: making one takes most of a second."""
    made = Installation(tmp_path_factory.mktemp("furnished") / "bastion")
    made("user", "add", "alice", "--key", KEY)
    roles = ("--role", "auditor", "--role", "approver", "--role", "admin")
    made("user", "add", "olga", "--key", OTHER, *roles)
    add = ("--host-key", HOST_KEY, "--shell-type", "bash")
    made("host", "add", "web-1", "--address", "192.0.2.1:2200", *add, "--alias", "www")
    made("host", "add", "db-1", "--address", "192.0.2.2", *add, "--label", "env=prod")
    to = ("--login", "deploy", "--shell", "--for", "2h", "--reason", "disk full")
    made("grant", "alice", "--host", "web-1", *to)
    return made


@pytest.fixture
def furnished(furnishings: Installation, tmp_path: Path) -> Installation:
    """With alice, olga who does everything else, two hosts, and a grant of alice's."""
    return furnishings.copied(tmp_path / "bastion")


@pytest.fixture
def services(furnished: Installation) -> Iterator[Services]:
    """The furnished installation's services, as the server has them."""
    with furnished.services() as found:
        yield found


RULES = """
[[rule]]
name = "web by the leads"
who = ["@contractors"]
hosts = ["web-*"]
logins = ["deploy"]
allow = ["shell", "command"]
longest = "8h"
approvals = [{ from = ["@leads"] }]

[[rule]]
name = "databases by both"
who = ["@contractors"]
hosts = ["db-*"]
logins = ["deploy"]
allow = ["shell"]
longest = "4h"
ticket = "OPS-[0-9]+"
approvals = [{ from = ["@leads"] }, { from = ["@security"] }]

[[rule]]
name = "on call"
who = ["zoe"]
hosts = ["*"]
logins = ["*"]
allow = ["shell"]
longest = "2h"
automatic = true

[[rule]]
name = "break glass"
who = ["alice"]
hosts = ["db-*"]
logins = ["root"]
allow = ["shell"]
longest = "1h"
emergency = true

[[rule]]
name = "operators"
who = ["*"]
hosts = ["*"]
logins = ["*"]
allow = ["shell", "command"]
longest = "30d"
operators = true
"""

PEOPLE = {
    "zoe": ("--role", "contractor"),
    "bob": ("--role", "approver", "--group", "leads"),
    "carol": ("--role", "approver", "--group", "leads"),
    "dave": ("--role", "approver", "--group", "security"),
    "rita": ("--role", "auditor"),
    "adam": ("--role", "admin"),
}


@pytest.fixture(scope="session")
def rulings(furnishings: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """What is copied for every test about rules."""
    made = furnishings.copied(tmp_path_factory.mktemp("ruled") / "bastion")
    made.home.policy.write_text(RULES)
    made("user", "set", "alice", "--group", "contractors")
    for name, roles in PEOPLE.items():
        made("user", "add", name, "--key", new_key(), *roles)
    return made


@pytest.fixture
def ruled(rulings: Installation, tmp_path: Path) -> Installation:
    """Furnished, with rules, and with people in every role; alice is one of the contractors."""
    return rulings.copied(tmp_path / "bastion")


@pytest.fixture
def bastion(ruled: Installation) -> Iterator[Services]:
    """The ruled installation's services, as the server has them."""
    with ruled.services() as found:
        yield found
