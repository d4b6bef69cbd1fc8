"""`verify` on the command line."""

import asyncio
import base64
import errno
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from bastion.actor import Actor
from bastion.app import Services
from bastion.authority import Which
from bastion.authority.generations import rotate
from bastion.workers import Stay
from cli import door
from cli.desk import Desk
from cli.output import Output
from cli.program import admin
from cli.verb import run
from recorder import Kind, SessionInfo
from tests.cli.desks import Caller, Installation, Remote
from tests.cli.recordings import recorded

SOUND = "Nothing was changed, is missing or was added."


async def test_sealed_recordings_are_sound_until_somebody_changes_one(
    furnished: Installation, tmp_path: Path
) -> None:
    """Also after the seal key was changed, and by ssh-keygen alone."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uname")
    furnished("ca", "rotate", "seal")
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uname")
        keys = services.authority.seal_keys
    said = furnished("verify", "S-1").out
    assert said.splitlines()[0] == SOUND
    assert said.splitlines()[1].startswith("Not anchored: ")
    told = furnished("verify", "--all", "--json").json
    size = told.pop("bytes")
    assert size > 500
    assert told == {
        "sound": True,
        "findings": [],
        "more_findings": 0,
        "recordings": 2,
        "anchored": False,
        "not_anchored": 2,
        "store_away": None,
    }
    assert furnished("show", "S-1", "--json").json["recording"]["sealed"] is True
    [manifest] = furnished.home.directory.rglob("S-1.manifest")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text("".join(f"bastion {k.algorithm} {furnished_blob(k.blob)}\n" for k in keys))
    command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "bastion"]
    command += ["-n", "recording@bastion", "-s", f"{manifest}.sig"]
    good = manifest.read_bytes()
    assert status(command, good) == 0
    bad = good.replace(b"alice", b"alicf")
    assert status(command, bad) != 0
    cast = manifest.with_suffix(".cast")
    cast.write_bytes(cast.read_bytes().replace(b"hello", b"hallo"))
    said = furnished("verify", "--all", status=1).out
    assert said.splitlines()[:2] == [
        "changed: S-1: S-1.cast was changed.",
        "2 recordings: 1 finding.",
    ]


def status(command: list[str], given: bytes) -> int:
    return subprocess.run(command, input=given, capture_output=True, check=False).returncode


def furnished_blob(blob: bytes) -> str:
    return base64.b64encode(blob).decode()


# Anchors


def sent(services: Services, *names: str) -> None:
    """The newest checkpoint has gone to these."""
    [newest] = services.journal.checkpoints(limit=1)
    for name in names:
        services.journal.move_cursor(f"anchor {name}", newest.number, services.clock.now())


async def test_a_recording_is_anchored_when_its_checkpoint_has_left(
    furnished: Installation,
) -> None:
    """Each for itself: what was sealed since is not, though others are."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uname")
        assert "No checkpoint of the log speaks" in furnished("verify", "S-1").out
        services.sealer.seal()
        assert "Send the checkpoints of the log out" in furnished("verify", "S-1").out
        sent(services, "syslog udp://log.example.org:514", "ops")
        await recorded(services.archive, Kind.EXEC, "uname")
        services.sealer.seal()
    said = furnished("verify", "S-1").out
    assert said.startswith(f"{SOUND}\nAnchored: its seal is event ")
    assert "was sent to ops, syslog udp://log.example.org:514." in said
    told = furnished("verify", "S-1", "--json").json
    assert told["anchors"] == ["ops", "syslog udp://log.example.org:514"]
    newest = furnished("audit", "checkpoints", "--json").json
    assert told["log"]["sha256"] in {each["sha256"] for each in newest}
    proof = f"{told['log']['checkpoint']}:{told['log']['sha256']}"
    furnished("audit", "verify", "--checkpoint", proof)
    assert "Not anchored" in furnished("verify", "S-2").out
    assert furnished("verify", "S-2", "--json").json["anchored"] is False
    assert "Anchored but for the last 1: " in furnished("verify", "--all").out
    with furnished.services() as services:
        sent(services, "ops")
    assert "speaks for all of their seals" in furnished("verify", "--all").out
    told = furnished("verify", "--all", "--json").json
    assert (told["anchored"], told["not_anchored"]) == (True, 0)


# A key that is changed


