"""The bastion's own keys on the disk: closed to others from the first moment, and told apart."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import asyncssh
import pyrage  # type: ignore[import-untyped]
import pytest

from bastion.authority import Authority, Which, certify_host, key_problems, make_keys
from bastion.authority.keyfiles import AUDITOR, HOST_CERTIFICATE, write_private
from bastion.errors import Misconfigured, Unavailable
from tests.bastion.worlds import NOW


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory with all the keys."""
    directory = tmp_path / "keys"
    directory.mkdir(0o700)
    make_keys(directory)
    certify_host(directory, ("bastion",), timedelta(days=1), NOW)
    return directory


def mode(path: Path) -> int:
    """Its permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_private_halves_are_the_owners_alone(tmp_path: Path, umask: int) -> None:
    """Under any umask; public halves may be read."""
    before = os.umask(umask)
    try:
        make_keys(tmp_path)
    finally:
        os.umask(before)
    assert {name: mode(tmp_path / name) for name in (*Which, AUDITOR)} == dict.fromkeys(
        (*Which, AUDITOR), 0o600
    )
    assert {mode(tmp_path / f"{which}.pub") for which in Which} == {0o644}


def test_the_keys_are_five_different_ones(keys: Path) -> None:
    """Each OpenSSH can read, and none is another."""
    lines = {Authority.load(keys).public_line(which).split()[1] for which in Which}
    assert len(lines) == len(Which)
    for which in Which:
        shown = subprocess.run(
            ["ssh-keygen", "-y", "-f", keys / which], capture_output=True, text=True, check=True
        )
        assert shown.stdout.split()[1] in lines
    assert key_problems(keys) == []


def test_the_auditors_identity_opens_what_is_encrypted_to_its_recipient(tmp_path: Path) -> None:
    """By age's own rules."""
    recipient = pyrage.x25519.Recipient.from_str(make_keys(tmp_path))
    identity_line = (tmp_path / AUDITOR).read_text().splitlines()[-1]
    identity = pyrage.x25519.Identity.from_str(identity_line)
    assert pyrage.decrypt(pyrage.encrypt(b"secret", [recipient]), [identity]) == b"secret"


def test_nothing_is_ever_written_over(keys: Path) -> None:
    """Neither a key nor what a link points at."""
    before = (keys / "user_ca").read_bytes()
    with pytest.raises(Unavailable, match="File exists"):
        make_keys(keys)
    assert (keys / "user_ca").read_bytes() == before
    (keys / "link").symlink_to(keys / "elsewhere")
    with pytest.raises(Unavailable):
        write_private(keys / "link", b"x")
    assert not (keys / "elsewhere").exists()


def swap(keys: Path) -> None:
    """user_ca takes the place of target_ca, and the other way round."""
    (keys / "user_ca").rename(keys / "x")
    (keys / "target_ca").rename(keys / "user_ca")
    (keys / "x").rename(keys / "target_ca")


def directory_for_key(keys: Path) -> None:
    """A directory stands where a key should."""
    (keys / "seal").unlink()
    (keys / "seal").mkdir()


def copy_pair(keys: Path) -> None:
    """seal is user_ca, with its .pub."""
    for end in ("", ".pub"):
        shutil.copy(keys / f"user_ca{end}", keys / f"seal{end}")


def lock_with_passphrase(keys: Path) -> None:
    """Somebody meant well."""
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-f", keys / "seal", "-N", "secret", "-P", ""],
        check=True,
        capture_output=True,
    )


def another_host_key(keys: Path) -> None:
    """The host's key was made anew, its certificate was not."""
    (keys / "host").unlink()
    (keys / "host.pub").unlink()
    key = asyncssh.generate_private_key("ssh-ed25519")
    write_private(keys / "host", key.export_private_key("openssh"))
    write_private(keys / "host.pub", key.export_public_key("openssh"))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "open directory": (
        lambda k: k.chmod(0o755),
        r"keys is open to others \(mode 0755\): chmod 0700",
    ),
    "open key": (lambda k: (k / "seal").chmod(0o640), r"seal is open to others .*: chmod 0600"),
    "missing key": (lambda k: (k / "host_ca").unlink(), "host_ca is missing: restore it"),
    "missing public": (lambda k: (k / "seal.pub").unlink(), "ssh-keygen -y -f .*seal"),
    "no directory": (shutil.rmtree, "keys is missing"),
    "directory for key": (directory_for_key, "seal is not a file"),
    "garbage": (lambda k: (k / "user_ca").write_text("x"), "user_ca .* can't be read as a key"),
    "swapped": (swap, "user_ca and .*user_ca.pub are not one pair: were files swapped"),
    "one for two": (copy_pair, "user_ca and .*seal are the same key"),
    "passphrase": (lock_with_passphrase, "locked with a passphrase: ssh-keygen -p"),
    "no certificate": (lambda k: (k / HOST_CERTIFICATE).unlink(), "host-cert.pub is missing"),
    "other host key": (another_host_key, "host-cert.pub is for another key"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_can_be_wrong_with_keys(keys: Path, fault: str) -> None:
    """Each is found, by name and with its mend, and nothing is loaded then."""
    harm, said = FAULTS[fault]
    harm(keys)
    with pytest.raises(Misconfigured, match=said):
        Authority.load(keys)
    problems = key_problems(keys)
    assert problems
    assert all(problem.isprintable() for problem in problems)


def test_all_faults_are_told_together(keys: Path) -> None:
    """Whoever mends need not come back for each."""
    (keys / "seal").chmod(0o644)
    (keys / "user_ca").unlink()
    keys.chmod(0o750)
    assert len(key_problems(keys)) == 3
