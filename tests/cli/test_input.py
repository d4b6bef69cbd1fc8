"""What was typed, on the command line: by an auditor's identity, and each look is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recorder import Archive, EndReason, Kind, SessionInfo, Size
from recorder.plain import covered_path
from tests.cli.desks import Installation, Remote
from tests.cli.test_sessions import piped
from tests.recorder.sealed import flip


async def recorded(archive: Archive, kind: Kind, command: str | None = None) -> None:
    """A session in which a password was typed, or something was piped in."""
    size = Size(80, 24) if kind is Kind.SHELL else None
    info = SessionInfo(
        *(31, "alice", 1, "web-1", "deploy", kind, "192.0.2.7", command),
        terminal=size,
    )
    async with archive.record(info) as recording:
        recording.shown(b"Password: ")
        recording.sent(b"hunter2\r")
        recording.shown(b"\r\n$ ")
        recording.end(EndReason.CLOSED)


@pytest.fixture
async def busy(furnished: Installation) -> Installation:
    """An installation in which a shell, a command and a forward were."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.SHELL)
        await recorded(services.archive, Kind.EXEC, "bash -s")
        await recorded(services.archive, Kind.FORWARD, "forward 127.0.0.1:5432")
    return furnished


class Replays:
    """Replays sessions into what is no terminal."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, admin: Installation, *words: str) -> str:
        """What `replay S-1 WORDS` prints."""
        self._capsys.readouterr()
        admin("replay", *words)
        return self._capsys.readouterr().out


@pytest.fixture
def replayed(capsys: pytest.CaptureFixture[str]) -> Replays:
    return Replays(capsys)


def test_an_auditor_sees_what_was_typed(busy: Installation, replayed: Replays) -> None:
    """Beside what was shown; a password is masked, and told to who asks for it."""
    identity = ("--input", "--identity", str(busy.home.auditor))
    assert sorted(replayed(busy, "S-1", *identity).splitlines()) == [
        "[0:00:00] shown  $",
        "[0:00:00] shown  Password:",
        "[0:00:00] typed  ********\\r (not echoed: masked, a guess)",
    ]
    assert "typed  hunter2\\r" in replayed(busy, "S-1", *identity, "--unmask")
    assert "piped  hunter2\\r" in replayed(busy, "S-2", *identity)


def test_each_look_at_it_is_told(busy: Installation) -> None:
    """And says whether what was not echoed was asked for."""
    identity = ("--input", "--identity", str(busy.home.auditor))
    busy("replay", "S-1", *identity)
    busy("replay", "S-1", *identity, "--unmask")
    told = busy("audit", "--what", "recording.looked_at", "--json").out
    assert '"how":"replay input"' in told
    assert '"how":"replay input unmasked"' in told


def key_with_passphrase(directory: Path) -> str:
    file = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", file], check=True)
    return file.read_text()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "This is not an age identity (AGE-SECRET-KEY-…)."),
        ("age-encryption.org/v1\n", "is itself encrypted: decrypt a copy in a safe place"),
        ("AGE-PLUGIN-YUBIKEY-1QQ\n", "is one of a plugin"),
        ("a passphrase", "This SSH key has a passphrase: decrypt a copy in a safe place"),
        ("another's", "This identity does not open this track."),
    ],
)
def test_an_identity_that_is_of_no_use_is_one_sentence(
    busy: Installation, tmp_path: Path, content: str, sentence: str
) -> None:
    """What is wrong with it, and what to do; nothing of the session is shown."""
    file = tmp_path / "identity"
    if content == "a passphrase":
        content = key_with_passphrase(tmp_path)
    if content == "another's":
        content = Installation(tmp_path / "other").home.auditor.read_text()
    file.write_text(content)
    said = busy("replay", "S-1", "--input", "--identity", str(file), status=1)
    assert sentence in said.err
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_what_cannot_be_is_one_sentence(busy: Installation) -> None:
    """Options that belong together, and sessions without content."""
    identity = ("--input", "--identity", str(busy.home.auditor))
    assert "--input needs --identity FILE" in busy("replay", "S-1", "--input", status=2).err
    assert "goes with --input" in busy("replay", "S-1", "--unmask", status=2).err
    said = busy("replay", "S-3", *identity, status=1).err
    assert "of a forward only length and hash are kept" in said
    with busy.services() as services:
        found = services.index.get(1)
        assert found is not None
        services.archive.open(found).sent_path.unlink()
    assert "S-1.sent" in busy("replay", "S-1", *identity, status=1).err


async def test_without_an_auditors_key_nothing_was_kept(furnished: Installation) -> None:
    """That is said."""
    identity = ("--input", "--identity", str(furnished.home.auditor))
    settings = furnished.home.settings
    lines = [line for line in settings.read_text().splitlines() if "age1" not in line]
    settings.write_text("\n".join(lines))
    with furnished.services() as services:
        assert services.settings.recording.auditors == ()
        await recorded(services.archive, Kind.SHELL)
    said = furnished("replay", "S-1", *identity, status=1).err
    assert "was made without an auditors' key" in said


SECRET = b"$ mysql --password hunter2 db\r\n"


async def showing_a_secret(admin: Installation) -> None:
    """A session in which a command line holds a password."""
    info = SessionInfo(
        31, "alice", 1, "web-1", "deploy", Kind.EXEC, "192.0.2.7", "x --token sesame42"
    )
    with admin.services() as services:
        async with services.archive.record(info) as recording:
            recording.shown(SECRET)


def cat(file: Path) -> bytes:
    """What asciinema makes of a file."""
    player = [sys.executable, "-m", "asciinema", "cat", str(file)]
    return subprocess.run(player, capture_output=True, check=True).stdout


async def test_a_redacted_export_is_a_copy_that_says_so(
    furnished: Installation, tmp_path: Path
) -> None:
    """Without the secret, and marked; the evidence, and what is exact, keep it."""
    await showing_a_secret(furnished)
    done = piped(furnished, "export", "S-1", "--redact")
    assert done.stderr == b"1 place redacted: patterns find what they know.\n"
    assert b"hunter2" not in done.stdout
    assert b"sesame42" not in done.stdout
    lines = done.stdout.splitlines()
    assert json.loads(lines[0])["title"].endswith("(redacted: not the evidence)")
    assert json.loads(lines[-1])[2] == 'bastion:redacted {"places":1}'
    file = tmp_path / "redacted.cast"
    file.write_bytes(done.stdout)
    assert cat(file) == b"$ mysql --password [redacted] db\r\n"
    for words in ((), ("--raw", "stdout")):
        whole = tmp_path / f"whole{len(words)}"
        furnished("export", "S-1", *words, "-o", str(whole))
        assert b"hunter2" in whole.read_bytes()
    said = furnished("export", "S-1", "--raw", "stdout", "--redact", status=2).err
    assert "Exact bytes are never redacted" in said
    assert '"how":"export redacted"' in furnished("audit", "--what", "recording", "--json").out


async def test_plain_text_is_redacted_as_transcripts_are(
    furnished: Installation, tmp_path: Path
) -> None:
    """It is for reading; only where there are no patterns it is whole."""
    await showing_a_secret(furnished)
    text, whole = tmp_path / "redacted.txt", tmp_path / "whole.txt"
    said = furnished("export", "S-1", "--format", "text", "-o", str(text))
    assert "mysql --password [redacted] db" in text.read_text()
    assert "redacted: patterns find what they know" in said.err
    settings = furnished.home.settings
    settings.write_text(settings.read_text().replace('["set:all"]', "[]"))
    furnished("export", "S-1", "--format", "text", "-o", str(whole))
    assert "hunter2" in whole.read_text()


async def test_patterns_are_settings(furnished: Installation, tmp_path: Path) -> None:
    """One's own, none, and one that is no pattern: a sentence with its line."""
    await showing_a_secret(furnished)
    settings = furnished.home.settings
    text = settings.read_text()
    settings.write_text(text.replace('["set:all"]', "['mysq(l)']"))
    file = tmp_path / "redacted.cast"
    furnished("export", "S-1", "--redact", "-o", str(file))
    assert b"mysq[redacted] --password hunter2" in file.read_bytes()
    settings.write_text(text.replace('["set:all"]', "[]"))
    assert "There are no patterns" in furnished("export", "S-1", "--redact", status=1).err
    settings.write_text(text.replace('["set:all"]', '["(?=x)"]'))
    said = furnished("export", "S-1", "--redact", status=1).err
    assert "recording.redact" in said
    assert "is no pattern of RE2: invalid perl operator" in said


