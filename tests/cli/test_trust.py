"""What contractors paste: judged by the stock client itself."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.desks import Installation


def settings(config: Path, *words: str) -> dict[str, str]:
    """What `ssh -G` makes of the file, the last value of each keyword."""
    command = ["ssh", "-F", str(config), "-G", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


@pytest.fixture
def config(furnished: Installation, tmp_path: Path) -> Path:
    """Alice's ssh_config, as it was printed."""
    file = tmp_path / "config"
    file.write_text(furnished("trust", "alice", "--format", "ssh_config").out)
    return file


def test_the_bastion_is_reached_as_alice_with_her_key(config: Path) -> None:
    """With a certificate that is named, strict host keys, and no connection shared."""
    bastion = settings(config, "bastion")
    assert (bastion["hostname"], bastion["port"], bastion["user"]) == ("127.0.0.1", "2222", "alice")
    assert bastion["identityfile"] == "~/.ssh/id_ed25519"
    assert bastion["certificatefile"] == "~/.ssh/id_ed25519-cert.pub"
    assert bastion["userknownhostsfile"].endswith("/.ssh/bastion_known_hosts")
    assert bastion["stricthostkeychecking"] == "true"
    assert bastion.get("controlpath", "none") == "none"


@pytest.mark.parametrize("name", ["web-1", "www"])
def test_a_granted_host_goes_through_the_bastion(config: Path, name: str) -> None:
    """By its name and its aliases, as the login that was granted."""
    host = settings(config, name)
    assert (host["proxyjump"], host["user"]) == ("bastion", "deploy")
    assert host["stricthostkeychecking"] == "true"
    assert host["userknownhostsfile"].endswith("/.ssh/bastion_known_hosts")


def test_another_host_is_left_alone(config: Path) -> None:
    """What was not granted is none of ours."""
    assert "proxyjump" not in settings(config, "db-1")


@pytest.mark.parametrize(
    ("name", "trusted"),
    [
        ("[127.0.0.1]:2222", True),
        ("[bastion]:2222", True),
        ("web-1", True),
        ("[web-1]:2200", True),
        ("www", True),
        ("db-1", False),
        ("bastion", False),
        ("example.org", False),
    ],
)
def test_the_ca_is_trusted_for_the_names_that_are_typed(
    furnished: Installation, tmp_path: Path, name: str, trusted: bool
) -> None:
    """`ssh-keygen -F` finds the line for them, and for no other."""
    file = tmp_path / "known_hosts"
    file.write_text(furnished("trust", "alice").out)
    command = ["ssh-keygen", "-F", name, "-f", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode == 0) is trusted
    assert file.read_text().count("\n") == 1


def test_somebody_without_a_grant_trusts_the_bastion_alone(furnished: Installation) -> None:
    """So that the control plane can be asked."""
    assert "web-1" not in furnished("trust", "olga").out
    assert "web-1" not in furnished("trust").out
    assert "There is no user zoe." in furnished("trust", "zoe", status=1).err
