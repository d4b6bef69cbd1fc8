"""Packs of evidence: what is in them, what they say, and what a stranger makes of it."""

import asyncio
import hashlib
import signal
import stat
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard

from bastion.actor import Actor
from bastion.errors import Conflict
from bastion.events import What
from cli.evidence.tarball import written_aside
from recorder import Archive, Direction, EndReason, FileEvent, Kind, SessionInfo, Size
from tests.cli.desks import Installation, Remote
from tests.cli.old_sessions import ended_ago, retain
from tests.cli.packs import (
    ANCHORS,
    CHECKPOINTS,
    EVENTS,
    PACK,
    RECORDINGS,
    Unpacked,
    assert_verified,
    unpacked,
)


def of(grant: int, kind: Kind = Kind.SHELL, connection: int = 1) -> SessionInfo:
    """A session under a grant."""
    return SessionInfo(
        connection=connection,
        user="alice",
        grant=grant,
        host="web-1",
        login="deploy",
        kind=kind,
        source="192.0.2.7",
        command=None if kind is Kind.SHELL else "uname -a",
        terminal=Size(80, 24) if kind is Kind.SHELL else None,
    )


async def recorded(archive: Archive, info: SessionInfo, *files: FileEvent) -> None:
    """A session that showed a line, was sent one, and ended."""
    async with archive.record(info) as recording:
        recording.shown(b"hello\r\n")
        recording.sent(b"secret\n")
        for event in files:
            recording.file(event)
        recording.end(EndReason.CLOSED)


