"""Escaping the record: nothing passes unrecorded, and what was recorded does not go unseen.

Seen elsewhere: on a write error the session goes on unrecorded; signing was configured and never
happened; a user or the operator deletes or edits a recording; a corrupt one blocks the others; root
signs everything anew; escapes in a recording attack the reviewer's terminal.
"""

import errno
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import UpdateBase, delete, update

from bastion.actor import Actor
from bastion.authority.sshsig import sign
from bastion.compacting import compacting
from bastion.errors import Unavailable
from recorder import Session
from recorder import index_tables as tables
from recorder.manifest import NAMESPACE, sha256_of
from recorder.space import Marks, Space
from tests.bastion.forger import relink
from tests.bastion.logs import GUARDED
from tests.cli.desks import Installation
from tests.corpus.world import World, until
from tests.postgres import on_sqlite


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording is to be sealed at once."""
    monkeypatch.setattr("recorder.inspection.PATIENCE", timedelta(0))
    monkeypatch.setattr("recorder.rounds.PATIENCE", timedelta(0))


async def ran(world: World, *commands: str) -> list[Session]:
    """Sessions that are over, one for each command."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        for command in commands:
            await inner.run(command)
    return await world.settled()


def cast(world: World, session: Session) -> Path:
    """Where its recording lies."""
    return world.services.settings.recordings(world.services.home) / session.recording.path


def admin(world: World) -> Installation:
    """Somebody at the machine."""
    return Installation.at(world.services.home)


def findings(world: World, *words: str) -> list[str]:
    """What `verify` finds: of one, or of all."""
    said = admin(world)("verify", *(words or ("--all",)), "--json", status=1).json
    return [each["sentence"] for each in said["findings"]]


def replayed(world: World, number: str, screen: pytest.CaptureFixture[str]) -> str:
    """What a replay shows."""
    screen.readouterr()
    admin(world)("replay", number)
    return screen.readouterr().out


def written(world: World, statement: UpdateBase) -> None:
    """By somebody who may write into the database."""
    with world.services.store.write() as connection:
        connection.execute(statement)


def in_a_file(world: World) -> sqlite3.Connection:
    """The database in the hands of somebody who may do all with its file."""
    made = sqlite3.connect(world.services.home.directory / "bastion.db", isolation_level=None)
    made.execute("PRAGMA busy_timeout = 5000")
    return made


# Nothing passes unrecorded


class Full:
    """A disk that is full from now on, as far as recordings go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, descriptor: int, data: bytes) -> int:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if self.full and path.suffix in (".cast", ".sent"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, data)


async def test_a_session_that_cannot_be_recorded_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Warpgate, koko, Tailscale, hoop, Octelium: it goes on unrecorded."""
    disk, alice = Full(monkeypatch), world.contractor()
    async with world.jump(alice) as inner:
        process = await inner.create_process("echo on; exec cat")
        assert await process.stdout.readline() == "on\n"
        disk.full = True
        process.stdin.write("secret\n")
        assert "secret" not in await process.stdout.read()
        assert process.returncode == 255
    disk.full = False
    await until(lambda: not world.sessions[0].live)
    assert world.sessions[0].end_reason == "recording_failed"
    assert "secret" not in world.shown(world.sessions[0])


# What was recorded stays


async def test_signing_that_never_happens_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2025-59339: configured, and no signature was ever made."""

    def away(*_: object) -> str:
        raise Unavailable("The key does not answer.")

    monkeypatch.setattr("bastion.sealing.sign", away)
    alice = world.contractor()
    async with world.jump(alice) as inner:
        await inner.run("id")
    await until(lambda: not world.sessions[0].live)
    assert findings(world) == ["S-1: it is over and was never sealed."]
    assert findings(world, "S-1") == ["S-1: it is over and was never sealed."]


def edit(file: Path) -> None:
    """Another word, of the same length."""
    file.write_bytes(file.read_bytes().replace(b"guilty", b"honest"))


def shorten(file: Path) -> None:
    """The last lines are gone."""
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-3]))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (edit, "S-2: S-2.cast was changed."),
        (shorten, "S-2: S-2.cast was cut"),
        (Path.unlink, "S-2: S-2.cast is missing."),
    ],
)
async def test_a_recording_that_was_edited_or_deleted_is_found(
    world: World, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], said: str
) -> None:
    """And the others are as good, as readable and as sound as before."""
    sessions = await ran(world, "echo innocent", "echo guilty", "echo innocent too")
    spoil(cast(world, sessions[1]))
    [found] = findings(world)
    assert found.startswith(said)
    for number in ("S-1", "S-3"):
        admin(world)("verify", number)
        assert "innocent" in replayed(world, number, capsys)
    assert [row["id"] for row in admin(world)("sessions", "--json").json] == ["S-3", "S-2", "S-1"]


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_session_that_was_taken_away_whole_is_missed(world: World, number: int) -> None:
    """Row, seal and files, the newest one too: the log tells that it was."""
    sessions = await ran(world, "echo 1", "echo 2", "echo 3")
    for file in cast(world, sessions[number - 1]).parent.glob(f"S-{number}.*"):
        file.unlink()
    written(world, delete(tables.sessions).where(tables.sessions.c.id == number))
    assert findings(world)
    written(world, delete(tables.seals).where(tables.seals.c.session == number))
    gone = f"S-{number}: its row is missing, and its seal: the log tells that it began."
    assert gone in findings(world)


async def test_a_recording_without_a_row_is_found(world: World) -> None:
    """A file that nobody knows is as suspicious as one that is gone."""
    [session] = await ran(world, "echo 1")
    stray = cast(world, session).with_name("S-9.cast")
    stray.write_bytes(cast(world, session).read_bytes())
    assert findings(world) == ["S-9.cast belongs to no session."]


async def test_a_corrupt_recording_blocks_no_other(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """teleport#18936, #61538: one that can't be read stopped the uploads of all."""
    sessions = await ran(world, "echo innocent", "echo innocent too")
    cast(world, sessions[0]).write_bytes(b"\xff" * 4096)
    written(
        world, update(tables.sessions).where(tables.sessions.c.id == 1).values(kind="unheard-of")
    )
    said = admin(world)("replay", "S-1", status=1)
    assert "Traceback" not in said.err
    assert "innocent too" in replayed(world, "S-2", capsys)
    assert [row["id"] for row in admin(world)("sessions", "--json").json] == ["S-2"]
    assert all(sentence.startswith("S-1") for sentence in findings(world))
    assert await world.services.archive.recover() == []