# Recordings that are encrypted


@pytest.fixture
async def encrypted(furnished: Installation) -> Installation:
    """An installation that encrypts, and in which a shell was."""
    settings = furnished.home.settings
    settings.write_text(settings.read_text().replace("# encrypt = false", "encrypt = true"))
    with furnished.services() as services:
        await recorded(services.archive, Kind.SHELL)
    return furnished


def test_an_encrypted_recording_is_opened_by_an_identity(
    encrypted: Installation, tmp_path: Path, replayed: Replays
) -> None:
    """Without one it is a sentence that says what to do, and no look."""
    identity = ("--identity", str(encrypted.home.auditor))
    for words in (("replay", "S-1"), ("export", "S-1"), ("export", "S-1", "--raw", "stdout")):
        said = encrypted(*words, status=1)
        assert said.err == (
            "bastion-admin: S-1 is encrypted to the auditors: --identity FILE opens it.\n"
        )
    assert encrypted("audit", "--what", "recording.looked_at", "--json").out == ""
    assert replayed(encrypted, "S-1", *identity) == "Password: \r\n$ "
    typed = replayed(encrypted, "S-1", *identity, "--input", "--unmask")
    assert "typed  hunter2\\r" in typed
    file = tmp_path / "out"
    encrypted("export", "S-1", "--raw", "stdout", *identity, "-o", str(file))
    assert file.read_bytes() == b"Password: \r\n$ "
    other = Installation(tmp_path / "other").home.auditor
    said = encrypted("replay", "S-1", "--identity", str(other), status=1)
    assert said.err.endswith("S-1.cast.zst.age: this identity does not open this recording.\n")


