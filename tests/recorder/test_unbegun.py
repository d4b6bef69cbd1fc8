"""What a process leaves that dies while it begins a recording: it is removed, and nothing else."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import Archive, Index
from recorder.unbegun import YOUNG, remove_unbegun
from tests.recorder.places import Clock, shell

Begun = Callable[[str], Path]


@pytest.fixture
async def header(archive: Archive) -> tuple[bytes, bytes, Path]:
    """The first lines of a recording and its track, and where they lie; that one has ended."""
    async with archive.record(shell()) as recording:
        cast = recording.path.read_bytes()
        sent = recording.path.with_suffix(".sent").read_bytes()
    return cast, sent, recording.path.parent


@pytest.fixture
def begun(header: tuple[bytes, bytes, Path]) -> Begun:
    """Makes the files of one that no row has."""

    def made(name: str) -> Path:
        path = header[2] / f"{name}.cast"
        path.write_bytes(header[0])
        path.with_suffix(".sent").write_bytes(header[1])
        return path

    return made


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is young any more."""
    at = time.time() + YOUNG + 1
    monkeypatch.setattr(time, "time", lambda: at)


@pytest.mark.usefixtures("later")
async def test_it_is_removed(
    begun: Begun, recordings: Path, index: Index, clock: Clock, archive: Archive
) -> None:
    """Of a number that never came, and of one that another session has by now; torn ones too."""
    never, again, torn = begun("S-7"), begun("S-1-2"), begun("S-9")
    torn.write_bytes(b"")
    torn.with_suffix(".sent").unlink()
    assert await archive.remove_unbegun() == ["S-1-2.cast", "S-7.cast", "S-9.cast"]
    for gone in (never, again, torn):
        assert not gone.exists()
        assert not gone.with_suffix(".sent").exists()
    assert (never.parent / "S-1.cast").exists()
    assert remove_unbegun(recordings, index, clock.now()) == []


@pytest.mark.usefixtures("later")
async def test_what_has_shown_something_stays(
    begun: Begun, recordings: Path, index: Index, clock: Clock
) -> None:
    """One more byte, in either file: whoever deleted a row is found by it."""
    shown, sent = begun("S-7"), begun("S-8")
    with shown.open("ab") as file:
        file.write(b"[")
    with sent.with_suffix(".sent").open("ab") as file:
        file.write(b"\0")
    assert remove_unbegun(recordings, index, clock.now()) == []
    assert shown.exists()
    assert sent.exists()


@pytest.mark.usefixtures("later")
async def test_one_that_begins_or_is_live_stays(
    archive: Archive, recordings: Path, index: Index, clock: Clock, begun: Begun
) -> None:
    """Its row has it, or somebody holds its lock."""
    locked = begun("S-7")
    async with archive.record(shell()) as live:
        held = os.open(locked, os.O_RDONLY)
        shutil.copy(live.path, live.path.with_name("S-8.cast"))  # nobody's, and not written
        fcntl.flock(held, fcntl.LOCK_EX)
        assert remove_unbegun(recordings, index, clock.now()) == ["S-8.cast"]
        os.close(held)
        assert live.path.exists()
    assert remove_unbegun(recordings, index, clock.now()) == ["S-7.cast"]


async def test_one_that_is_young_stays(
    begun: Begun, recordings: Path, index: Index, clock: Clock
) -> None:
    """It may be on its way into the table."""
    begun("S-7")
    assert remove_unbegun(recordings, index, clock.now()) == []
