"""The signer's verbs: moving keys to it, what it has signed, changing keys there."""

import json
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bastion.config import Settings
from bastion.home import Home
from bastion.signing.book import NOTHING
from bastion.signing.limits import Limits
from bastion.signing.vault import Place
from cli.door import _runs
from recorder.age import generate
from tests.bastion.signers import Running
from tests.cli.desks import KEY, Installation, free_port
from tests.cli.test_process import readable_by_all

NOBODY = 65534


def now() -> datetime:
    """The wall clock's."""
    return datetime.now(UTC)


@pytest.fixture
def admin(tmp_path: Path) -> Installation:
    """An empty installation."""
    return Installation(tmp_path / "bastion", free_port())


@pytest.fixture
def place() -> Iterator[Path]:
    """Where a signer is to be: a socket's name is short."""
    with tempfile.TemporaryDirectory(prefix="sg-") as name:
        yield Path(name)


def adopt(admin: Installation, place: Path, status: int = 0) -> str:
    """What `signer adopt` says."""
    where = ("--to", str(place / "signer"), "--socket", str(place / "socket"))
    return admin("signer", "adopt", *where, status=status).err


@pytest.fixture
def signer(admin: Installation, place: Path) -> Iterator[Running]:
    """One that has the installation's keys, and signs."""
    adopt(admin, place)
    with Running(place / "signer", now) as running:
        yield running


def private(directory: Path) -> set[str]:
    """The private keys there."""
    return {f.name for f in directory.iterdir() if b"PRIVATE KEY" in f.read_bytes()}