def test_the_cover_itself_is_exported(encrypted: Installation, tmp_path: Path) -> None:
    """As it lies there; of a recording that is plain there is none."""
    file = tmp_path / "S-1.cast.zst.age"
    encrypted("export", "S-1", "--raw", "encrypted", "-o", str(file))
    assert file.read_bytes().startswith(b"age-encryption.org/v1\n")
    shown = encrypted("show", "S-1", "--json").json["recording"]
    assert (shown["encrypted"], shown["compacted_size"]) == (True, file.stat().st_size)


async def test_verify_says_how_far_it_has_looked(encrypted: Installation) -> None:
    """Without a key at the cover, with one at what it holds."""
    said = encrypted("verify", "S-1")
    assert "S-1 is encrypted: the file is what was sealed." in said.err
    identity = ("--identity", str(encrypted.home.auditor))
    assert "is encrypted" not in encrypted("verify", "S-1", *identity).err
    assert encrypted("verify", "S-1", "--json").json["encrypted"] is True
    assert "goes with one session" in encrypted("verify", "--all", *identity, status=2).err
    encrypted("verify", "--all")
    with encrypted.services() as services:
        session = services.index.get(1)
        assert session is not None
        file = covered_path(encrypted.home.recordings / session.recording.path)
    flip(file)
    assert "S-1.cast.zst.age was changed" in encrypted("verify", "S-1", status=1).out


def test_a_plain_recording_needs_no_identity(busy: Installation, replayed: Replays) -> None:
    """One that is given does no harm, and there is nothing encrypted to export."""
    identity = ("--identity", str(busy.home.auditor))
    assert replayed(busy, "S-1", *identity) == "Password: \r\n$ "
    said = busy("export", "S-1", "--raw", "encrypted", status=1).err
    assert "S-1 is not encrypted: leave out --raw encrypted." in said
    assert "S-1 is encrypted" not in busy("verify", "S-1").err


