"""Users, keys and hosts on the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.desks import HOST_KEY, KEY, OTHER, Installation


def test_a_user_is_added_shown_changed_and_shut(admin: Installation, tmp_path: Path) -> None:
    """The whole life of an account."""
    file = tmp_path / "alice.pub"
    file.write_text(f"{KEY}\n")
    admin("user", "add", "Alice", "--key", str(file), "--email", "a@example.org", "--group", "ext")
    (alice,) = admin("user", "list", "--json").json
    assert (alice["name"], alice["state"], alice["roles"]) == ("alice", "active", ["contractor"])
    assert alice["enrolled_by"] == "os:tester"
    changed = admin("user", "set", "alice", "--role", "approver", "--email", "", "--json").json
    assert (changed["roles"], changed["email"], changed["groups"]) == (["approver"], None, ["ext"])
    admin("user", "disable", "alice")
    assert admin("user", "show", "alice", "--json").json["state"] == "disabled"
    assert "already" in admin("user", "disable", "alice", status=1).err
    admin("user", "enable", "alice")
    assert "state" in admin("user", "show", "alice").out


def test_keys_come_and_go(furnished: Installation) -> None:
    """A key belongs to one user, and is taken away by its fingerprint."""
    assert "belongs to olga" in furnished("user", "key", "add", "alice", OTHER, status=1).err
    furnished("user", "key", "add", "alice", HOST_KEY)
    keys = furnished("user", "show", "alice", "--json").json["keys"]
    furnished("user", "key", "remove", "alice", keys[1]["fingerprint"])
    assert furnished("user", "show", "alice", "--json").json["keys"] == keys[:1]
    assert "is not a fingerprint" in furnished("user", "key", "remove", "alice", "x", status=2).err


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("no-such-file.pub", "There is no file no-such-file.pub."),
        ("/", "is a directory"),
        ("ssh-ed25519 AAA", "damaged or cut short"),
        ("ssh-dss AAAAB3NzaC1kc3M= x", "too weak"),
    ],
)
def test_a_key_that_is_none_is_one_sentence(admin: Installation, given: str, sentence: str) -> None:
    """Files, directories and lines; nothing is added."""
    said = admin("user", "add", "alice", "--key", given, status=2)
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert admin("user", "list", "--json").json == []


def test_an_alias_is_the_host_and_widening_is_said(furnished: Installation) -> None:
    """What a grant's label would let in needs --widen."""
    to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "x")
    furnished("grant", "alice", "--host", "label:env=prod", *to)
    add = ("host", "add", "db-2", "--address", "192.0.2.3", "--host-key", HOST_KEY)
    refused = furnished(*add, "--label", "env=prod", status=1).err
    assert "G-2" in refused
    assert "--widen" in refused
    said = furnished(*add, "--label", "env=prod", "--widen")
    assert "G-2 lets alice in now" in said.err
    assert furnished("host", "show", "www", "--json").json["name"] == "web-1"
    assert (
        "There is no host wbe-1. Do you mean web-1?"
        in furnished("host", "show", "wbe-1", status=1).err
    )


def test_a_host_changes_by_what_is_named(furnished: Installation) -> None:
    """The rest stays; --unset takes away."""
    changed = furnished("host", "set", "web-1", "--address", "192.0.2.9", "--json").json
    assert (changed["address"], changed["port"], changed["aliases"]) == ("192.0.2.9", 22, ["www"])
    assert furnished("host", "set", "web-1", "--unset", "alias", "--json").json["aliases"] == []
    assert "nothing to change" in furnished("host", "set", "web-1", status=2).err
    assert "--host-key" in furnished("host", "add", "x", "--address", "192.0.2.4", status=2).err


def test_a_host_that_a_grant_names_stays_unless_forced(furnished: Installation) -> None:
    """Removing it would leave a grant for nothing."""
    assert "G-1" in furnished("host", "remove", "web-1", status=1).err
    furnished("host", "remove", "web-1", "--force")
    assert [each["name"] for each in furnished("host", "list", "--json").json] == ["db-1"]


def test_a_target_that_is_away_is_seen(furnished: Installation) -> None:
    """`host check` stops at the first thing that is wrong, and ends with 1."""
    furnished("host", "set", "web-1", "--address", "127.0.0.1:1")
    (step,) = furnished("host", "check", "web-1", "--json", status=1).json
    assert (step["what"], step["ok"]) == ("reach", False)


def test_setup_of_a_target_is_what_sshd_takes(furnished: Installation, tmp_path: Path) -> None:
    """sshd itself reads the lines without a complaint; the CA is the one for targets."""
    text = furnished("host", "setup", "web-1").out
    ca = furnished("ca", "show", "target").out.strip()
    assert f"\n{ca}\n" in text
    sshd = Path("/usr/sbin/sshd")
    if not sshd.exists() or os.geteuid() != 0:
        pytest.skip("sshd looks at its files as root only")
    config = text.split("00-bastion.conf <<'END'\n")[1].split("END\n")[0]
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    trusted = tmp_path / "ca.pub"
    trusted.write_text(ca)
    config = config.replace("/etc/ssh/bastion_target_ca.pub", str(trusted))
    (tmp_path / "conf").write_text(f"HostKey {key}\n{config}")
    Path("/run/sshd").mkdir(exist_ok=True)
    judged = subprocess.run(
        [sshd, "-T", "-f", tmp_path / "conf"], capture_output=True, text=True, check=False
    )
    assert judged.returncode == 0, judged.stderr
    settings = dict(line.split(" ", 1) for line in judged.stdout.splitlines() if " " in line)
    assert settings["authorizedkeysfile"] == "none"
    assert settings["passwordauthentication"] == "no"
    assert settings["kbdinteractiveauthentication"] == "no"
    assert settings["permituserrc"] == "no"


def test_the_line_for_authorized_keys_is_one_line(furnished: Installation) -> None:
    """stdout can be appended as it is; the rest is said beside."""
    said = furnished("host", "setup", "web-1", "--authorized-keys", "deploy")
    ca = furnished("ca", "show", "target").out
    assert said.out == f'cert-authority,principals="deploy@web-1",restrict,pty {ca}'
    assert "another way in" in said.err


def test_a_key_is_read_from_standard_input(admin: Installation) -> None:
    """`--key -`, as a process."""
    command = [sys.executable, "-m", "cli.admin", "--home", str(admin.home.directory)]
    done = subprocess.run(
        [*command, "user", "add", "carol", "--key", "-"],
        input=f"{KEY}\n",
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert admin("user", "show", "carol", "--json").json["keys"][0]["comment"] == "alice"
