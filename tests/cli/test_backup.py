"""`backup`, `restore` and `shut`: a home in one file, and a home of it that lets nobody in."""

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import make_url

from bastion.authority.sshsig import sign
from bastion.errors import Conflict
from bastion.events import What
from bastion.home import Home
from bastion.store import events
from bastion.store.copying import size_of
from bastion.store.events import Wanted
from cli.backup.members import NAMESPACE, SIGNATURE, SUMS, Entry, header, sums_text
from cli.room import demand_room
from recorder import EndReason, Kind
from tests.cli.desks import Installation, Remote
from tests.cli.recordings import recorded, session
from tests.postgres import migrated, on_sqlite, server

SUM = "Nothing was changed, is missing or was added."


@pytest.fixture
def vault(tmp_path: Path) -> tuple[str, Path]:
    """A key pair of age's that the bastion has only one half of."""
    file = tmp_path / "vault.age"
    subprocess.run(["age-keygen", "-o", file], check=True, capture_output=True)
    shown = subprocess.run(["age-keygen", "-y", file], check=True, capture_output=True, text=True)
    return shown.stdout.strip(), file


def restored(file: Path, home: Path, *words: str) -> Installation:
    """What `restore` makes of a backup."""
    made = Installation.at(Home(home))
    made("restore", str(file), *words)
    return made


def told(installation: Installation, what: What) -> list[object]:
    """The details of all such events."""
    with installation.services() as services, services.store.read() as connection:
        found = events.find(connection, Wanted(what=frozenset({what})), limit=100)
        return [event.happened.details for event in found]


@on_sqlite("a server's database is copied by its own tools")
async def test_a_home_comes_back_whole_and_closed(
    furnished: Installation, tmp_path: Path, vault: tuple[str, Path]
) -> None:
    """Encrypted to a key that is elsewhere. What the new one has, verifies; who had access by the
    copy has none, and no number is given out again. Both are told."""
    recipient, identity = vault
    furnished("grant", "alice", *GRANT)
    with furnished.services() as services:
        services.store.enter_runner(services.clock.now())
        await recorded(services.archive, Kind.EXEC, "uname")
        growing = services.archive.record(session(Kind.SHELL, None))
        async with growing as recording:
            recording.shown(b"half")
            file = tmp_path / "copy"
            furnished("backup", "-o", str(file), "--to", recipient, "--recordings")
            recording.end(EndReason.CLOSED)
    furnished("revoke", "G-1", "--reason", "laptop lost")
    assert furnished.home.keys.joinpath("user_ca").read_bytes() not in file.read_bytes()
    seal = tmp_path / "seal.pub"
    seal.write_text(furnished("ca", "show", "seal").out)
    made = restored(file, tmp_path / "new", "--identity", str(identity), "--seal", str(seal))
    for name in ("bastion.toml", "policy.toml", "keys/user_ca", "keys/seal.pub"):
        old, new = (each.home.directory / name for each in (furnished, made))
        assert old.read_bytes() == new.read_bytes()
        assert new.stat().st_mode & 0o777 == 0o600
    assert not made.home.auditor.exists()
    with made.services() as services:
        assert services.store.runners() == []
    assert SUM in made("verify", "S-1").out
    made("audit", "verify")
    assert made("grants", "--live", "--json").json == []
    assert {each["state"] for each in made("user", "list", "--json").json} == {"disabled"}
    [details] = told(made, What.HOME_RESTORED)
    assert isinstance(details, dict)
    assert details["keep_access"] is False
    assert [each["to"] for each in told(made, What.BACKUP_BEGUN)] == [[recipient]]  # type: ignore[index]
    made("user", "enable", "alice")
    assert "G-1000003" in (said := made("grant", "alice", *GRANT)).out + said.err


WHY = ("--for", "1h", "--shell", "--reason", "a", "test")
GRANT = ("--host", "web-1", "--login", "deploy", "--shell", "--for", "1h", "--reason", "a test")


