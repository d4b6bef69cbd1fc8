"""Sessions on the command line: listed, shown, replayed, exported, ended."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.app import Services
from recorder import EndReason, Kind, SessionInfo
from tests.cli.desks import Installation, Remote
from tests.cli.recordings import recorded

CONTRACT = {
    "id",
    "connection",
    "user",
    "grant",
    "host",
    "login",
    "kind",
    "command",
    "started_at",
    "ended_at",
    "end_reason",
    "exit_status",
    "bytes_in",
    "bytes_out",
    "recording",
}


@pytest.fixture
async def busy(furnished: Installation) -> Installation:
    """An installation in which two sessions were."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.SHELL, None)
        await recorded(services.archive, Kind.EXEC, "echo \x1b[31mred")
    return furnished


def test_a_slip_in_a_name_is_answered_with_the_nearest(busy: Installation) -> None:
    """But a host that was removed still has its sessions."""
    assert "Do you mean web-1?" in busy("sessions", "--host", "wbe-1", status=1).err
    assert "Do you mean alice?" in busy("sessions", "--user", "alcie", status=1).err
    assert busy("sessions", "--host", "db-1").err == "No sessions.\n"
    busy("host", "remove", "web-1", "--force")
    assert len(busy("sessions", "--host", "web-1", "--json").json) == 2


def test_a_session_has_the_names_of_the_contract(busy: Installation) -> None:
    """The list and `show` give the same."""
    listed = busy("sessions", "--json").json
    assert [each["id"] for each in listed] == ["S-2", "S-1"]
    assert listed[0].keys() >= CONTRACT
    assert listed[0]["recording"].keys() >= {"sha256", "size", "events", "sealed"}
    assert (listed[0]["connection"], listed[0]["grant"]) == ("C-31", "G-1")
    assert (listed[1]["kind"], listed[1]["end_reason"]) == ("shell", "closed")
    assert busy("show", "s-2", "--json").json == listed[0]
    assert "S-3" in busy("show", "S-3", status=1).err


def test_a_command_of_a_list_is_no_escape_sequence(busy: Installation) -> None:
    """What contractors typed is shown as text, on a terminal and off it."""
    for terminal in (False, True):
        said = busy("sessions", terminal=terminal, width=200)
        assert "echo \\x1b[31mred" in said.out


def test_sessions_are_narrowed(busy: Installation) -> None:
    """By kind, person, host, time and whether they go on."""
    assert len(busy("sessions", "--kind", "exec", "--json").json) == 1
    assert len(busy("sessions", "--user", "alice", "--host", "www", "--json").json) == 2
    assert busy("sessions", "--live", "--json").json == []
    assert busy("sessions", "--until", "2020-01-01T00:00Z", "--json").json == []
    assert busy("sessions", "--grant", "G-2", "--json").json == []


def piped(admin: Installation, *words: str) -> subprocess.CompletedProcess[bytes]:
    """`bastion-admin WORDS` as a process whose stdout is a pipe."""
    command = [sys.executable, "-m", "cli.admin", "--home", str(admin.home.directory), *words]
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)


