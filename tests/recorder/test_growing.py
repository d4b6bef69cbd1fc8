"""What grows has its checkpoints: what is cut or changed before it is sealed is found."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import Archive, Recording, RecordingFailed, Seals
from recorder.manifest import Held, read_manifest
from recorder.seals import Beginning
from tests.recorder.places import MORNING, Clock, exec_of
from tests.recorder.sealed import Place


@pytest.fixture
def archive(place: Place) -> Archive:
    return place.archive


def abandon(recording: Recording) -> None:
    """Its process is gone: the kernel has closed its files and locks."""
    for pen in recording.pens:
        pen.close()


async def checkpointed(archive: Archive, *, later: bytes = b"") -> Recording:
    """A recording that grows, with a checkpoint; `later` was shown after it."""
    recording = await archive.begin(exec_of())
    recording.shown(b"ls\r\n" * 20)
    recording.sent(b"x" * 20)
    await archive.checkpoint()
    if later:
        recording.shown(later)
    return recording


def cut(file: Path) -> None:
    """Of its lines the last is gone, whole."""
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))


def change(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"ls", b"rm"))


def turn(file: Path) -> None:
    """One bit of a file that is no text."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


async def test_a_checkpoint_tells_how_far_both_files_have_come(
    archive: Archive, seals: Seals, clock: Clock
) -> None:
    """Their sizes, and the hashes of what was there by then."""
    recording = await archive.begin(exec_of())
    recording.shown(b"hello")
    clock.seconds += 10
    await archive.checkpoint()
    prefix = seals.prefix(1)
    assert prefix is not None
    assert (prefix.at - MORNING).total_seconds() == 10
    for began, suffix in ((prefix.shown, ".cast"), (prefix.sent, ".sent")):
        content = recording.path.with_suffix(suffix).read_bytes()
        assert began == Beginning(len(content), hashlib.sha256(content).hexdigest())
    await archive.finish(recording)
    assert seals.prefix(1) is None


async def test_only_what_has_grown_is_kept_anew(
    archive: Archive, seals: Seals, clock: Clock
) -> None:
    """A session that shows nothing costs nothing."""
    first, _ = await archive.begin(exec_of()), await archive.begin(exec_of())
    await archive.checkpoint()
    clock.seconds += 10
    first.shown(b"hello")
    await archive.checkpoint()
    times = [prefix.at for number in (1, 2) if (prefix := seals.prefix(number)) is not None]
    assert times == [clock.now(), MORNING]


async def test_what_the_disk_refuses_is_not_kept(
    archive: Archive, seals: Seals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the end of a disk would look like somebody's doing."""

    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    recording = await archive.begin(exec_of())
    monkeypatch.setattr("os.fdatasync", refuse)
    await archive.checkpoint()
    assert recording.broken
    assert seals.prefix(1) is None


@pytest.mark.parametrize(
    ("suffix", "spoil", "held"),
    [
        (".cast", lambda _: None, Held.WHOLE),
        (".cast", cut, Held.CUT),
        (".cast", change, Held.CHANGED),
        (".sent", cut, Held.CUT),
        (".sent", turn, Held.CHANGED),
        (".sent", Path.unlink, Held.CUT),
    ],
)
async def test_what_was_done_to_it_after_a_kill_is_sealed_and_found(
    archive: Archive,
    seals: Seals,
    place: Place,
    *,
    suffix: str,
    spoil: object,
    held: Held,
) -> None:
    """The next start holds the files against the checkpoint before it mends anything."""
    recording = await checkpointed(archive)
    abandon(recording)
    assert callable(spoil)
    spoil(recording.path.with_suffix(suffix))
    [recovered] = await archive.recover()
    assert (recovered.problem is None) == (held is Held.WHOLE)
    assert await archive.seal_pending() == []
    kept = seals.of(1)
    assert kept is not None
    assert read_manifest(kept.manifest).checkpoint is held
    found = place.found(1)
    assert any("its checkpoint did not hold" in said for said in found) == (held is not Held.WHOLE)
    assert bool(found) == (held is not Held.WHOLE)


async def test_a_recording_that_is_gone_after_a_kill_is_found(
    archive: Archive, place: Place
) -> None:
    """Sealed without it, and said so; so it is without a checkpoint."""
    for recording in (await checkpointed(archive), await archive.begin(exec_of())):
        abandon(recording)
        recording.path.unlink()
    await archive.recover()
    assert await archive.seal_pending() == []
    missing = "its .cast was missing when it was sealed."
    assert place.found(1) == [
        "S-1: it was cut before it was sealed: its checkpoint did not hold.",
        f"S-1: {missing}",
    ]
    assert f"S-2: {missing}" in place.found(2)


async def test_the_first_word_stays(place: Place, archive: Archive, seals: Seals) -> None:
    """Killed again between that and the end of recovery: what was found is not found anew."""
    recording = await checkpointed(archive)
    abandon(recording)
    whole = recording.path.read_bytes()
    cut(recording.path)
    assert place.sealing.hold(1) is Held.CUT
    recording.path.write_bytes(whole)
    assert place.sealing.hold(1) is Held.CUT
    prefix = seals.prefix(1)
    assert prefix is not None
    assert prefix.held is Held.CUT


async def test_one_that_is_written_still_is_left_alone(archive: Archive, seals: Seals) -> None:
    """By another process: its checkpoint is for later."""
    await checkpointed(archive)
    assert await archive.recover() == []
    prefix = seals.prefix(1)
    assert prefix is not None
    assert prefix.held is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "S-1: S-1.cast was cut since its checkpoint of 09:00:00 UTC."),
        (change, "S-1: S-1.cast was changed since its checkpoint of 09:00:00 UTC."),
    ],
)
async def test_a_live_one_is_held_against_its_checkpoint(
    archive: Archive, place: Place, spoil: Callable[[Path], object], said: str
) -> None:
    """While it goes on; what came later is not known yet."""
    recording = await checkpointed(archive)
    assert place.found(1) == []
    spoil(recording.path)
    assert place.found(1) == [said]


async def test_a_failure_is_held_against_the_checkpoint_too(
    archive: Archive, seals: Seals, place: Place
) -> None:
    """Its file is mended, and then hashed as it lies there: a change must not be sealed unseen."""
    recording = await checkpointed(archive)
    change(recording.path)
    recording.pens[0].refused(OSError(5, "Input/output error"))
    with pytest.raises(RecordingFailed):
        await archive.finish(recording)
    kept = seals.of(1)
    assert kept is not None
    assert read_manifest(kept.manifest).checkpoint is Held.CHANGED
    assert "it was changed before it was sealed" in place.found(1)[0]


async def test_a_track_that_was_changed_meanwhile_is_not_sealed_as_it_lies(
    archive: Archive, place: Place
) -> None:
    """The recording's last line tells what was sent, so a change of the track is found."""
    recording = await checkpointed(archive)
    turn(recording.path.with_suffix(".sent"))
    await archive.finish(recording)
    assert place.found(1) == ["S-1: S-1.sent was changed."]