def test_what_was_access_stays_where_that_is_said(furnished: Installation, tmp_path: Path) -> None:
    """Nothing was revoked since, somebody says."""
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--without-keys")
    made = restored(file, tmp_path / "new", "--keep-access")
    assert "is missing" in made("grants", "--live", status=1).err
    for key in furnished.home.keys.iterdir():
        (made.home.keys / key.name).write_bytes(key.read_bytes())
        (made.home.keys / key.name).chmod(0o600)
    assert [each["id"] for each in made("grants", "--live", "--json").json] == ["G-1"]


def test_keys_do_not_lie_plain(
    furnished: Installation, tmp_path: Path, vault: tuple[str, Path]
) -> None:
    """Nor does the database's password."""
    file = str(tmp_path / "copy")
    assert "Keys don't lie plain" in furnished("backup", "-o", file, status=2).err
    url = make_url(server().new_url(migrated())).set(password="hunter2")
    line = f'url = "{url.render_as_string(hide_password=False)}"'
    settings = furnished.home.settings
    before = re.compile(r'^(# )?url = "(sqlite|postgresql)://.*$', re.M)
    settings.write_text(before.sub(line, settings.read_text()))
    said = furnished("backup", "-o", file, "--without-keys", status=2).err
    assert "bastion.toml has the password of the database in it" in said
    assert not Path(file).exists()
    furnished("backup", "-o", file, "--without-keys", "--to", vault[0])
    assert b"hunter2" not in Path(file).read_bytes()


def test_without_the_key_it_is_a_sentence(
    furnished: Installation, tmp_path: Path, vault: tuple[str, Path]
) -> None:
    """And nothing is made."""
    recipient, _ = vault
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--to", recipient)
    made = Installation.at(Home(tmp_path / "new"))
    assert "it is encrypted: give --identity FILE" in made("restore", str(file), status=1).err
    other = tmp_path / "other.age"
    subprocess.run(["age-keygen", "-o", other], check=True, capture_output=True)
    said = made("restore", str(file), "--identity", str(other), status=1).err
    assert "this identity does not open it" in said
    assert not made.home.directory.exists()


Members = dict[str, bytes]


def members(file: Path) -> Members:
    """What is in a plain backup, as `zstd` and `tar` read it."""
    plain = subprocess.run(["zstd", "-dc", file], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        found = {each.name.partition("/")[2]: tar.extractfile(each) for each in tar}
        return {name: each.read() for name, each in found.items() if each is not None}


def forged(file: Path, found: Members, *, raw: bytes = b"") -> None:
    """A backup of these members, whatever they are."""
    at = datetime(2026, 11, 29, tzinfo=UTC)
    tar = bytearray()
    for name, content in found.items():
        entry = Entry(name, len(content))
        tar += header("bastion-20261129T000000Z", entry, at) + content + bytes(entry.padding)
    file.write_bytes(zstandard.compress(bytes(tar + raw) + bytes(1024)))


def changed(found: Members) -> None:
    found["policy.toml"] += b"# nothing"


def missing(found: Members) -> None:
    del found["policy.toml"]


def added(found: Members) -> None:
    found["keys/user_ca"] = b"mine"


def swapped(found: Members) -> None:
    found["policy.toml"], found["bastion.toml"] = found["bastion.toml"], found["policy.toml"]


def relisted(found: Members) -> None:
    """The list fits what was changed; its signature does not."""
    sums = dict(line.split("  ")[::-1] for line in found[SUMS].decode().splitlines())
    changed(found)
    sums["policy.toml"] = "0" * 64
    found[SUMS] = sums_text(sums)


def unsigned(found: Members) -> None:
    del found[SIGNATURE]


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (changed, "policy.toml in it was changed"),
        (missing, "it has no policy.toml"),
        (added, "keys/user_ca was added to it"),
        (swapped, "in it was changed"),
        (relisted, "the signature over its hashes does not fit the text"),
        (unsigned, "it has no SHA256SUMS.sig"),
    ],
)
def test_what_was_done_to_it_is_found(
    furnished: Installation, tmp_path: Path, forge: Callable[[Members], None], why: str
) -> None:
    """Before anything is written."""
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--without-keys")
    found = members(file)
    forge(found)
    forged(file, found)
    made = Installation.at(Home(tmp_path / "new"))
    said = made("restore", str(file), status=1).err
    assert f"{file} is not restored: " in said
    assert why in said
    assert not made.home.directory.exists()