def test_a_replay_into_a_pipe_is_harmless_text(busy: Installation) -> None:
    """At once, both streams, without what could act on a terminal."""
    done = piped(busy, "replay", "S-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith("hello\r\n")
    assert b"title" not in done.stdout
    assert b"oops" in done.stdout


def test_raw_bytes_come_back_exactly(busy: Installation, tmp_path: Path) -> None:
    """What is not UTF-8, too; stdin by the auditors' identity only."""
    assert piped(busy, "export", "S-1", "--raw", "stdout").stdout == b"hello\r\n\x1b]0;title\x07"
    assert piped(busy, "export", "S-1", "--raw", "stderr").stdout == b"\xff\xfe oops\r\n"
    identity = str(busy.home.auditor)
    sent = piped(busy, "export", "S-2", "--raw", "stdin", "--identity", identity)
    assert sent.stdout == b"secret\n"
    assert "needs --identity FILE" in busy("export", "S-1", "--raw", "stdin", status=2).err
    missing = busy("export", "S-1", "--raw", "stdin", "--identity", "/nowhere", status=2)
    assert "/nowhere can't be read" in missing.err


def test_an_export_has_the_form_that_was_asked_for(busy: Installation, tmp_path: Path) -> None:
    """asciicast v2 unless told; compressed or not, what is in it is the same."""
    plain = piped(busy, "export", "S-1").stdout
    assert plain.startswith(b'{"version":2,')
    assert piped(busy, "export", "S-1", "--format", "v3").stdout.startswith(b'{"version":3,')
    assert piped(busy, "export", "S-1", "--format", "text").stdout.startswith(b"hello\n")
    packed = tmp_path / "S-1.cast.gz"
    busy("export", "S-1", "--gzip", "-o", str(packed))
    assert gzip.decompress(packed.read_bytes()) == plain
    raw = piped(busy, "export", "S-1", "--raw", "stdout", "--gzip").stdout
    assert gzip.decompress(raw) == b"hello\r\n\x1b]0;title\x07"
    both = busy("export", "S-1", "--raw", "stdout", "--format", "v2", status=2).err
    assert "leave out --format or --raw" in both


def test_an_export_never_replaces_a_file(busy: Installation, tmp_path: Path) -> None:
    """A new file is private; one that is there is left, one that can't be made is said."""
    file = tmp_path / "S-1.cast"
    busy("export", "S-1", "-o", str(file))
    assert file.read_text().startswith('{"version":2')
    assert file.stat().st_mode & 0o777 == 0o600
    assert "is there already" in busy("export", "S-1", "-o", str(file), status=1).err
    said = busy("export", "S-1", "-o", "/nowhere/S-1.cast", status=1)
    assert said.err == "bastion-admin: /nowhere/S-1.cast: No such file or directory.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--speed", "0"), "0.0"),
        (("--from", "-2m"), "negative"),
        (("--from", "2m", "--at", "2026-01-01T00:00Z"), "once"),
        (("--at", "2020-01-01T00:00Z"), "did not go on"),
    ],
)
def test_a_pace_that_cannot_be_is_one_sentence(
    busy: Installation, words: tuple[str, ...], sentence: str
) -> None:
    """Bad input ends with 2."""
    said = busy("replay", "S-1", *words, status=2)
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_session_that_is_over_is_not_killed(busy: Installation) -> None:
    """It can't be done any more; one that goes on is asked to end."""
    assert "over already" in busy("kill", "S-1", "--reason", "x", status=1).err
    assert "There is no session S-9" in busy("kill", "S-9", "--reason", "x", status=1).err


async def test_a_live_session_is_asked_to_end(busy: Installation) -> None:
    """The server reads the kill from the store."""
    info = SessionInfo(31, "alice", 1, "web-1", "deploy", Kind.EXEC, "192.0.2.7", "sleep 9")
    with busy.services() as services:
        recording = await services.archive.begin(info)
        live = busy("show", "S-3").out
        assert "live" in live
        assert "bytes" not in live  # they are counted when it ends
        said = busy("kill", "S-3", "--reason", "wrong host")
        (kill,) = services.store.kills_since(0)
        recording.end(EndReason.KILLED)
        await services.archive.finish(recording)
    assert (kill.session, kill.by, kill.reason) == (3, "os:tester", "wrong host")
    assert said.err == "S-3 of alice on web-1 is being ended.\n"
    shown = busy("show", "S-3")
    assert re.search(r"^ended by +os:tester\nended for +wrong host$", shown.out, re.MULTILINE)
    assert busy("sessions", "--json").json[0]["kill_reason"] == "wrong host"


async def test_a_kill_has_a_reason_of_several_words_or_says_that_it_has_none(
    services: Services,
) -> None:
    """Over SSH the quotes are gone."""
    olga = Remote(services, "olga")
    info = SessionInfo(31, "alice", 1, "web-1", "deploy", Kind.EXEC, "192.0.2.7", "sleep 9")
    recording = await services.archive.begin(info)
    olga.typed("kill S-1 --reason not what was agreed")
    said = olga.typed("kill S-1")
    assert next(kill.reason for kill in services.store.kills_since(0)) == "not what was agreed"
    assert "alice hears that no reason was given" in said.err
    recording.end(EndReason.KILLED)
    await services.archive.finish(recording)
