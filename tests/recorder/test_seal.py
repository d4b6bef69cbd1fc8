"""Seals: each recording that is over has one; whatever interrupts it, it is finished later."""

import asyncio
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from recorder import (
    Archive,
    EndReason,
    Index,
    IndexUnavailable,
    Kept,
    NotSealed,
    Sealing,
    Seals,
    Session,
    Stored,
)
from recorder.database import Database
from recorder.manifest import read_manifest, sha256_of
from recorder.session import Ending
from tests.recorder.places import Clock, exec_of


class Notary:
    """Signs, and hears of seals, unless it is away."""

    def __init__(self) -> None:
        self.away = False
        self.heard: list[tuple[str, str]] = []
        self.before_told: Callable[[], None] = lambda: None

    def sign(self, manifest: bytes) -> str:
        if self.away:
            raise NotSealed("the key does not answer")
        return f"signed {sha256_of(manifest.decode())}\n"

    def told(self, _: object, sealed: Sequence[tuple[Session, Kept]]) -> None:
        self.before_told()
        self.heard += [(session.name, kept.sha256) for session, kept in sealed]


@pytest.fixture
def notary() -> Notary:
    return Notary()


@pytest.fixture
def seals(database: Database) -> Seals:
    return Seals(database)


@pytest.fixture
def sealing(recordings: Path, index: Index, seals: Seals, notary: Notary, clock: Clock) -> Sealing:
    return Sealing(
        recordings,
        index,
        seals,
        sign=notary.sign,
        told=notary.told,
        node="gate",
        now=clock.now,
        elsewhere=lambda runner: runner == "other gate's",
    )


@pytest.fixture
def archive(recordings: Path, index: Index, clock: Clock, sealing: Sealing) -> Archive:
    return Archive(
        recordings, index, recipients=[], limit=1 << 20, now=clock.now, clock=clock, sealing=sealing
    )


async def recorded(archive: Archive, index: Index) -> Session:
    """A session that is over."""
    async with archive.record(exec_of()) as recording:
        recording.shown(b"hello")
        recording.exited(0)
    found = index.get(recording.session)
    assert found is not None
    return found


def beside(recordings: Path, session: Session, suffix: str) -> Path:
    return (recordings / session.recording.path).with_suffix(suffix)


async def test_a_session_that_is_over_is_sealed(
    archive: Archive, index: Index, seals: Seals, notary: Notary, recordings: Path
) -> None:
    """Its manifest says what the row does; both files are for their owner only."""
    session = await recorded(archive, index)
    assert session.recording.sealed
    kept = seals.of(session.id)
    assert kept is not None
    manifest = read_manifest(kept.manifest)
    assert (manifest.number, manifest.previous, manifest.name) == (1, None, "S-1")
    assert (manifest.user, manifest.command, manifest.exit_status) == ("alice", "uname -a", 0)
    cast = manifest.part(".cast")
    assert cast is not None
    assert (cast.sha256, cast.size) == (session.recording.sha256, session.recording.size)
    for suffix, text in ((".manifest", kept.manifest), (".manifest.sig", kept.signature)):
        file = beside(recordings, session, suffix)
        assert file.read_text() == text
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert notary.heard == [("S-1", kept.sha256)]


async def test_each_manifest_names_the_one_before(
    archive: Archive, index: Index, seals: Seals
) -> None:
    """By its hash, in the order in which they were sealed."""
    for _ in range(3):
        await recorded(archive, index)
    kept = list(seals.all())
    manifests = [read_manifest(each.manifest) for each in kept]
    assert [each.number for each in manifests] == [1, 2, 3]
    assert [each.previous for each in manifests] == [None, kept[0].sha256, kept[1].sha256]


async def test_a_key_that_is_away_ends_no_session_badly(
    archive: Archive, index: Index, notary: Notary, recordings: Path
) -> None:
    """It is over, and sealed when the key is back."""
    notary.away = True
    session = await recorded(archive, index)
    assert (session.end_reason, session.recording.sealed) == ("closed", False)
    assert await archive.seal_pending() == ["S-1 is not sealed: the key does not answer"]
    notary.away = False
    assert await archive.seal_pending() == []
    again = index.get(session.id)
    assert again is not None
    assert again.recording.sealed
    assert beside(recordings, session, ".manifest").exists()