NESTED = b"[" * 100_000


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("backup.json", NESTED, "its backup.json can't be read"),
        ("backup.json", b'{"format": 1, "made_at": "2026-11-29"}', "its backup.json can't be read"),
        ("SHA256SUMS.sig", bytes(1 << 14), "the signature over its hashes"),
        ("SHA256SUMS.sig", bytes((1 << 14) + 1), "its SHA256SUMS.sig is longer than"),
        ("bastion.db", b"no database at all", "bastion.db"),
        ("bastion.toml", b"[", "bastion.toml"),
        ("bastion.toml", NESTED, "bastion.toml"),
    ],
)
def test_what_is_no_such_thing_is_a_sentence(
    furnished: Installation, tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    """Also where its own key has signed it; and nothing is left."""
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--without-keys")
    found = members(file)
    found[name] = content
    sums = {each: sha256(text).hexdigest() for each, text in found.items()}
    if name != SIGNATURE:
        found[SUMS] = sums_text({each: sums[each] for each in sums.keys() - {SUMS, SIGNATURE}})
        with furnished.services() as services:
            found[SIGNATURE] = sign(services.authority.seal, NAMESPACE, found[SUMS]).encode()
    forged(file, found)
    made = Installation.at(Home(tmp_path / "new"))
    assert why in made("restore", str(file), status=1).err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bastion", "copy"]


def test_a_strangers_backup_is_refused_where_the_seal_is_known(
    furnished: Installation, tmp_path: Path
) -> None:
    """It may be as whole as it likes, by a key of its own; without --seal the key is named."""
    stranger = Installation(tmp_path / "stranger")
    file = tmp_path / "copy"
    stranger("backup", "-o", str(file), "--without-keys")
    seal = tmp_path / "seal.pub"
    seal.write_text(furnished("ca", "show", "seal").out)
    made = Installation.at(Home(tmp_path / "new"))
    said = made("restore", str(file), "--seal", str(seal), status=1).err
    assert "the signature over its hashes is by a key that is not known" in said
    with stranger.services() as services:
        fingerprint = services.authority.seal.public.fingerprint
    assert f"Signed by {fingerprint}" in made("restore", str(file)).err


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "keys/../../evil", "keys/.ssh", "recordings/S-1.sh", "lock"],
)
def test_no_name_leads_out(furnished: Installation, tmp_path: Path, name: str) -> None:
    """A signed list would not help: such a member is refused as soon as it is seen."""
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--without-keys")
    info = tarfile.TarInfo(f"bastion-20261129T000000Z/{name}")
    forged(file, members(file), raw=info.tobuf(tarfile.GNU_FORMAT))
    made = Installation.at(Home(tmp_path / "new"))
    assert "which no backup has" in made("restore", str(file), status=1).err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bastion", "copy"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.XHDTYPE, tarfile.DIRTYPE]
)
def test_nothing_but_plain_files(furnished: Installation, tmp_path: Path, kind: bytes) -> None:
    """No links, no headers that ask for memory."""
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--without-keys")
    info = tarfile.TarInfo("bastion-20261129T000000Z/keys/seal")
    info.type, info.linkname = kind, "/etc/shadow"
    forged(file, members(file), raw=info.tobuf(tarfile.GNU_FORMAT))
    made = Installation.at(Home(tmp_path / "new"))
    assert "which is no plain file" in made("restore", str(file), status=1).err


def test_a_backup_that_was_cut_is_refused(furnished: Installation, tmp_path: Path) -> None:
    """At any place; as is something that is none."""
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--without-keys")
    whole = file.read_bytes()
    made = Installation.at(Home(tmp_path / "new"))
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 8):
        file.write_bytes(whole[:length])
        assert "is not restored" in made("restore", str(file), status=1).err
    file.write_bytes(b"age-encryption.org/v1\n-> nobody\n")
    assert "it is encrypted" in made("restore", str(file), status=1).err
    assert "can't be read" in made("restore", str(tmp_path / "none"), status=2).err
    assert not made.home.directory.exists()


def test_a_home_is_never_written_over(furnished: Installation, tmp_path: Path) -> None:
    """Nor is what only has something in it."""
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--without-keys")
    assert "There is a home" in furnished("restore", str(file), status=1).err
    other = tmp_path / "other"
    other.mkdir()
    (other / "something").touch()
    made = Installation.at(Home(other))
    assert "is not empty" in made("restore", str(file), status=1).err


