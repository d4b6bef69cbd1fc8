"""The list of what is revoked: judged by OpenSSH, whole at every moment, and kept up to date."""

import asyncio
import os
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from bastion import krl_judge
from bastion.authority import Authority, Which, certify_host, make_keys
from bastion.authority.generations import retire, rotate
from bastion.authority.public_keys import line_of
from bastion.authority.signer import FileSigner
from bastion.clock import Clock
from bastion.errors import Unavailable
from bastion.events import What
from bastion.inventory import PublicKey
from bastion.krl import Krl, decode, encode
from bastion.krl_judge import judge
from bastion.ledger import Draft, Kind, Signed
from bastion.revocation import Revocation, RevocationKeeper
from bastion.store import Store
from bastion.store.journal import Journal
from tests.bastion.test_authority import ALICE
from tests.bastion.worlds import HOUR, NOW, ROOT
from tests.corpus.world import until


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory with all the keys."""
    directory = tmp_path / "keys"
    directory.mkdir(0o700)
    make_keys(directory)
    certify_host(directory, ("bastion",), timedelta(days=1), NOW)
    return directory


@pytest.fixture
def ca(keys: Path) -> Authority:
    """The authority of these keys."""
    return Authority.load(keys)


@pytest.fixture
def revocation(peopled: Store, ca: Authority) -> Revocation:
    """The list of an empty ledger."""
    return Revocation(peopled, ca)


def signed(
    store: Store, ca: Authority, kind: Kind = Kind.USER, lasting: timedelta = HOUR
) -> Signed:
    """A certificate of the ledger."""

    def sign(serial: int) -> Signed:
        if kind is Kind.USER:
            return ca.sign_user(ALICE, "alice", serial, NOW, NOW + lasting)
        return ca.target_credential(
            "deploy", "w", "x", force_command=None, pty=True, now=NOW, serial=serial
        ).signed

    return store.sign_into_ledger(Draft(kind, "alice", frozenset({1}), NOW), sign)


def refused(krl: Path, what: Signed | PublicKey) -> bool:
    """What `ssh-keygen -Q` says."""
    file = krl.with_name("asked.pub")
    file.write_text(f"{what.line if isinstance(what, Signed) else line_of(what)}\n")
    done = subprocess.run(
        ["ssh-keygen", "-Q", "-f", krl, file], capture_output=True, text=True, check=False
    )
    assert done.stdout.rstrip().endswith(("REVOKED", "ok")), done.stderr
    return done.returncode == 1


def test_revoked_certificates_are_listed_while_they_last(
    peopled: Store, ca: Authority, revocation: Revocation, tmp_path: Path
) -> None:
    """Contractors' and targets'; the others are good, and what is over need not be listed."""
    made = [signed(peopled, ca, kind) for kind in (Kind.USER, Kind.TARGET) for _ in range(3)]
    for each in (made[1], made[4]):
        peopled.revoke_certificate(each.serial, ROOT, "lost", NOW)
    written = revocation.write(revocation.listed(NOW), tmp_path / "krl", ROOT, NOW)
    assert [refused(written.file, each) for each in made] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    assert (written.certificates, written.cas) == (2, 0)
    assert stat.S_IMODE(written.file.stat().st_mode) == 0o644
    later = revocation.listed(NOW + timedelta(minutes=30))
    assert list(later.serials) == [ca.public_key(Which.USER_CA).blob]
    assert revocation.listed(NOW + 2 * HOUR).serials == {}


def test_a_retired_ca_is_revoked_whole(
    keys: Path, peopled: Store, ca: Authority, revocation: Revocation, tmp_path: Path
) -> None:
    """With all that it signed; its successor and the seals are not touched."""
    old = signed(peopled, ca)
    for which in (Which.USER_CA, Which.SEAL):
        rotate(keys, which, NOW)
    gone = retire(keys, Which.USER_CA, NOW)
    new = signed(peopled, ca)
    file = revocation.write(revocation.listed(NOW), tmp_path / "krl", ROOT, NOW).file
    assert refused(file, old)
    assert refused(file, gone)
    assert not refused(file, new)
    assert not any(refused(file, key) for key in ca.seal_keys)


def test_a_list_of_nothing_is_a_list(revocation: Revocation, tmp_path: Path, ca: Authority) -> None:
    """An empty file would shut everybody out."""
    file = revocation.write(revocation.listed(NOW), tmp_path / "krl", ROOT, NOW).file
    assert file.stat().st_size > 0
    assert not refused(file, ca.public_key(Which.TARGET_CA))
    assert revocation.judged(revocation.listed(NOW)) == file.read_bytes()


def test_a_list_that_was_written_is_told(
    revocation: Revocation, peopled: Store, tmp_path: Path
) -> None:
    """By whom, where, how many, and its hash."""
    written = revocation.write(revocation.listed(NOW), tmp_path / "krl", ROOT, NOW)
    event = Journal(peopled).events()[0]
    assert (event.happened.what, event.happened.actor) == (What.KRL_WRITTEN, "os:root")
    assert event.happened.details["sha256"] == written.sha256
    assert event.happened.details["certificates"] == 0


# What goes wrong


def test_a_place_that_can_not_be_written_is_said(revocation: Revocation, tmp_path: Path) -> None:
    """And nothing is told that did not happen."""
    with pytest.raises(Unavailable, match="can't be written: No such file or directory"):
        revocation.write(revocation.listed(NOW), tmp_path / "away" / "krl", ROOT, NOW)


def test_a_list_that_openssh_judges_otherwise_stays_aside(
    peopled: Store, ca: Authority, revocation: Revocation, tmp_path: Path
) -> None:
    """One that names a live CA, or misses a revoked one: the old list stays, and nothing else."""
    made = signed(peopled, ca)
    file = revocation.write(revocation.listed(NOW), tmp_path / "krl", ROOT, NOW).file
    before, beside = file.read_bytes(), sorted(tmp_path.iterdir())
    blob = ca.public_key(Which.USER_CA).blob
    for wrong in (Krl(keys=frozenset({blob})), Krl(serials={blob: ((1, 2**64 - 1),)})):
        with pytest.raises(Unavailable, match="judges the new revocation list otherwise"):
            revocation.write(wrong, file, ROOT, NOW)
    assert file.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == beside
    assert not refused(file, made)


def test_a_list_that_lost_something_is_found(tmp_path: Path, ca: Authority) -> None:
    """It is read again from the disk, and a retired CA in it has to be refused."""
    file = tmp_path / "krl"
    file.write_bytes(encode(Krl()))
    live = ca.generations(Which.USER_CA).live
    judge(file, Krl(), live, ())
    with pytest.raises(Unavailable, match="reads otherwise than it was meant"):
        judge(file, Krl(serials={live[0].public.blob: ((5, 5),)}), live, ())
    with pytest.raises(Unavailable, match="judges the new revocation list otherwise"):
        judge(file, Krl(), live, [ca.public_key(Which.TARGET_CA)])


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (None, "There is no ssh-keygen .*: install openssh-client"),
        ("echo 'Invalid KRL file' >&2; exit 255", "ssh-keygen does not take the new revocation"),
        ("exit 0", "judges the new revocation list otherwise"),
    ],
)
def test_a_judge_that_fails_is_no_judgement(
    *,
    tmp_path: Path,
    ca: Authority,
    monkeypatch: pytest.MonkeyPatch,
    program: str | None,
    said: str,
) -> None:
    """It is not there, it fails, or it says nothing."""
    programs = tmp_path / "programs"
    programs.mkdir()
    if program is not None:
        (programs / "ssh-keygen").write_text(f"#!/bin/sh\n{program}\n")
        (programs / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    file = tmp_path / "krl"
    file.write_bytes(encode(Krl()))
    with pytest.raises(Unavailable, match=said):
        judge(file, Krl(), ca.generations(Which.USER_CA).live, ())


def test_certificates_for_judging_are_of_no_use(ca: Authority) -> None:
    """For one second in 1970, for nobody, for a key that is thrown away."""
    signer = ca.generations(Which.TARGET_CA).current
    assert isinstance(signer, FileSigner)
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", "-"],
        input=krl_judge._probe(signer, 5),
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "UTC", "PATH": os.environ["PATH"]},
    ).stdout
    assert "Valid: before 1970-01-01T00:00:01" in shown
    assert "force-command /bin/false" in shown


# Kept up to date


@pytest.fixture
def keeper(revocation: Revocation, tmp_path: Path) -> RevocationKeeper:
    """Somebody who keeps the list, at NOW."""
    clock = Clock(wall=lambda: NOW, boot=lambda: 0.0)
    return RevocationKeeper(revocation, tmp_path / "krl", clock, ROOT)


def test_the_list_is_written_when_something_is_revoked(
    keeper: RevocationKeeper, peopled: Store, ca: Authority, keys: Path, tmp_path: Path
) -> None:
    """And not otherwise: other writes, and a next key, change nothing that is revoked."""
    file = tmp_path / "krl"
    assert keeper.update()
    made = signed(peopled, ca)
    assert not keeper.update()
    peopled.revoke_certificate(made.serial, ROOT, "lost", NOW)
    assert keeper.update()
    assert refused(file, made)
    assert not keeper.update()
    rotate(keys, Which.TARGET_CA, NOW)
    assert not keeper.update()
    retire(keys, Which.TARGET_CA, NOW)
    assert keeper.update()
    assert len(decode(file.read_bytes()).keys) == 1


def truncated(file: Path) -> None:
    """Somebody's disk was full."""
    file.write_bytes(file.read_bytes()[:20])