@pytest.mark.parametrize("step", ["keep", "manifest", "signature", "told", "done"])
async def test_a_kill_between_two_steps_is_finished_later(
    archive: Archive,
    index: Index,
    seals: Seals,
    *,
    notary: Notary,
    recordings: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """Nothing is numbered twice, and all is there."""

    def killed(*_: object) -> None:
        raise SystemExit

    def killed_at_signature(*files: tuple[Path, bytes]) -> None:
        path, content = files[0]
        path.write_bytes(content)
        killed()

    with monkeypatch.context() as patched:
        if step in ("keep", "done"):
            patched.setattr(seals, step, killed)
        elif step == "told":
            notary.before_told = killed
        else:
            writes = killed if step == "manifest" else killed_at_signature
            patched.setattr("recorder.seal.write_beside", writes)
        with pytest.raises(SystemExit):
            await recorded(archive, index)
    notary.before_told = lambda: None
    before = index.get(1)
    assert before is not None
    assert not before.live
    assert not before.recording.sealed
    assert await archive.seal_pending() == []
    session = index.get(1)
    assert session is not None
    assert session.recording.sealed
    [kept] = seals.all()
    assert beside(recordings, session, ".manifest").read_text() == kept.manifest
    assert beside(recordings, session, ".manifest.sig").read_text() == kept.signature


async def test_one_that_cannot_be_sealed_keeps_no_other(
    archive: Archive, index: Index, notary: Notary, recordings: Path
) -> None:
    """Here a directory lies in the way of the first one's manifest."""
    notary.away = True
    first, second = [await recorded(archive, index) for _ in range(2)]
    notary.away = False
    beside(recordings, first, ".manifest").mkdir()
    [problem] = await archive.seal_pending()
    assert problem.startswith("S-1 is not sealed: its seal can't be written")
    found = index.get(second.id)
    assert found is not None
    assert found.recording.sealed


async def test_what_another_machine_recorded_is_for_that_one_to_seal(
    archive: Archive, database: Database, index: Index, notary: Notary, clock: Clock
) -> None:
    """Its files lie there: here it would be sealed without them."""
    theirs = Index(database, "other gate's")
    session = theirs.add(exec_of(), clock.now(), lambda number: f"2026/11/23/S-{number}.cast")
    theirs.complete(session.id, Ending(EndReason.CLOSED, clock.now()), Stored("x", "0" * 64))
    own = await recorded(archive, index)
    assert await archive.seal_pending() == []
    assert [name for name, _ in notary.heard] == [own.name]


async def test_those_that_end_together_share_a_turn(
    archive: Archive, index: Index, seals: Seals, notary: Notary
) -> None:
    """Numbered one after another, each naming the one before, and told of once."""
    notary.away = True
    for _ in range(6):
        await recorded(archive, index)
    notary.away = False
    await asyncio.gather(*(asyncio.to_thread(archive._seal, number) for number in range(1, 7)))
    kept = list(seals.all())
    manifests = [read_manifest(each.manifest) for each in kept]
    assert sorted(each.session for each in manifests) == [1, 2, 3, 4, 5, 6]
    assert [each.previous for each in manifests] == [None, *(each.sha256 for each in kept[:-1])]
    assert sorted(notary.heard) == sorted((f"S-{each.session}", each.sha256) for each in kept)
    assert all(session.recording.sealed for session in index.find())


async def test_a_seal_is_kept_with_its_event_or_not_at_all(
    archive: Archive, index: Index, seals: Seals, notary: Notary
) -> None:
    """Where the log can't take it, the session is sealed later."""

    def full() -> None:
        raise IndexUnavailable("the log is full")

    notary.before_told = full
    await recorded(archive, index)
    assert list(seals.all()) == []
    notary.before_told = lambda: None
    assert await archive.seal_pending() == []
    [kept] = seals.all()
    assert notary.heard == [("S-1", kept.sha256)]