async def test_a_corrupt_recording_keeps_no_other_from_being_compacted(world: World) -> None:
    """The same: it is told of once and stays as it is, and so does one whose row can't be read."""
    sessions = await ran(world, *(f"seq 1 {20_000 + number}" for number in range(3)))
    services = world.services
    file = cast(world, sessions[1])
    file.write_bytes(file.read_bytes().replace(b"19999", b"99991"))
    written(
        world, update(tables.sessions).where(tables.sessions.c.id == 1).values(kind="unheard-of")
    )
    made = compacting(
        services.settings.recordings(services.home),
        services.index,
        Space(services.home.directory, Marks(0, 0, 0)),
        after=timedelta(0),
        journal=services.journal,
        service=Actor("bastion"),
        now=lambda: world.now + timedelta(minutes=1),
    )
    corrupt = "its content has another SHA-256 than its row"
    assert await made.run() == [f"S-2 is corrupt and stays as it is: {corrupt}"]
    assert await made.run() == []
    kinds = ("*.cast", "*.cast.zst")
    lie = [sorted(file.name for file in services.home.directory.rglob(kind)) for kind in kinds]
    assert lie == [["S-1.cast", "S-2.cast"], ["S-3.cast.zst"]]
    told = admin(world)("audit", "--what", "recording.corrupt", "--json").out.splitlines()
    assert [json.loads(line)["why"] for line in told] == [corrupt]


# Root signs anew


def signed_anew(world: World, session: Session) -> str:
    """The recording is edited, and file, row, manifest and signature are made to fit it."""
    file = cast(world, session)
    edit(file)
    sha256 = sha256_of(file.read_text())
    kept = world.services.seals.of(session.id)
    assert kept is not None
    manifest = kept.manifest.replace(str(session.recording.sha256), sha256)
    signature = sign(world.services.authority.seal, NAMESPACE, manifest.encode())
    file.with_suffix(".manifest").write_text(manifest)
    file.with_suffix(".manifest.sig").write_text(signature)
    row = update(tables.sessions).where(tables.sessions.c.id == session.id)
    written(world, row.values(sha256=sha256))
    seal = update(tables.seals).where(tables.seals.c.session == session.id)
    signed = {"manifest": manifest, "signature": signature, "sha256": sha256_of(manifest)}
    written(world, seal.values(signed))
    return sha256_of(manifest)


async def test_who_signs_a_recording_anew_has_told_the_log(world: World) -> None:
    """With the seal key, and everything that belongs to the recording."""
    [session] = await ran(world, "echo guilty")
    assert "Not anchored" in admin(world)("verify", "S-1").out
    signed_anew(world, session)
    assert findings(world) == ["S-1: the log of events was told of another seal."]


@on_sqlite("the forger writes the log anew in SQLite's words")
async def test_who_writes_the_log_anew_too_is_found_by_what_has_left(world: World) -> None:
    """Nothing on the machine speaks against her; the checkpoint that was sent out does."""
    [session] = await ran(world, "echo guilty")
    world.services.sealer.seal()
    kept = world.services.journal.checkpoints(limit=1)[0]
    world.services.journal.move_cursor("anchor elsewhere", kept.number, world.now)
    assert "was sent to elsewhere" in admin(world)("verify", "S-1").out
    sha256 = signed_anew(world, session)
    with closing(in_a_file(world)) as raw:
        told_anew(raw, session, sha256)
    other = f"S-1: checkpoint {kept.number} has other events than the log has now."
    assert findings(world, "S-1") == [other]
    admin(world)("audit", "verify", "--checkpoint", f"{kept.number}:{kept.sha256}", status=1)


def told_anew(raw: sqlite3.Connection, session: Session, sha256: str) -> None:
    """The event of its seal is changed, and all that follows is hashed anew."""
    for table in GUARDED:
        for act in ("update", "delete", "replace"):
            raw.execute(f"DROP TRIGGER {table}_no_{act}")
    event, details = raw.execute(
        "SELECT id, details FROM events WHERE what = 'recording.sealed' AND session = ?",
        (session.id,),
    ).fetchone()
    told = {**json.loads(details), "sha256": sha256}
    changed = json.dumps(told, separators=(",", ":"), sort_keys=True)
    raw.execute("UPDATE events SET details = ? WHERE id = ?", (changed, event))
    relink(raw, event)


# Whoever looks


async def test_a_recording_does_nothing_to_who_looks_at_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Titles, the clipboard, questions that the terminal answers as if she had typed."""
    attack = r"printf 'a\033]0;owned\007b\033]52;c;cm0=\007c\033[6n\033[cd\033P+q544e\033\\e'"
    await ran(world, attack)
    shown = replayed(world, "S-1", capsys)
    assert "abcde" in shown
    assert "\x1b]" not in shown
    assert not [each for each in ("\x1b[6n", "\x1b[c", "\x1bP") if each in shown]
    assert "]0;owned" in world.shown(world.sessions[0])