@pytest.fixture(scope="module")
def asked_once(rulings: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """What is copied for every test."""
    made = rulings.copied(tmp_path_factory.mktemp("asked") / "bastion")
    with made.services() as services:
        alice, bob = Remote(services, "alice"), Remote(services, "bob")
        alice("request", "web-1", "--login", "deploy", "--shell", "--for", "2h", "--reason", "disk")
        bob("approve", "R-1", "--comment", "go on")
        alice("cert")
        asyncio.run(_sessions(services.archive))
    return made


async def _sessions(archive: Archive) -> None:
    put = FileEvent("put", b"/srv/a,b", None, Direction.WRITE, 5, "ab" * 32, "done")
    await recorded(archive, of(2))
    await recorded(archive, of(2, Kind.SFTP), put)
    await recorded(archive, of(1, connection=2))


@pytest.fixture
def asked(asked_once: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """alice asked, bob agreed: G-2, under which two sessions were. Others did other things."""
    return asked_once.copied(tmp_path_factory.mktemp("home") / "bastion")


def packed(admin: Installation, about: str, tmp_path: Path, *words: str) -> Unpacked:
    """The pack, in a stranger's hands."""
    pack = tmp_path / f"{about}.tar"
    admin("evidence", about, "-o", str(pack), *words)
    return unpacked(pack, tmp_path / about)


def test_a_stranger_verifies_a_pack(asked: Installation, tmp_path: Path) -> None:
    """With sha256sum and ssh-keygen alone, by the commands in its README.txt."""
    pack = packed(asked, "G-2", tmp_path)
    assert_verified(pack)
    assert len(pack.steps()) == 6


def test_one_changed_byte_of_any_file_is_found(asked: Installation, tmp_path: Path) -> None:
    """Also of the sums and of their signature; and a file that was added."""
    pack = packed(asked, "G-2", tmp_path)
    for name in pack.names():
        file = pack.directory / name
        content = file.read_bytes()
        if not content:
            continue
        middle = len(content) // 2
        changed = bytes([content[middle] ^ 1])
        file.write_bytes(content[:middle] + changed + content[middle + 1 :])
        said = pack.step(PACK).text
        wrong = "Good" not in said or f"{name}: FAILED" in said
        assert wrong, name
        file.write_bytes(content)
    (pack.directory / "recordings" / "S-9.cast").write_text("another")
    assert pack.step(PACK).text.endswith("\nrecordings/S-9.cast\n")


def test_each_step_finds_what_it_is_for(asked: Installation, tmp_path: Path) -> None:
    """A recording, a manifest, an event, a list and a checkpoint that are others are named."""
    pack = packed(asked, "G-2", tmp_path)
    for step, name, said in (
        (RECORDINGS, "recordings/S-1.cast", "recordings/S-1.cast: FAILED"),
        (RECORDINGS, "recordings/S-2.manifest", "recordings/S-2.manifest: WRONG"),
        (EVENTS, "events.jsonl", "on no list: "),
        (CHECKPOINTS, "proof/checkpoint-000000001.list", "checkpoint-000000001.list: WRONG"),
        (CHECKPOINTS, "proof/checkpoint-000000001.json", "checkpoint-000000001.json: WRONG"),
    ):
        file = pack.directory / name
        content = file.read_bytes()
        file.write_bytes(content.replace(b"a", b"b", 1) if b"a" in content else b"x" + content)
        assert said in pack.step(step).text
        file.write_bytes(content)
    assert_verified(pack)


def test_what_is_in_a_pack(asked: Installation, tmp_path: Path) -> None:
    """Who asked, why, who agreed, by which rules, what was signed, what was done."""
    pack = packed(asked, "G-2", tmp_path)
    assert pack.json("grant.json")["approved_by"] == ["bob"]
    (request,) = pack.json("requests.json")
    assert (request["id"], request["reason"], request["state"]) == ("R-1", "disk", "approved")
    (approval,) = request["approvals"]
    assert (approval["by"], approval["comment"]) == ("bob", "go on")
    assert approval["source"] == "192.0.2.7"
    assert approval["key"].startswith("SHA256:")
    (rules,) = pack.json("rules.json")
    text = pack.text(rules["file"])
    assert hashlib.sha256(text.encode()).hexdigest() == rules["version"] == request["policy"]
    assert request["rule"] in text
    (certificate,) = pack.json("certificates.json")
    assert (certificate["kind"], certificate["grants"]) == ("user", ["G-1", "G-2"])
    people = {each["name"]: each["user"] for each in pack.json("people.json")}
    assert people["bob"]["roles"] == ["approver"]
    assert people["os:tester"] is None  # who packs it
    assert set(people["alice"]) == {"name", "state", "roles", "groups", "keys"}
    sessions = pack.json("sessions.json")
    assert [each["id"] for each in sessions] == ["S-1", "S-2"]
    assert sessions[0]["verified"] == {"standing": "as it was sealed", "findings": []}
    (file,) = pack.json("files.json")
    assert (file["session"], file["path"]) == ("S-2", "/srv/a,b")
    assert pack.text("files.csv").splitlines()[1].startswith("S-2,1,")
    assert pack.json("summary.json")["sound"] is True


def test_nothing_of_others_is_in_a_pack(asked: Installation, tmp_path: Path) -> None:
    """No event, session or file under another grant; and no event is there without its proof."""
    pack = packed(asked, "G-2", tmp_path)
    events = pack.events()
    assert {event["grant"] for event in events} == {None, "G-2"}
    told = [event["what"] for event in events]
    for what in (
        *("rules.changed", "request.made", "request.approved", "grant.given"),
        *("certificate.signed", "recording.sealed", "evidence.asked", "recording.looked_at"),
    ):
        assert what in told
    assert "user.added" not in told
    assert not any("S-3" in name for name in pack.names())
    assert "S-3" not in "".join(pack.text(n) for n in pack.names() if n.endswith(("json", "jsonl")))


def test_who_packs_is_told_first_and_the_sums_afterwards(
    asked: Installation, tmp_path: Path
) -> None:
    """So the log, and what it is anchored in, speaks for the pack; a look for each recording."""
    pack = packed(asked, "G-2", tmp_path)
    sums = hashlib.sha256((pack.directory / "SHA256SUMS").read_bytes()).hexdigest()
    with asked.services() as services:
        newest = services.journal.events(limit=4)
        assert services.journal.draft(datetime.now(UTC)) is None  # all of it is sealed
    told = [(event.happened.what, event.happened.session) for event in reversed(newest)]
    assert told == [
        (What.EVIDENCE_ASKED, None),
        (What.RECORDING_LOOKED_AT, 1),
        (What.RECORDING_LOOKED_AT, 2),
        (What.EVIDENCE_PACKED, None),
    ]
    assert {event.happened.actor for event in newest} == {"os:tester"}
    assert newest[0].happened.details["sha256"] == sums
    said = asked("audit", "--what", "evidence").out
    assert f"os:tester packed the evidence of G-2 of alice, SHA256SUMS {sums}" in said


def test_the_pack_of_one_session_has_no_other(asked: Installation, tmp_path: Path) -> None:
    """Its grant and its request are there, and the proof holds."""
    packed(asked, "G-2", tmp_path)
    pack = packed(asked, "S-2", tmp_path)
    assert_verified(pack)
    assert [each["id"] for each in pack.json("sessions.json")] == ["S-2"]
    assert {event["session"] for event in pack.events()} == {None, "S-2"}
    assert pack.json("requests.json")[0]["id"] == "R-1"
    assert [n for n in pack.names() if n.startswith("recordings/S-1")] == []


async def test_a_live_session_is_packed_as_far_as_it_is(
    asked: Installation, tmp_path: Path
) -> None:
    """Up to its last whole line; the first lines say that it is not sealed."""
    with asked.services() as services:
        async with services.archive.record(of(2)) as recording:
            recording.shown(b"so far\r\n")
            (cast,) = asked.home.directory.rglob("S-4.cast")
            with cast.open("ab") as torn:
                torn.write(b'[1.0, "o", "half')
            pack = packed(asked, "G-2", tmp_path)
            recording.end(EndReason.CLOSED)
    assert_verified(pack)
    assert "S-4 is still live: its recording is up to " in pack.text("README.txt")
    assert pack.text("recordings/S-4.cast").endswith('so far\\r\\n"]\n')
    assert "recordings/S-4.manifest" not in pack.names()
    assert pack.json("summary.json")["live"] == ["S-4"]


def test_a_recording_that_was_changed_goes_in_as_it_is(asked: Installation, tmp_path: Path) -> None:
    """And the first lines say so: of the README, of the command, of the summary."""
    (cast,) = asked.home.directory.rglob("S-1.cast")
    cast.write_bytes(cast.read_bytes().replace(b"hello", b"hallo"))
    said = asked("evidence", "G-2", "-o", str(tmp_path / "pack.tar"))
    assert said.out.splitlines()[0] == "WRONG: S-1: S-1.cast was changed."
    pack = unpacked(tmp_path / "pack.tar", tmp_path / "unpacked")
    assert "WRONG: S-1: S-1.cast was changed." in pack.text("README.txt").splitlines()[3]
    assert "FAILED" not in pack.step(PACK).text
    assert pack.step(RECORDINGS).text.startswith("recordings/S-1.cast: FAILED")
    summary = pack.json("summary.json")
    assert (summary["sound"], summary["sealed"]) == (False, 1)
    assert "1 of 2 recordings is as it was" in " ".join(pack.text("README.txt").split())


def test_a_recording_that_is_gone_is_said(asked: Installation, tmp_path: Path) -> None:
    """The rest is packed."""
    (cast,) = asked.home.directory.rglob("S-1.cast")
    cast.unlink()
    pack = packed(asked, "G-2", tmp_path)
    assert pack.json("summary.json")["findings"] == ["S-1: S-1.cast is missing."]
    assert "recordings/S-1.manifest" in pack.names()


def test_a_row_that_can_not_be_read_is_a_sentence(asked: Installation, tmp_path: Path) -> None:
    """Of the session itself; of its grant, the rest is packed and the pack says what is missing."""
    with asked.services() as services, services.store.write() as connection:
        connection.exec_driver_sql("UPDATE sessions SET kind = 'none' WHERE id = 2")
    said = asked("evidence", "S-2", "-o", str(tmp_path / "pack.tar"), status=1)
    assert "What the database has of S-2 can't be read" in said.err
    assert lying(tmp_path) == []
    pack = packed(asked, "G-2", tmp_path)
    missing = "S-2: the log tells of it, and its row is missing or can't be read."
    assert pack.json("summary.json")["findings"] == [missing]
    assert f"WRONG: {missing}" in pack.text("README.txt")
    assert [each["id"] for each in pack.json("sessions.json")] == ["S-1"]


def test_what_was_shown_can_be_read(asked: Installation, tmp_path: Path) -> None:
    """As text: a file for each session that showed something, and on the page."""
    pack = packed(asked, "G-2", tmp_path)
    assert pack.text("transcripts/S-1.txt") == "[0:00:00]   hello\n"
    assert "[0:00:00]   hello" in pack.text("index.html")
    (cast,) = asked.home.directory.rglob("S-1.cast")
    cast.write_bytes(cast.read_bytes() + b"no event\n" + b'[1.0, "o", "more"]\n')
    pack = packed(asked, "S-1", tmp_path)
    last = pack.text("transcripts/S-1.txt").splitlines()[-1]
    assert last == "(here the recording can't be read any further)"


def test_an_event_that_was_changed_is_said_and_packed_as_it_is(
    asked: Installation, tmp_path: Path
) -> None:
    """The stranger's own commands find the same."""
    with asked.services() as services, services.store.write() as connection:
        open_ = "DROP TRIGGER events_no_update"
        if connection.dialect.name == "postgresql":
            open_ = "ALTER TABLE events DISABLE TRIGGER USER"
        connection.exec_driver_sql(open_)
        changed = "UPDATE events SET why = 'another reason' WHERE what = 'request.made'"
        connection.exec_driver_sql(changed)
    pack = packed(asked, "G-2", tmp_path)
    (finding,) = pack.json("summary.json")["findings"]
    assert finding.endswith("was changed: it does not fit its hash.")
    assert f"WRONG: {finding}" in pack.text("README.txt")
    assert pack.step(EVENTS).text.startswith('on no list: {"account"')


def test_a_compressed_recording_is_packed_plain(asked: Installation, tmp_path: Path) -> None:
    """So its sum is the sealed one, and nobody needs a program to see that."""
    kept = {}
    for suffix in ("cast", "sent"):
        (plain,) = asked.home.directory.rglob(f"S-1.{suffix}")
        kept[plain.name] = plain.read_bytes()
        plain.with_name(f"{plain.name}.zst").write_bytes(zstandard.compress(kept[plain.name]))
        plain.unlink()
    pack = packed(asked, "G-2", tmp_path)
    assert_verified(pack)
    for name, content in kept.items():
        assert (pack.directory / "recordings" / name).read_bytes() == content


async def test_one_that_was_let_go_leaves_its_seal_and_tombstone(
    furnished: Installation, tmp_path: Path
) -> None:
    """It is named, its tombstone is verified like the rest, and nothing is claimed of it."""
    retain(furnished, "30d")
    with furnished.services() as services:
        await ended_ago(services, 40)
        await ended_ago(services, 1)
    furnished("prune", "--yes")
    pack = packed(furnished, "G-1", tmp_path)
    assert "S-1 was let go at " in pack.text("README.txt")
    said = [pack.step(number) for number in range(len(pack.steps()))]
    assert said[PACK].text.startswith("Good")
    assert [each.text for each in said[RECORDINGS:ANCHORS]] == ["", "", ""]
    assert [name for name in pack.names() if "/S-1." in name] == [
        f"recordings/S-1.{suffix}"
        for suffix in ("manifest", "manifest.sig", "tombstone", "tombstone.sig")
    ]
    summary = pack.json("summary.json")
    assert (summary["sound"], summary["sealed"], summary["let_go"]) == (True, 1, ["S-1"])
    stone = pack.directory / "recordings/S-1.tombstone"
    stone.write_text(stone.read_text().replace("30d", "10d"))
    assert "recordings/S-1.tombstone: WRONG" in pack.step(RECORDINGS).text


async def test_an_encrypted_recording_is_packed_as_it_lies(
    asked: Installation, tmp_path: Path
) -> None:
    """Its seal has the hash of that; the README says how an auditor gets at what it holds."""
    settings = asked.home.settings
    settings.write_text(settings.read_text().replace("# encrypt = false", "encrypt = true"))
    with asked.services() as services:
        await recorded(services.archive, of(2))
    pack = packed(asked, "G-2", tmp_path)
    assert_verified(pack)
    names = pack.names()
    assert "recordings/S-4.cast.zst.age" in names
    assert "recordings/S-4.cast" not in names
    assert "age -d -i KEY recordings/S-31.cast.zst.age | zstd -dc" in pack.text("README.txt")
    assert "What was shown in S-4: it is encrypted to the auditors." in pack.text("README.txt")


def test_one_that_can_not_be_unpacked_goes_in_as_it_lies(
    asked: Installation, tmp_path: Path
) -> None:
    """With what is wrong with it."""
    (cast,) = asked.home.directory.rglob("S-1.cast")
    cast.with_name("S-1.cast.zst").write_bytes(zstandard.compress(cast.read_bytes())[:9] + b"no")
    cast.unlink()
    pack = packed(asked, "G-2", tmp_path)
    assert "recordings/S-1.cast.zst" in pack.names()
    assert pack.json("summary.json")["sound"] is False


# The file itself


def lying(directory: Path) -> list[str]:
    """The names of what lies in a directory."""
    return sorted(path.name for path in directory.iterdir())


def test_the_tar_is_clean(asked: Installation, tmp_path: Path) -> None:
    """One directory, no account, no machine; for GNU tar and for Python's."""
    asked("evidence", "G-2", "-o", str(tmp_path / "pack.tar"))
    with tarfile.open(tmp_path / "pack.tar") as tar:
        members = tar.getmembers()
    assert {member.name.partition("/")[0] for member in members} == {"evidence-G-2"}
    assert {(m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, "", "", 0o600)}
    assert all(member.isreg() for member in members)
    listed = subprocess.run(
        ["tar", "-t", "-f", tmp_path / "pack.tar"], capture_output=True, check=True
    )
    assert listed.stderr == b""
    assert listed.stdout.decode().splitlines() == [member.name for member in members]
    assert members[0].name == "evidence-G-2/README.txt"
    assert members[-1].name == "evidence-G-2/SHA256SUMS.sig"
    assert stat.S_IMODE((tmp_path / "pack.tar").stat().st_mode) == 0o600
    assert (tmp_path / "pack.tar").stat().st_size % tarfile.RECORDSIZE == 0


def test_a_file_that_is_there_is_left_alone(asked: Installation, tmp_path: Path) -> None:
    """Unless --force is said; a directory, and a place that is not there, are sentences."""
    pack = tmp_path / "pack.tar"
    pack.write_text("mine")
    with asked.services() as services:
        before = services.journal.last()
    assert "give --force" in asked("evidence", "G-2", "-o", str(pack), status=1).err
    assert pack.read_text() == "mine"
    (tmp_path / "link").symlink_to(pack)
    for odd in ("/dev/null", str(tmp_path), str(tmp_path / "link")):
        assert "no plain file" in asked("evidence", "G-2", "-o", odd, "--force", status=1).err
    (tmp_path / "link").unlink()
    nowhere = str(tmp_path / "none" / "pack.tar")
    assert "can't be written" in asked("evidence", "G-2", "-o", nowhere, status=1).err
    with asked.services() as services:
        assert services.journal.last() == before
    asked("evidence", "G-2", "-o", str(pack), "--force")
    assert tarfile.is_tarfile(pack)
    assert lying(tmp_path) == ["pack.tar"]


async def _much(archive: Archive) -> None:
    async with archive.record(of(2)) as recording:
        recording.shown(b"0123456789abcde\n" * 400_000)
        recording.end(EndReason.CLOSED)


def test_nothing_is_left_of_a_pack_that_fails(asked: Installation, tmp_path: Path) -> None:
    """Where the file may not become so large, in the middle of a recording; it was told before."""
    with asked.services() as services:
        asyncio.run(_much(services.archive))
    pack = str(tmp_path / "pack.tar")
    words = ["--home", str(asked.home.directory), "evidence", "G-2", "-o", pack]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 8192; exec "$@"', "sh", sys.executable, "-m", "cli.admin", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"bastion-admin: {pack} can't be written: File too large.\n"
    assert lying(tmp_path) == []
    told = asked("audit", "--what", "evidence").out
    assert "asked for the evidence of G-2" in told
    assert "packed" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_of_a_pack_that_is_ended(
    asked: Installation, tmp_path: Path, number: signal.Signals
) -> None:
    """By a kill, by a terminal that is closed."""
    with asked.services() as services:
        asyncio.run(_much(services.archive))
    words = ["--home", str(asked.home.directory), "evidence", "G-2", "-o"]
    with subprocess.Popen(
        [sys.executable, "-m", "cli.admin", *words, str(tmp_path / "pack.tar")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as packing:
        while not lying(tmp_path):
            assert packing.poll() is None
            time.sleep(0.001)
        packing.send_signal(number)
        assert packing.wait() == 130
    assert lying(tmp_path) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_nothing_is_left_when_somebody_stops_it(tmp_path: Path, stop: type[BaseException]) -> None:
    """ctrl-c or an error: no part of it lies there."""

    def write() -> None:
        with written_aside(tmp_path / "pack.tar", replacing=False) as out:
            out.write(b"half of it")
            assert len(lying(tmp_path)) == 1
            raise stop

    with pytest.raises(stop):
        write()
    assert lying(tmp_path) == []


def test_whose_file_was_there_first_keeps_it(tmp_path: Path) -> None:
    """Also when it came while a pack was being written."""
    with pytest.raises(Conflict), written_aside(tmp_path / "pack.tar", replacing=False):
        (tmp_path / "pack.tar").write_text("another's")
    assert lying(tmp_path) == ["pack.tar"]
    assert (tmp_path / "pack.tar").read_text() == "another's"


def test_what_is_no_grant_or_session_is_said(asked: Installation, tmp_path: Path) -> None:
    """In one sentence, with what would do."""
    pack = str(tmp_path / "pack.tar")
    assert "write G-7 or S-31" in asked("evidence", "R-1", "-o", pack, status=2).err
    assert "There is no grant G-99" in asked("evidence", "G-99", "-o", pack, status=1).err
    assert "There is no session S-99" in asked("evidence", "S-99", "-o", pack, status=1).err
    assert lying(tmp_path) == []


def test_a_grant_without_anything_is_packed(furnished: Installation, tmp_path: Path) -> None:
    """Given by an operator, never used: no request, no session, no recording."""
    pack = packed(furnished, "G-1", tmp_path)
    assert pack.json("requests.json") == []
    assert pack.json("sessions.json") == []
    assert pack.json("files.json") == []
    said = [pack.step(number) for number in range(len(pack.steps()))]
    assert len(said) == 5
    assert [each.text for each in said[2:4]] == ["", ""]


def test_the_summary_is_one_document(asked: Installation, tmp_path: Path) -> None:
    """With --json: what the pack says of itself, and where it is."""
    pack = tmp_path / "pack.tar"
    said = asked("evidence", "G-2", "-o", str(pack), "--json").json
    assert (said["about"], said["file"], said["sound"]) == ("G-2", str(pack), True)
    assert said["bytes"] == pack.stat().st_size
    inside = unpacked(pack, tmp_path / "unpacked").json("summary.json")
    assert inside.items() <= said.items()


def test_what_was_anchored_is_said_and_what_was_not(asked: Installation, tmp_path: Path) -> None:
    """Only where the anchor has heard of these checkpoints, or of a later one."""
    pack = packed(asked, "G-2", tmp_path)
    assert "Not anchored" in pack.text("README.txt")
    assert pack.json("proof/anchors.json") == {"anchored": False, "anchors": []}
    with asked.services() as services:
        services.journal.move_cursor("anchor udp://log:514", 1, datetime.now(UTC))
    early = packed(asked, "S-1", tmp_path)
    assert early.json("proof/anchors.json")["anchored"] is False
    with asked.services() as services:
        services.journal.move_cursor("anchor udp://log:514", 99, datetime.now(UTC))
    late = packed(asked, "S-2", tmp_path)
    assert late.json("proof/anchors.json")["anchored"] is True
    assert "Not anchored" not in late.text("README.txt")
    assert "udp://log:514 was sent checkpoints up to 99" in " ".join(
        late.text("README.txt").split()
    )


def test_old_seals_are_verified_with_retired_keys(asked: Installation, tmp_path: Path) -> None:
    """The pack is signed by the present one; allowed_signers has both."""
    asked("ca", "rotate", "seal")
    pack = packed(asked, "S-1", tmp_path)
    assert_verified(pack)
    assert len(pack.text("allowed_signers").splitlines()) == 2
    assert Actor("os:tester").name in pack.text("README.txt")