def test_keys_move_with_all_that_belongs_to_them(admin: Installation, place: Path) -> None:
    """Retired ones, a next one; what is private is for its owner alone; the home keeps its host."""
    admin("ca", "rotate", "seal")
    admin("ca", "rotate", "user")
    before = {which: admin("ca", "show", which).out for which in ("user", "target", "seal")}
    said = adopt(admin, place)
    assert "It signs for any login" in said
    assert "so it keeps nothing" in said
    at, home = Place(place / "signer"), admin.home
    assert private(home.keys) == {"host"}
    assert private(at.keys) == {"user_ca", "user_ca.next", "target_ca", "host_ca", "seal"}
    for file in (at.directory, at.keys, at.book, at.limits, at.keys / "user_ca.next"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    assert {which: admin("ca", "show", which).out for which in before} == before
    assert Settings.read(home).signer_socket == place / "socket"
    assert '"what":"ca.moved"' in admin("audit", "--json").out
    limits = Limits.read(at.limits)
    assert limits.accounts == (os.geteuid(),)
    assert limits.host.names == ("bastion", "127.0.0.1", "machine")


def test_the_first_limits_are_what_rules_and_grants_name(admin: Installation, place: Path) -> None:
    """All logins, and those that have a shell."""
    admin.home.policy.write_text(
        '[[rule]]\nname = "r"\nwho = ["*"]\nhosts = ["*"]\nlogins = ["deploy"]\n'
        'allow = ["command"]\noperators = true\n'
    )
    admin("user", "add", "alice", "--key", KEY)
    admin("host", "add", "web-1", "--address", "127.0.0.1", "--host-key", KEY)
    grant = ("--host", "web-1", "--login", "prod", "--for", "1h", "--reason", "r", "--override")
    admin("grant", "alice", *grant, "--shell")
    adopt(admin, place)
    limits = Limits.read(place / "signer" / "signer.toml").target
    assert (limits.logins, limits.shell) == (("deploy", "prod"), ("prod",))


def test_keys_move_once_and_not_while_somebody_serves(admin: Installation, place: Path) -> None:
    """Nor over something else; whatever it refuses, the home is as it was."""
    with admin.home.lock():
        assert "is served already" in adopt(admin, place, status=1)
    (place / "signer").mkdir()
    (place / "signer" / "mine").touch()
    assert "is not empty" in adopt(admin, place, status=1)
    assert len(private(admin.home.keys)) == 5
    (place / "signer" / "mine").unlink()
    adopt(admin, place)
    assert "names a signer already" in adopt(admin, place, status=1)
    assert "begins with /" in admin("signer", "adopt", "--socket", "s", status=2).err
    nobody = ("signer", "adopt", "--account", "no-such-account")
    assert admin(*nobody, status=2).err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_says_whose_it_is_to_be(place: Path) -> None:
    """Of a home that is somebody else's: without a word, or for that account, the home is as it
    was; root itself has to be named."""
    place.chmod(0o711)
    admin = Installation(place / "home")
    for each in (admin.home.directory, *admin.home.directory.rglob("*")):
        os.chown(each, NOBODY, NOBODY)
    where = ("--to", str(place / "signer"), "--socket", str(place / "socket"))
    if not all(map(readable_by_all, (Path(os.__file__), Path(__file__)))):
        assert "who can't read this program" in admin("signer", "adopt", *where, status=1).err
        return
    assert "--account NAME" in admin("signer", "adopt", *where, status=2).err
    own = pwd.getpwuid(NOBODY).pw_name
    said = admin("signer", "adopt", *where, "--account", own, status=1).err
    assert "is the bastion's own account" in said
    assert len(private(admin.home.keys)) == 5
    assert not (place / "signer").exists()
    admin("signer", "adopt", *where, "--account", "root")
    assert (place / "signer").stat().st_uid == 0
    assert private(admin.home.keys) == {"host"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_an_account_has_to_be_able_to_run_it(tmp_path: Path) -> None:
    """Both to read and to execute: what lies in a home directory it can't."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert _runs([str(program)], 0, 0)
    tmp_path.chmod(0o700)
    assert not _runs([str(program)], NOBODY, NOBODY)
    assert _runs(["/bin/true"], NOBODY, NOBODY)
    assert not _runs(["/bin/false"], NOBODY, NOBODY)


@pytest.mark.parametrize("tail", ["\n[signer]\n", "\n[signer]\ntimeout = '1s'\n", ""])
def test_settings_of_any_age_get_the_socket(admin: Installation, place: Path, tail: str) -> None:
    """Those of before there was a signer, and those that say something of it."""
    settings = admin.home.settings
    text = settings.read_text()
    begin = text.index("# A process of its own that alone")
    settings.write_text(text[:begin] + text[text.index("[log]") :] + tail)
    adopt(admin, place)
    assert Settings.read(admin.home).signer_socket == place / "socket"


def test_the_doctor_says_whether_there_is_one_and_how_it_is(
    admin: Installation, place: Path
) -> None:
    """None is a note, and no failure; one that is away is one."""
    admin.home.auditor.unlink()
    (note,) = admin("doctor", "--json").json
    assert note["level"] == "note"
    assert "signer adopt" in note["mend"]
    assert admin("doctor").err == "Nothing is wrong.\n"
    adopt(admin, place)
    (away,) = admin("doctor", "--json", status=1).json
    assert away["what"] == "The signer does not answer, so nothing new can be opened."
    with Running(place / "signer", now):
        (own,) = admin("doctor", "--json").json
        assert (own["level"], "own account" in own["what"]) == ("warning", True)
    (admin.home.keys / "user_ca").write_text("left behind")
    assert "shred -u" in admin("doctor", status=1).out


def test_the_log_and_the_ledger_are_compared(admin: Installation, signer: Running) -> None:
    """What was signed is listed, the newest first; what nobody kept is found."""
    with admin.services() as services:
        services.authority.host_keys_for("web-1", now())
        services.sealer.seal()
    rows = admin("signer", "log", "--json").json
    assert [row["ca"] for row in rows] == ["seal", "host_ca"]
    assert rows[1]["principals"] == ["web-1"]
    assert "host web-1" in admin("signer", "log", "--limit", "2").out
    assert "each is in the ledger" in admin("signer", "verify").err
    stranger = signer.place.directory.with_name("other.jsonl")
    (file,) = signer.place.book.iterdir()
    lines = file.read_text().splitlines()
    stranger.write_text("\n".join(reversed(lines)) + "\n")
    found = admin("signer", "verify", "--book", str(stranger), "--json", status=1).json
    assert {each["difference"] for each in found["findings"]} == {"changed"}
    missing = admin("signer", "verify", "--book", str(stranger.with_name("none")), status=2)
    assert "can't be read as a book" in missing.err


def test_a_book_says_nothing_to_a_terminal(admin: Installation, signer: Running) -> None:
    """Whoever had something signed chose some of its words; another machine's book is a file."""
    stranger = signer.place.directory.with_name("other.jsonl")
    line = {"n": 1, "at": "2026-11-23T12:00:00Z", "ca": "user_ca", "serial": 9, "sha256": "a" * 64}
    stranger.write_text(json.dumps({**line, "what": "\x1b[2J", "before": NOTHING}) + "\n")
    said = admin("signer", "verify", "--book", str(stranger), status=1)
    assert "\\x1b[2J" in said.out
    assert "\x1b" not in said.out + said.err


def test_a_revocation_list_is_judged_by_what_the_signer_signs(
    admin: Installation, signer: Running
) -> None:
    """Which the ledger need not know."""
    file = admin.home.directory / "krl"
    assert "0 certificates and 0 retired CAs" in admin("ca", "krl", "--output", str(file)).err
    assert {line["what"] for line in signer.lines()} == {"for judging a revocation list"}
    assert "each is in the ledger" in admin("signer", "verify").err


def test_without_a_signer_there_is_nothing_to_compare(admin: Installation, place: Path) -> None:
    """It is said so, and how there would be one."""
    nowhere = ("--directory", str(place / "none"))
    assert "signer adopt makes one" in admin("signer", "serve", *nowhere, status=1).err
    assert "signer adopt makes one" in admin("signer", "rotate", "user", *nowhere, status=1).err
    assert "There is no signer" in admin("signer", "verify", status=1).err


@pytest.mark.parametrize("name", ["user", "target", "host", "seal"])
def test_keys_are_changed_there_and_the_home_follows(
    admin: Installation, signer: Running, name: str
) -> None:
    """Made there, taken over; let go here, then there. In between all is signed."""
    at = ("--directory", str(signer.place.directory))
    old = admin("ca", "show", name).out
    assert "signer rotate" in admin("ca", "rotate", name, status=1).err
    made = admin("signer", "rotate", name, *at).out
    assert admin("ca", "show", name).out == old
    assert admin("ca", "rotate", name).out.splitlines()[0].split()[:2] == made.split()[:2]
    assert made.split()[1] in admin("ca", "show", name).out
    if name == "seal":
        assert old.split()[1] in admin("ca", "show", name).out
    else:
        assert "signer rotate" in admin("ca", "rotate", name, "--retire").err
        assert admin("ca", "show", name).out.split()[1] == made.split()[1]
    assert admin("signer", "rotate", name, *at, "--retire").out.split()[1] == old.split()[1]
    files = private(signer.place.keys)
    assert files == {"user_ca", "target_ca", "host_ca", "seal"}
    assert private(admin.home.keys) == {"host"}
    with admin.services() as services:
        services.authority.host_credential(("web-1",), timedelta(hours=1), now())
        services.sealer.seal()
    kinds = [finding["level"] for finding in admin("doctor", "--offline", "--json").json]
    assert "wrong" not in kinds


def test_a_backup_is_sealed_by_it_and_has_none_of_its_keys(
    admin: Installation, signer: Running, tmp_path: Path
) -> None:
    """What is restored asks it too, for it alone has them."""
    identity, recipient = generate()
    (tmp_path / "key").write_text(identity)
    file, new = str(tmp_path / "copy"), Installation.at(Home(tmp_path / "new"))
    said = admin("backup", "-o", file, "--to", recipient).err
    assert "The CAs' keys are with the signer, and not in it" in said
    new("restore", file, "--identity", str(tmp_path / "key"))
    assert "host" in private(new.home.keys)
    assert not {"user_ca", "target_ca", "host_ca", "seal"} & private(new.home.keys)
    new("audit", "seal")
    new("audit", "verify")
