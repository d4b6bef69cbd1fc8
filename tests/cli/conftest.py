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


@pytest.fixture
def ruled(furnished: Installation) -> Installation:
    """Furnished, with rules, and with people in every role; alice is one of the contractors."""
    furnished.home.policy.write_text(RULES)
    furnished("user", "set", "alice", "--group", "contractors")
    for name, roles in PEOPLE.items():
        furnished("user", "add", name, "--key", new_key(), *roles)
    return furnished


@pytest.fixture
def bastion(ruled: Installation) -> Iterator[Services]:
    """The ruled installation's services, as the server has them."""
    with ruled.services() as found:
        yield found
