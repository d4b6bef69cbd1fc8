"""Changing the keys that sign, as an operator does it, and the list of what is revoked."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.actor import Actor
from bastion.authority import Which
from bastion.authority.wire import read_certificate
from bastion.events import What
from bastion.store.journal import Journal
from tests.cli.desks import OTHER, Installation, Remote


def fingerprints(admin: Installation, name: str) -> list[str]:
    """What `ca show` prints, as ssh-keygen reads it."""
    lines = admin("ca", "show", name).out.splitlines()
    shown = [
        subprocess.run(
            ["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True
        )
        for line in lines
    ]
    return [done.stdout.split()[1] for done in shown]


def events(admin: Installation, *whats: What) -> list[tuple[What, str, object]]:
    """What was told, by whom, and of which key; the oldest first."""
    with admin.services() as services:
        found = [event.happened for event in reversed(Journal(services.store).events())]
    return [(each.what, each.actor, each.details.get("ca")) for each in found if each.what in whats]


@pytest.mark.parametrize("name", ["user", "target", "host"])
def test_a_key_is_changed_by_two_steps(furnished: Installation, name: str) -> None:
    """Two lines between them, one before and one after; both steps are told of."""
    (old,) = fingerprints(furnished, name)
    made = furnished("ca", "rotate", name)
    assert len(made.out.splitlines()) == 1
    both = fingerprints(furnished, name)
    assert both[0] == old
    assert len(set(both)) == 2
    assert "already: end that change with --retire" in furnished("ca", "rotate", name, status=1).err
    done = furnished("ca", "rotate", name, "--retire", *(["--force"] if name == "target" else []))
    assert done.out == made.out
    assert fingerprints(furnished, name) == both[1:]
    assert "There is no next" in furnished("ca", "rotate", name, "--retire", status=1).err
    kinds = (What.CA_ROTATED, What.CA_RETIRED)
    assert events(furnished, *kinds) == [(kind, "os:tester", f"{name}_ca") for kind in kinds]
    furnished("doctor", "--offline")


def test_the_seal_is_changed_at_once(furnished: Installation) -> None:
    """There is nothing to retire; all that ever sealed are shown, the present one first."""
    (old,) = fingerprints(furnished, "seal")
    said = furnished("ca", "rotate", "seal")
    assert said.err.rstrip().endswith(" ".join(said.out.split()[:2]))
    assert fingerprints(furnished, "seal")[1:] == [old]
    assert "changed at once" in furnished("ca", "rotate", "seal", "--retire", status=2).err
    shown = furnished("ca", "show", "seal", "--json").json
    assert shown["next"] is None
    assert [key["fingerprint"] for key in shown["retired"]] == [old]


def test_as_json(furnished: Installation) -> None:
    """The present key under the names it always had, the next and the retired ones beside."""
    (old,) = fingerprints(furnished, "target")
    made = furnished("ca", "rotate", "target", "--json").json
    assert (made["name"], made["fingerprint"], made["retired"]) == ("target", old, [])
    done = furnished("ca", "rotate", "target", "--retire", "--force", "--json").json
    assert done["fingerprint"] == made["next"]["fingerprint"]
    assert done["retired"][0]["fingerprint"] == old
    assert done["behind"] == ["db-1", "web-1"]


# Targets


def test_hosts_that_have_not_moved_are_not_locked_out(furnished: Installation) -> None:
    """They are named; --force does it all the same, and says so."""
    said = furnished("ca", "rotate", "target").err
    assert "To move: db-1, web-1." in said
    refused = furnished("ca", "rotate", "target", "--retire", status=1).err
    assert "db-1, web-1 have not moved to the next target CA and would be locked out" in refused
    move(furnished, "web-1")
    refused = furnished("ca", "rotate", "target", "--retire", status=1).err
    assert "db-1 has not moved" in refused
    move(furnished, "db-1")
    done = furnished("ca", "rotate", "target", "--retire")
    assert "Locked out" not in done.err
    furnished("ca", "rotate", "target")
    forced = furnished("ca", "rotate", "target", "--retire", "--force")
    assert "Locked out until they trust the new key: db-1, web-1." in forced.err


def test_another_machine_under_a_name_has_not_moved(furnished: Installation) -> None:
    """What was seen of one machine says nothing of the next at its address, or with its keys."""
    furnished("ca", "rotate", "target")
    for host in ("web-1", "db-1"):
        move(furnished, host)
    furnished("host", "set", "web-1", "--label", "env=prod")
    assert "web-1" not in furnished("doctor", "--offline").out
    furnished("host", "set", "web-1", "--address", "192.0.2.9")
    furnished("host", "set", "db-1", "--host-key", OTHER)
    refused = furnished("ca", "rotate", "target", "--retire", status=1).err
    assert "db-1, web-1 have not moved" in refused


def move(admin: Installation, host: str) -> None:
    """What `host check` keeps when it has logged in with the next key."""
    with admin.services() as services:
        following = services.authority.generations(Which.TARGET_CA).next
        assert following is not None
        now = services.clock.now()
        services.store.host_moved(host, following.public.fingerprint, Actor("os:root"), now)


def test_both_keys_are_set_up_on_targets(furnished: Installation) -> None:
    """In the file of TrustedUserCAKeys, and in authorized_keys; the lines are those of ca show."""
    said = furnished("ca", "rotate", "target")
    both = furnished("ca", "show", "target").out
    assert said.out == f"{both.splitlines()[1]}\n"
    assert f"\n{both}END\n" in furnished("host", "setup", "web-1").out
    lines = furnished("host", "setup", "web-1", "--authorized-keys", "deploy").out.splitlines()
    beginning = 'cert-authority,principals="deploy@web-1",restrict,pty '
    assert lines == [f"{beginning}{key}" for key in both.splitlines()]
    pasted = f'principals="LOGIN@HOST",restrict,pty {" ".join(said.out.split()[:2])}'
    assert pasted in said.err


# Contractors


def test_contractors_get_both_host_cas(furnished: Installation, tmp_path: Path) -> None:
    """`trust` prints both lines, with the names of the hosts; ssh finds both."""
    said = furnished("ca", "rotate", "host")
    file = tmp_path / "known_hosts"
    file.write_text(furnished("trust", "alice").out)
    assert file.read_text().count("@cert-authority ") == 2
    for name in ("web-1", "[bastion]:2222"):
        found = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", file], capture_output=True, text=True, check=True
        )
        assert found.stdout.count("@cert-authority") == 2
    (line,) = (each.strip() for each in said.err.splitlines() if "@cert-authority" in each)
    assert line in furnished("trust").out.splitlines()
    old = furnished("trust").out.splitlines()[0]
    assert old in furnished("ca", "rotate", "host", "--retire").err
    assert len(furnished("trust").out.splitlines()) == 1


def test_contractors_are_certified_by_the_next_key_at_once(furnished: Installation) -> None:
    """By a server that has been running; what hangs on the old one is said when it goes."""
    with furnished.services() as services:
        alice = Remote(services, "alice")
        old = alice("cert").out
        furnished("ca", "rotate", "user")
        new = alice("cert").out
        signers = [signer(line) for line in (old, new)]
        assert signers[0] != signers[1]
        assert "1 live certificate is by it" in furnished("ca", "rotate", "user", "--retire").err
        assert signer(alice("cert").out) == signers[1]


def signer(line: str) -> bytes:
    """The CA of a certificate in a file."""
    return read_certificate(base64.b64decode(line.split()[1])).signed_by


# What is revoked


def test_the_list_is_written_and_told(furnished: Installation, tmp_path: Path) -> None:
    """A certificate that was revoked, and then a CA that is retired."""
    with furnished.services() as services:
        (tmp_path / "cert.pub").write_text(Remote(services, "alice")("cert").out)
    file = tmp_path / "krl"
    said = furnished("ca", "krl", "--output", str(file)).err
    assert said.endswith("refuses 0 certificates and 0 retired CAs.\n")
    assert not refused(file, tmp_path / "cert.pub")
    furnished("revoke", "1", "--reason", "laptop lost")
    said = furnished("ca", "krl", "--output", str(file)).err
    assert said.endswith("refuses 1 certificate and 0 retired CAs.\n")
    assert refused(file, tmp_path / "cert.pub")
    furnished("ca", "rotate", "user")
    furnished("ca", "rotate", "user", "--retire")
    assert "1 retired CA." in furnished("ca", "krl", "--output", str(file)).err
    assert [each[0] for each in events(furnished, What.KRL_WRITTEN)] == [What.KRL_WRITTEN] * 3


def refused(krl: Path, file: Path) -> bool:
    """What `ssh-keygen -Q` says."""
    done = subprocess.run(["ssh-keygen", "-Q", "-f", krl, file], capture_output=True, check=False)
    return done.returncode == 1


def test_a_list_that_can_not_be_written_leaves_the_old_one(
    furnished: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no ssh-keygen, or no directory: a sentence, exit status 1, nothing changed."""
    file = tmp_path / "krl"
    furnished("ca", "krl", "--output", str(file))
    before = file.read_bytes()
    away = furnished("ca", "krl", "--output", str(tmp_path / "away" / "krl"), status=1).err
    assert "can't be written" in away
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install openssh-client" in furnished("ca", "krl", "--output", str(file), status=1).err
    assert file.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bastion", "krl"]


def test_the_list_through_a_pipe(furnished: Installation, tmp_path: Path) -> None:
    """Its bytes as they are, as a process."""
    command = [sys.executable, "-m", "cli.admin", "--home", str(furnished.home.directory)]
    done = subprocess.run([*command, "ca", "krl"], capture_output=True, check=True)
    (tmp_path / "krl").write_bytes(done.stdout)
    key = tmp_path / "key.pub"
    key.write_text(furnished("ca", "show", "target").out)
    judged = subprocess.run(
        ["ssh-keygen", "-Q", "-f", tmp_path / "krl", key], capture_output=True, check=False
    )
    assert judged.returncode == 0, judged.stderr
