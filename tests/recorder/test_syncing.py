"""What was recorded reaches the disk while the session goes on."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from recorder import Archive, RecordingFailed
from recorder.pen import Pen
from recorder.syncing import Syncing
from tests.recorder.places import Clock, shell


class Disk:
    """Stands in for the disk: it counts what it is asked, and hangs or refuses when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self._heard = threading.Event()
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.refuses = False
        self._real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        self.asked += 1
        self._heard.set()
        assert self.goes_on.wait(10)
        if self.refuses:
            raise OSError(errno.EIO, "Input/output error")
        self._real(descriptor)

    async def hangs(self) -> None:
        """Until it is asked, and does not answer."""
        assert await asyncio.to_thread(self._heard.wait, 10)

    def hang(self) -> None:
        """From now on."""
        self._heard.clear()
        self.goes_on.clear()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_only_what_has_grown_is_synced(archive: Archive, disk: Disk) -> None:
    """Both files once; nothing where nothing was written since."""
    async with archive.record(shell()) as recording:
        await archive.sync()
        first, disk.asked = disk.asked, 0
        assert first >= 1
        await archive.sync()
        assert disk.asked == 0
        recording.shown(b"x")
        await archive.sync()
        assert disk.asked == 1
    disk.asked = 0
    await archive.sync()
    assert disk.asked == 0


async def test_a_disk_that_refuses_ends_the_recording(archive: Archive, disk: Disk) -> None:
    """At the next thing that would be shown."""
    recording = await archive.begin(shell())
    recording.shown(b"x")
    disk.refuses = True
    await archive.sync()
    assert recording.broken
    with pytest.raises(RecordingFailed, match="Input/output error"):
        recording.shown(b"y")
    with pytest.raises(RecordingFailed, match="Input/output error"):
        await archive.finish(recording)


async def test_how_far_the_disk_is_behind(archive: Archive, disk: Disk, clock: Clock) -> None:
    """From the first byte that it does not have; a session that shows nothing is not behind."""
    async with archive.record(shell()) as recording:
        await archive.sync()
        clock.seconds += 60
        assert archive.behind == 0
        await archive.sync()
        recording.shown(b"x")
        disk.hang()
        async with asyncio.TaskGroup() as group:
            group.create_task(archive.sync())
            await disk.hangs()
            recording.shown(b"y")
            clock.seconds += 7
            assert archive.behind == 7
            disk.goes_on.set()
        await archive.sync()
        assert archive.behind == 0


async def test_a_pen_may_be_closed_while_the_disk_is_asked(tmp_path: Path, disk: Disk) -> None:
    """It has a descriptor of its own, which is closed afterwards."""
    pen, syncing = Pen.new(tmp_path / "x"), Syncing(Clock())
    syncing.add(pen)
    pen.write(b"x")
    disk.hang()
    async with asyncio.TaskGroup() as group:
        group.create_task(syncing.sync())
        await disk.hangs()
        syncing.remove(pen)
        pen.close()
        disk.goes_on.set()
    assert tmp_path / "x" not in opened_here()
    assert syncing.behind == 0


def opened_here() -> set[Path]:
    """The files that this process has open."""
    return {file.readlink() for file in Path("/proc/self/fd").iterdir() if file.is_symlink()}


async def test_no_descriptor_is_left_for_it(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there was one for is synced, nothing stays open, and the others come with the next."""
    clock = Clock()
    syncing = Syncing(clock)
    pens = [Pen.new(tmp_path / f"{number}.cast") for number in range(5)]
    syncing.add(*pens)
    for pen in pens:
        pen.write(b"x")
    real, left = os.dup, [1, 1]

    def duplicated(descriptor: int) -> int:
        if not left:
            raise OSError(errno.EMFILE, "Too many open files")
        left.pop()
        return real(descriptor)

    before = _opened()
    monkeypatch.setattr(os, "dup", duplicated)
    clock.seconds += 3
    await syncing.sync()
    assert (disk.asked, syncing.behind) == (2, 3)
    assert _opened() == before
    monkeypatch.setattr(os, "dup", real)
    await syncing.sync()
    assert (disk.asked, syncing.behind) == (5, 0)
    for pen in pens:
        pen.close()


def _opened() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))