def test_a_backup_that_fails_leaves_nothing(furnished: Installation, tmp_path: Path) -> None:
    """Neither the file nor the copy of the database; one that was killed is cleared away."""
    left = furnished.home.directory / ".backup-999999999"
    left.touch()
    file = tmp_path / "copy"
    file.touch()
    assert (
        "is there already" in furnished("backup", "-o", str(file), "--without-keys", status=1).err
    )
    assert file.stat().st_size == 0
    furnished("backup", "-o", str(file), "--without-keys", "--force")
    assert not list(furnished.home.directory.glob(".backup-*"))


@on_sqlite("a server's database is copied by its own tools")
def test_what_is_kept_free_for_recordings_is_not_taken(furnished: Installation) -> None:
    """By the copy of the database, or by the backup: a sentence says how much there is."""
    with furnished.services() as services:
        copy = services.home.directory / "copy"
        demand_room(services.settings, services.home, size_of(services.store), copy, "The copy")
        with pytest.raises(Conflict, match="are kept for recordings: make room"):
            demand_room(services.settings, services.home, 1 << 60, copy, "The copy")


@on_sqlite("a server's database is copied by its own tools")
def test_it_says_what_is_in_it_as_json(furnished: Installation, tmp_path: Path) -> None:
    """As does restoring."""
    file = tmp_path / "copy"
    packed = furnished("backup", "-o", str(file), "--without-keys", "--json").json
    assert packed["database"] is True
    assert packed["bytes"] == file.stat().st_size
    made = Installation.at(Home(tmp_path / "new"))
    read = made("restore", str(file), "--json").json
    assert read["sha256"] == packed["sha256"]
    assert read["shut"] == {"users": 2, "requests": 0, "grants": 1, "certificates": 0}
    about = json.loads(members(file)["backup.json"])
    assert about["keys"] is False


def test_all_access_is_taken_back(ruled: Installation) -> None:
    """Grants, requests, accounts but for those that are kept; what is not there is a sentence."""
    with ruled.services() as services:
        Remote(services, "alice")("request", "web-1", "--login", "deploy", *WHY)
    assert "There is no user nemo" in ruled("shut", "--reason", "x", "--keep", "nemo", status=1).err
    assert len(ruled("grants", "--live", "--json").json) == 1
    said = ruled("shut", "--reason", "broken into", "--restored", "--keep", "bob").err
    assert said.startswith("1 grant and 0 certificates revoked, 1 request denied, 7 accounts")
    assert ruled("grants", "--live", "--json").json == []
    users = ruled("user", "list", "--json").json
    assert [each["name"] for each in users if each["state"] == "active"] == ["bob"]
    assert "took back all access: broken into" in ruled("audit").out
    ruled("user", "enable", "alice")
    with ruled.services() as services:
        said = Remote(services, "alice")("request", "web-1", "--login", "deploy", *WHY).out
    assert int(said.removeprefix("R-")) > 1_000_000


def test_its_signature_is_for_nothing_else(furnished: Installation, tmp_path: Path) -> None:
    """What was signed as a recording's or a pack's list is no backup's."""
    file = tmp_path / "copy"
    furnished("backup", "-o", str(file), "--without-keys")
    found = members(file)
    with furnished.services() as services:
        found[SIGNATURE] = sign(services.authority.seal, "evidence@bastion", found[SUMS]).encode()
    forged(file, found)
    made = Installation.at(Home(tmp_path / "new"))
    said = made("restore", str(file), status=1).err
    assert "the signature over its hashes was made for another purpose" in said


def test_what_lies_there_by_another_name_is_said(
    furnished: Installation, tmp_path: Path, vault: tuple[str, Path]
) -> None:
    """Somebody's editor has left something among the keys: it may be one."""
    stray = furnished.home.keys / ".seal.swp"
    stray.write_bytes(b"x")
    file = tmp_path / "copy"
    to, _ = vault
    said = furnished("backup", "-o", str(file), "--to", to, status=1).err
    assert f"'{stray}' can't be in a backup" in said
    assert not file.exists()