async def test_the_key_may_be_changed_in_the_middle_of_sealing(
    furnished: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed by the old one, kept when there is a new one already: it is sound."""
    with furnished.services() as services:
        keep = services.seals.keep

        def rotated_first(*kept: object) -> bool:
            monkeypatch.setattr(services.seals, "keep", keep)
            rotate(furnished.home.keys, Which.SEAL, services.clock.now())
            return keep(*kept)  # type: ignore[arg-type]

        await recorded(services.archive, Kind.EXEC, "uname")
        monkeypatch.setattr(services.seals, "keep", rotated_first)
        for _ in range(2):
            await recorded(services.archive, Kind.EXEC, "uname")
        assert len(services.authority.seal_keys) == 2
    assert furnished("verify", "--all").out.startswith("3 recordings: nothing was changed")


@pytest.mark.parametrize("honest", [True, False])
async def test_a_retired_key_that_seals_is_found(
    furnished: Installation, monkeypatch: pytest.MonkeyPatch, *, honest: bool
) -> None:
    """By the time that it names, or by its place behind the new key's, whatever time it names."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uname")
        old = services.authority.seal
        early = services.clock.now()
        rotate(furnished.home.keys, Which.SEAL, early)
        await recorded(services.archive, Kind.EXEC, "uname")
        monkeypatch.setattr(type(services.authority), "seal", property(lambda _: old))
        late = early + timedelta(hours=2) if honest else early
        monkeypatch.setattr(services.archive._sealing, "_now", lambda: late)
        await recorded(services.archive, Kind.EXEC, "uname")
        monkeypatch.undo()
    said = furnished("verify", "S-3", status=1).out
    assert "signature: S-3: manifest 3 is by a key that was retired before." in said
    assert (" by a key that was retired 20" in said) == honest
    assert "S-3: manifest 3 is by a key" in furnished("verify", "--all", status=1).out


# What is live, and what is watched


async def test_a_live_session_is_proved_up_to_its_checkpoint(furnished: Installation) -> None:
    """And no further; one that was changed since is a finding."""
    info = SessionInfo(31, "alice", 1, "web-1", "deploy", Kind.EXEC, "192.0.2.7", "uname")
    with furnished.services() as services:
        async with services.archive.record(info) as recording:
            said = furnished("verify", "S-1")
            assert said.err == "S-1 is live: nothing is proved of it yet.\n"
            recording.shown(b"hello")
            await services.archive.checkpoint()
            size = recording.path.stat().st_size
            recording.shown(b"world")
            said = furnished("verify", "S-1")
            assert f"S-1 is live: its first {size} bytes are as they were at 20" in said.err
            told = furnished("verify", "S-1", "--json").json
            assert (told["unsealed"], told["checkpoint"]["size"]) == ("S-1", size)
            recording.path.write_bytes(recording.path.read_bytes().replace(b"hello", b"hallo"))
            said = furnished("verify", "S-1", status=1)
            assert "changed: S-1: S-1.cast was changed since its checkpoint" in said.out


async def test_whoever_watches_sees_how_far_it_has_come(
    furnished: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal only, beside the answer, and gone at its end."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uname")
    monkeypatch.setattr("cli.verifying.SHOW", 0.0)
    assert furnished("verify", "--all").err == ""
    said = await asyncio.to_thread(watched, furnished, "verify", "--all", "--json")
    assert "\r\x1b[K1 of 1 seals" in said
    assert "\r\x1b[K1 of 1 recordings, 0 MB at " in said
    assert said.endswith("\r\x1b[K")


def watched(furnished: Installation, *words: str) -> str:
    """What comes beside the answer where that is a terminal."""
    out: list[str] = []
    err: list[str] = []
    output = Output(out.append, err.append, watched=True)
    desk = Desk("bastion-admin", output, Actor("os:tester", account="tester"), door.entered)
    assert run(admin, ["--home", str(furnished.home.directory), *words], desk) == 0
    return "".join(err)


async def test_an_auditor_verifies_over_ssh(furnished: Installation) -> None:
    """One recording or all, with the same answer and status; nobody else may."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uptime")
        olga = Remote(services, "olga")
        for words in (("S-1",), ("--all",), ("S-1", "--json"), ("--all", "--json")):
            assert olga("verify", *words).out == furnished("verify", *words).out
        (cast,) = furnished.home.recordings.rglob("S-1.cast")
        cast.write_bytes(cast.read_bytes().replace(b"hello", b"hullo"))
        for words in (("S-1",), ("--all",)):
            assert "S-1.cast" in olga("verify", *words, status=1).out
        stays = [Caller(f"verify {what}") for what in ("S-1", "--all")]
        for caller in stays:
            olga.calls(caller, 1)
        assert [each.stays for each in stays] == [[Stay.READING], [Stay.VERIFYING]]
        said = Remote(services, "alice")("verify", "--all", status=2)
        assert said.err.startswith("ssh bastion: No such command 'verify'.")


async def test_whoever_leaves_ends_the_verifying_of_all(furnished: Installation) -> None:
    """It is not a finding of the recording that was being read."""

    class Leaving(Caller):
        """Somebody who is gone."""

        def breathe(self) -> None:
            """Nobody listens any more."""
            raise BrokenPipeError(errno.EPIPE, "gone")

    with furnished.services() as services:
        for _ in range(3):
            await recorded(services.archive, Kind.EXEC, "uptime")
        caller = Leaving("verify --all --json")
        with pytest.raises(BrokenPipeError):
            Remote(services, "olga").calls(caller)
    assert caller.heard.out == []