def test_over_ssh_the_cover_is_fetched(encrypted: Installation) -> None:
    """The identity stays where it is: nothing is opened on the bastion."""
    with encrypted.services() as services:
        olga = Remote(services, "olga")
        for line in (("replay", "S-1"), ("export", "S-1")):
            said = olga(*line, status=1)
            assert "ssh bastion export S-1 --raw encrypted fetches it" in said.err
        assert olga("export", "S-1", "--raw", "encrypted").data.startswith(b"age-encryption.org")
        assert olga("export", "S-1", "--raw", "sent").data.startswith(b'{"bastion-sent"')


def test_encrypting_to_nobody_is_refused(furnished: Installation) -> None:
    """At once, and not when the first recording is lost."""
    settings = furnished.home.settings
    lines = [line for line in settings.read_text().splitlines() if "age1" not in line]
    text = "\n".join(lines).replace("# encrypt = false", "encrypt = true")
    settings.write_text(text)
    said = furnished("sessions", status=1).err
    assert "encrypt needs auditors: name their public keys" in said
    assert said.count("\n") == 1


# Transcripts


def test_a_transcript_tells_what_was_typed_too(busy: Installation) -> None:
    """Behind a mark of its own; by an identity, and each look is told."""
    identity = ("--input", "--identity", str(busy.home.auditor))
    lines = busy("transcript", "S-1", *identity).out.splitlines()
    assert "[0:00:00] > ********\\r (not echoed: masked, a guess)" in lines
    assert "[0:00:00]   Password:" in lines
    places = {
        each["place"]: each["text"] for each in busy("transcript", "S-1", *identity, "--json").json
    }
    assert places.keys() == {"screen", "typed"}
    assert "> hunter2\\r" in busy("transcript", "S-1", *identity, "--unmask").out
    script = busy("transcript", "S-2", *identity, "--json").json
    found = [(each["place"], each["text"]) for each in script]
    assert found[0] == ("command", "bash -s")
    assert ("piped", "hunter2\\r") in found
    told = busy("audit", "--what", "recording.looked_at", "--json").out
    assert '"how":"transcript input"' in told
    assert '"how":"transcript input unmasked"' in told
    assert "hunter2" not in busy("transcript", "S-1").out
    assert "--input needs --identity" in busy("transcript", "S-1", "--input", status=2).err


async def test_a_transcript_is_redacted(furnished: Installation) -> None:
    """As the settings say, and how often is said; what was typed is redacted, too."""
    await showing_a_secret(furnished)
    said = furnished("transcript", "S-1")
    assert "mysql --password [redacted] db" in said.out
    assert "$ x --token [redacted]" in said.out
    assert said.err == "2 places redacted: patterns find what they know.\n"
    identity = ("--input", "--identity", str(furnished.home.auditor))
    with furnished.services() as services:
        info = SessionInfo(31, "alice", 1, "web-1", "deploy", Kind.EXEC, "192.0.2.7", "sh")
        async with services.archive.record(info) as recording:
            recording.sent(b"psql --password hunter2\n")
    assert "> psql --password [redacted]" in furnished("transcript", "S-2", *identity).out
    settings = furnished.home.settings
    settings.write_text(settings.read_text().replace('["set:all"]', "[]"))
    assert "hunter2" in furnished("transcript", "S-1").out


def test_a_transcript_of_an_encrypted_recording_needs_an_identity(
    encrypted: Installation,
) -> None:
    """Here and over SSH it is said what can be done."""
    assert "--identity FILE opens it" in encrypted("transcript", "S-1", status=1).err
    identity = ("--identity", str(encrypted.home.auditor))
    assert "Password:" in encrypted("transcript", "S-1", *identity).out
    assert "> hunter2" in encrypted("transcript", "S-1", *identity, "--input", "--unmask").out
    with encrypted.services() as services:
        said = Remote(services, "olga")("transcript", "S-1", status=1)
    assert "ssh bastion export S-1 --raw encrypted fetches it" in said.err
