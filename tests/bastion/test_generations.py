"""One key after another: broken off at any step, the keys are whole and the change can go on."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest

from bastion.authority import Authority, Which, certify_host, key_problems, make_keys
from bastion.authority import generations as rotation
from bastion.authority.generations import loose_ends, made_at, retire, rotate
from bastion.authority.keyfiles import CAS, HOST_CERTIFICATE
from bastion.authority.sshsig import sign, verify
from bastion.authority.wire import read_certificate
from bastion.errors import Conflict, Misconfigured
from tests.bastion.test_authority import ALICE
from tests.bastion.worlds import HOUR, NOW

DAY = timedelta(days=1)
CHANGED = [which for which in CAS if which is not Which.SEAL]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory with all the keys."""
    directory = tmp_path / "keys"
    directory.mkdir(0o700)
    make_keys(directory)
    certify_host(directory, ("bastion", "bastion.example.org"), DAY, NOW)
    return directory


class Broken(Exception):
    """The machine lost its power."""


@contextmanager
def power(lost_at: int) -> Iterator[list[str]]:
    """Counts the renames and removals that happen, and ends everything before the given one."""
    done: list[str] = []
    rename, unlink = Path.rename, Path.unlink

    def step(name: str) -> None:
        if len(done) == lost_at:
            raise Broken(name)
        done.append(name)

    def renamed(self: Path, target: Path) -> Path:
        step(f"{self.name} -> {Path(target).name}")
        return rename(self, target)

    def removed(self: Path, missing_ok: bool = False) -> None:
        if self.exists():
            step(f"rm {self.name}")
        unlink(self, missing_ok=missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", renamed)
        patch.setattr(Path, "unlink", removed)
        yield done


def fingerprints(keys: Path, which: Which) -> tuple[list[str], list[str]]:
    """Those that are live, and those that are retired."""
    held = Authority.load(keys).generations(which)
    live = [signer.public.fingerprint for signer in held.live]
    return live, [key.fingerprint for key in held.retired]


@pytest.mark.parametrize("which", CHANGED)
def test_a_change_of_keys(keys: Path, which: Which) -> None:
    """The next one beside the present one; then in its place, and the old private half is gone."""
    old = (keys / which).read_bytes()
    (first,), _ = fingerprints(keys, which)
    made = rotate(keys, which, NOW)
    assert fingerprints(keys, which) == ([first, made.fingerprint], [])
    assert made.comment == f"bastion {which.value} 2026-11-23"
    assert made_at(keys, which) is not None
    assert loose_ends(keys) == []
    assert retire(keys, which, NOW).fingerprint == first
    assert fingerprints(keys, which) == ([made.fingerprint], [first])
    assert all(old != file.read_bytes() for file in keys.iterdir())
    assert key_problems(keys) + loose_ends(keys) == []
    assert {file.name for file in keys.glob(f"{which}*")} >= {
        which.value,
        f"{which}.pub",
        f"{which}.old-1.pub",
    }
    shown = subprocess.run(
        ["ssh-keygen", "-lf", keys / f"{which}.old-1.pub"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"{first} bastion {which.value} retired 2026-11-23T12:00:00Z" in shown


def test_many_changes_are_kept_in_their_order(keys: Path) -> None:
    """The tenth comes after the ninth."""
    seen = []
    for _ in range(11):
        rotate(keys, Which.USER_CA, NOW)
        seen.append(retire(keys, Which.USER_CA, NOW).fingerprint)
    assert fingerprints(keys, Which.USER_CA)[1] == seen


@pytest.mark.parametrize("which", CHANGED)
def test_one_change_at_a_time(keys: Path, which: Which) -> None:
    """No second next one, nothing to retire without one, and two operators do not meet."""
    with pytest.raises(Conflict, match=r"There is no next .*: ca rotate .* makes one first"):
        retire(keys, which, NOW)
    rotate(keys, which, NOW)
    with pytest.raises(Conflict, match=r"There is a next .* already"):
        rotate(keys, which, NOW)
    with rotation._alone(keys), pytest.raises(Conflict, match="Somebody else is changing keys"):
        retire(keys, which, NOW)


def steps(act: object, directory: Path) -> int:
    """How many renames and removals it takes."""
    with power(-1) as done:
        act(directory)  # type: ignore[operator]
    return len(done)


@pytest.mark.parametrize("which", CAS)
def test_rotate_can_be_broken_off_anywhere(keys: Path, tmp_path: Path, which: Which) -> None:
    """Before each rename: the keys load, nothing is lost, and to rotate again works."""
    (first,), _ = fingerprints(keys, which)
    count = steps(lambda k: rotate(k, which, NOW), shutil.copytree(keys, tmp_path / "count"))
    for number in range(count):
        copy = shutil.copytree(keys, tmp_path / f"copy-{number}")
        with power(number), pytest.raises(Broken):
            rotate(copy, which, NOW)
        live, retired = fingerprints(copy, which)
        assert first in live + retired
        made = rotate(copy, which, NOW).fingerprint
        live, retired = fingerprints(copy, which)
        wanted = ([made], [first]) if which is Which.SEAL else ([first, made], [])
        assert (live[-1:], retired[:1]) == (wanted[0][-1:], wanted[1])
        assert key_problems(copy) + loose_ends(copy) == []


@pytest.mark.parametrize("which", CHANGED)
def test_retire_can_be_broken_off_anywhere(keys: Path, tmp_path: Path, which: Which) -> None:
    """Before each rename: either nothing has happened, or the old one signs no more. Then the
    doctor knows, and to retire again ends it."""
    (first,), _ = fingerprints(keys, which)
    made = rotate(keys, which, NOW).fingerprint
    count = steps(lambda k: retire(k, which, NOW), shutil.copytree(keys, tmp_path / "count"))
    assert count >= 3
    told = 0
    for number in range(count):
        copy = shutil.copytree(keys, tmp_path / f"copy-{number}")
        with power(number), pytest.raises(Broken):
            retire(copy, which, NOW)
        live, retired = fingerprints(copy, which)
        assert (live, retired) in (([first, made], []), ([made], [first]))
        left = loose_ends(copy)
        assert bool(left) or live == [first, made]
        told += any("--retire ends it" in each for each in left)
        Authority.load(copy).host_credential(("x",), HOUR, NOW)
        assert retire(copy, which, NOW).fingerprint == first
        assert fingerprints(copy, which) == ([made], [first])
        assert key_problems(copy) + loose_ends(copy) == []
    assert told >= 2


# What signs


def test_contractors_are_certified_by_the_newest(keys: Path) -> None:
    """At once; both are taken until the old one is retired."""
    ca = Authority.load(keys)
    old = ca.public_key(Which.USER_CA)
    made = rotate(keys, Which.USER_CA, NOW)
    signed = ca.sign_user(ALICE, "alice", 1, NOW, NOW + HOUR)
    assert read_certificate(signed.blob).signed_by == made.blob
    assert ca.user_ca_blobs == {old.blob, made.blob}
    retire(keys, Which.USER_CA, NOW)
    assert ca.user_ca_blobs == {made.blob}


def test_targets_get_what_they_trust(keys: Path) -> None:
    """The next one signs for hosts that have moved, and for no others."""
    ca = Authority.load(keys)
    old = ca.public_key(Which.TARGET_CA)
    made = rotate(keys, Which.TARGET_CA, NOW)

    def signed_for(trusted: str | None) -> bytes:
        credential = ca.target_credential(
            "deploy", "w", "x", force_command=None, pty=True, now=NOW, trusted=trusted
        )
        return read_certificate(credential.signed.blob).signed_by

    assert signed_for(made.fingerprint) == made.blob
    for trusted in (None, old.fingerprint, "SHA256:another"):
        assert signed_for(trusted) == old.blob
    retire(keys, Which.TARGET_CA, NOW)
    for trusted in (None, old.fingerprint, made.fingerprint):
        assert signed_for(trusted) == made.blob


def test_hosts_are_certified_by_the_old_one_until_it_is_retired(keys: Path) -> None:
    """Inside and outside; the bastion's own certificate keeps its names and its length."""
    ca = Authority.load(keys)
    old = ca.public_key(Which.HOST_CA)
    before = read_certificate(ca.host_key_with_certificate[1].public_data)
    inside = ca.host_keys_for("prod-host", NOW)
    outside = ca.host_keys_outside()
    made = rotate(keys, Which.HOST_CA, NOW)
    assert [line.split()[1] for line in ca.public_lines(Which.HOST_CA)] == [
        asyncssh_line(key.blob) for key in (old, made)
    ]
    assert read_certificate(ca.host_credential(("x",), HOUR, NOW)[1].blob).signed_by == old.blob
    retire(keys, Which.HOST_CA, NOW + HOUR)
    after = read_certificate(ca.host_key_with_certificate[1].public_data)
    assert (after.signed_by, after.principals) == (made.blob, before.principals)
    assert after.valid_before - after.valid_after == before.valid_before - before.valid_after
    assert after.valid_after - before.valid_after == 3600
    assert ca.host_keys_for("prod-host", NOW) is not inside
    assert ca.host_keys_outside() is not outside


def asyncssh_line(blob: bytes) -> str:
    """The base64 of a public key."""
    return asyncssh.public_key.decode_ssh_public_key(blob).export_public_key().decode().split()[1]


def test_the_seal_changes_at_once_and_is_known_for_ever(keys: Path) -> None:
    """What was sealed before is still good, by a key that seals no more."""
    ca = Authority.load(keys)
    first = sign(ca.seal, "audit@bastion", b"one")
    old = ca.seal.public
    made = rotate(keys, Which.SEAL, NOW)
    assert ca.seal.public.blob == made.blob
    assert [key.blob for key in ca.seal_keys] == [made.blob, old.blob]
    told = verify(first, "audit@bastion", b"one", ca.seal_keys)
    assert getattr(told, "blob", told) == old.blob
    rotate(keys, Which.SEAL, NOW)
    assert [key.blob for key in ca.seal_keys[1:]] == [made.blob, old.blob]


# A server that runs


def test_a_running_authority_sees_each_step(keys: Path) -> None:
    """Without being loaded anew, whatever follows how quickly."""
    ca = Authority.load(keys)
    assert not ca.refresh()
    for _ in range(20):
        made = rotate(keys, Which.USER_CA, NOW)
        assert ca.generations(Which.USER_CA).newest.public.blob == made.blob
        retire(keys, Which.USER_CA, NOW)
        assert ca.generations(Which.USER_CA).current.public.blob == made.blob
        assert ca.generations(Which.USER_CA).next is None


def test_a_directory_that_is_damaged_leaves_what_was_read(
    keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The service goes on with the keys that it has, and says so once."""
    ca = Authority.load(keys)
    before = ca.public_key(Which.USER_CA)
    (keys / "user_ca").rename(keys / "elsewhere")
    os.utime(keys, ns=(0, 0))
    for _ in range(3):
        assert ca.public_key(Which.USER_CA).blob == before.blob
        ca.sign_user(ALICE, "alice", 1, NOW, NOW + HOUR)
    assert caplog.text.count("the keys are left as they were") == 1
    (keys / "elsewhere").rename(keys / "user_ca")
    assert ca.public_key(Which.USER_CA).blob == before.blob


def test_whoever_signs_while_keys_are_changed_always_can(keys: Path) -> None:
    """Forty changes beside a signer: each certificate is by a key that was live just then."""
    ca, over = Authority.load(keys), threading.Event()

    def work() -> set[bytes]:
        seen = set()
        while not over.is_set():
            signed = ca.sign_user(ALICE, "alice", 1, NOW, NOW + HOUR)
            seen.add(read_certificate(signed.blob).signed_by)
        return seen

    made = {Authority.load(keys).public_key(Which.USER_CA).blob}
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            for _ in range(20):
                made.add(rotate(keys, Which.USER_CA, NOW).blob)
                retire(keys, Which.USER_CA, NOW)
        finally:
            over.set()
    assert working.result() <= made
    assert len(working.result()) > 1


# What the doctor is told


def test_the_private_half_of_a_retired_key_is_found(keys: Path) -> None:
    """A copy that somebody kept, whatever it is called; and keys that others may read."""
    shutil.copy(keys / "user_ca", keys / "backup")
    rotate(keys, Which.USER_CA, NOW)
    assert loose_ends(keys) == []
    retire(keys, Which.USER_CA, NOW)
    (said,) = loose_ends(keys)
    assert "backup is the private half of a retired user_ca: shred -u" in said
    (keys / "backup").chmod(0o644)
    assert any("open to others: chmod 0600" in each for each in loose_ends(keys))


def test_modes_of_all_generations_are_looked_at(keys: Path) -> None:
    """A next key that others may read is no key to sign with."""
    rotate(keys, Which.TARGET_CA, NOW)
    (keys / "target_ca.next").chmod(0o640)
    with pytest.raises(Misconfigured, match=r"target_ca.next is open to others .*chmod 0600"):
        Authority.load(keys)


def test_a_retired_key_that_comes_back_does_not_sign(keys: Path) -> None:
    """Somebody restores an old copy over the present key: better nothing than that."""
    shutil.copy(keys / "user_ca", keys.parent / "copy")
    rotate(keys, Which.USER_CA, NOW)
    retire(keys, Which.USER_CA, NOW)
    shutil.copy(keys.parent / "copy", keys / "user_ca")
    with pytest.raises(Misconfigured, match="user_ca"):
        Authority.load(keys)


def test_a_retired_public_half_that_is_damaged_is_said(keys: Path) -> None:
    """It can't be told what it was, so nothing is loaded."""
    rotate(keys, Which.SEAL, NOW)
    (keys / "seal.old-1.pub").write_text("gone")
    with pytest.raises(Misconfigured, match=r"seal.old-1.pub.*restore it from a copy"):
        Authority.load(keys)
    assert (keys / HOST_CERTIFICATE).exists()