@pytest.mark.parametrize("harm", [Path.unlink, truncated])
def test_a_list_that_is_harmed_is_written_again(
    keeper: RevocationKeeper, tmp_path: Path, harm: object
) -> None:
    """Missing or damaged, it would shut everybody out."""
    file = tmp_path / "krl"
    keeper.update()
    before = file.read_bytes()
    harm(file)  # type: ignore[operator]
    assert keeper.update()
    assert file.read_bytes() == before


def test_a_list_that_is_right_is_left_alone(
    keeper: RevocationKeeper, revocation: Revocation, tmp_path: Path
) -> None:
    """As after a start: it says what it should, whenever it was written."""
    file = tmp_path / "krl"
    revocation.write(revocation.listed(NOW), file, ROOT, NOW)
    inode = file.stat().st_ino
    assert not keeper.update()
    assert file.stat().st_ino == inode


async def test_it_is_kept_while_the_service_runs(
    revocation: Revocation, peopled: Store, ca: Authority, tmp_path: Path
) -> None:
    """What goes wrong is said once and tried again; then a revocation is in the list."""
    place = tmp_path / "place"
    clock = Clock(wall=lambda: NOW, boot=lambda: 0.0)
    keeper = RevocationKeeper(revocation, place / "krl", clock, ROOT)
    made = signed(peopled, ca)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        keeping = group.create_task(keeper.keep())
        await until(lambda: keeper.said)
        assert "can't be written" in keeper.said
        place.mkdir()
        await until((place / "krl").exists)
        await asyncio.to_thread(peopled.revoke_certificate, made.serial, ROOT, "lost", NOW)
        await until(lambda: decode((place / "krl").read_bytes()).serials)
        keeping.cancel()
    assert refused(place / "krl", made)
