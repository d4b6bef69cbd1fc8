"""Following a recording while it grows."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from recorder import Archive, EndReason, Kind, Recording, Size
from recorder.following import FLOOD, LAST, LONGEST, follow
from recorder.remainder import EVERY_BYTES
from recorder.screen import CLEAR
from recorder.screen_filter import LEAVE
from tests.recorder.places import exec_of, shell


class Watcher:
    """Somebody who follows a recording in a thread."""

    def __init__(
        self, archive: Archive, recording: Recording, over: Callable[[], bool] | None = None
    ) -> None:
        self.over = over or self._over
        self._index = archive._index
        self._session = recording.session
        self._news = threading.Condition()
        self._text = ""
        session = self._index.get(recording.session)
        assert session is not None
        self._reader = archive.open(session)
        self._left = False
        self._going = threading.Event()
        self._going.set()
        self._looked = threading.Event()

    def run(self) -> str:
        """Until the session is over, or the watcher leaves."""
        follow(self._reader, self._show, over=self.over, wait=self._wait)
        return self._text

    async def looked(self) -> None:
        """Until it has looked once more, and found nothing."""
        self._looked.clear()
        assert await asyncio.to_thread(self._looked.wait, 10)

    def leave(self) -> None:
        """As by ctrl-c."""
        self._left = True

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It looks at nothing until the end of the block."""
        self._going.clear()
        yield
        self._going.set()

    async def sees(self, text: str) -> None:
        """Until it was shown."""
        await asyncio.to_thread(self._until, text)

    def _until(self, text: str) -> None:
        with self._news:
            assert self._news.wait_for(lambda: text in self._text, 10), self._text

    def _show(self, text: str) -> None:
        with self._news:
            self._text += text
            self._news.notify_all()

    def _over(self) -> bool:
        session = self._index.get(self._session)
        return session is None or not session.live

    def _wait(self) -> None:
        assert self._going.wait(10)
        self._looked.set()
        if self._left:
            raise KeyboardInterrupt
        threading.Event().wait(0.005)


@pytest.fixture
async def recording(archive: Archive) -> AsyncIterator[Recording]:
    """A live session on a terminal of 80 times 24."""
    begun = await archive.begin(shell(Size(80, 24)))
    yield begun
    await archive.finish(begun)


async def test_it_begins_with_the_screen_and_goes_on(
    archive: Archive, recording: Recording
) -> None:
    """What scrolled away or was written over is not shown again; what comes is, until the end."""
    recording.shown(b"gone\x1b[H\x1b[2J10 %\r99 %\r\n$ ")
    first, second = Watcher(archive, recording), Watcher(archive, recording)
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(asyncio.to_thread(each.run)) for each in (first, second)]
        for each in (first, second):
            await each.sees("$ ")
        recording.shown(b"ls\r\n")
        for each in (first, second):
            await each.sees("ls\r\n")
        recording.shown("é\x1b]0;title\x07 end".encode())
        recording.end(EndReason.CLOSED)
        await archive.finish(recording)
    for task in watching:
        seen = task.result()
        assert seen.startswith(CLEAR)
        assert "gone" not in seen
        assert "10 %" not in seen
        assert "99 %" in seen
        assert "title" not in seen
        assert "é end" in seen
        assert seen.endswith(LEAVE)


async def test_a_torn_line_is_waited_for(archive: Archive, recording: Recording) -> None:
    """A write that is half there is no error; it is shown when it is whole."""
    watcher = Watcher(archive, recording)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(watcher.run))
        await watcher.sees(CLEAR)
        with recording.path.open("ab") as file:
            file.write(b'[1.0,"o","ha')
            file.flush()
            await watcher.looked()
            file.write(b'lf"]\n')
        await watcher.sees("half")
        await archive.finish(recording)


async def test_whoever_leaves_leaves_the_session_alone(
    archive: Archive, recording: Recording
) -> None:
    """And the watcher's terminal is as it was."""
    watcher = Watcher(archive, recording)

    async def watch() -> None:
        with pytest.raises(KeyboardInterrupt):
            await asyncio.to_thread(watcher.run)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        await watcher.sees(CLEAR)
        watcher.leave()
    await watcher.sees(LEAVE)
    recording.shown(b"still")
    assert not recording.broken


async def test_without_a_terminal_lines_begin_at_the_left(archive: Archive) -> None:
    """As the contractor's own terminal shows them."""
    begun = await archive.begin(exec_of("ls"))
    begun.shown(b"one\ntwo\n")
    watcher = Watcher(archive, begun)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(asyncio.to_thread(watcher.run))
        await watcher.sees("two")
        begun.shown(b"three\nfour\n")
        await watcher.sees("four")
        await archive.finish(begun)
    assert "three\r\nfour\r\n" in watching.result()


async def test_who_cannot_keep_up_is_shown_the_present_screen(
    archive: Archive, recording: Recording
) -> None:
    """Of a flood she is shown where it stands now and then, and at its end all is right."""
    watcher = Watcher(archive, recording)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(asyncio.to_thread(watcher.run))
        await watcher.sees(CLEAR)
        with watcher.stopped():
            for number in range(3000):
                recording.shown(b"\x1b]0;%d" % number + b"x" * 1024 + b"\r\n")
            recording.shown(b"\x1b\\\x1b[H\x1b[2Jthe end")
        await watcher.sees("the end")
        recording.shown(b" and more")
        await watcher.sees(" and more")
        await archive.finish(recording)
    seen = watching.result()
    assert len(seen) < FLOOD
    assert seen.count(CLEAR) >= 2


async def test_of_a_long_recording_the_last_is_read(archive: Archive, recording: Recording) -> None:
    """What stands on the screen was drawn lately; a torn line at the edge is no error."""
    with recording.path.open("ab") as file:
        file.write(b"whoever reads this finds that it is no event\n")
    for _ in range(LONGEST // 1024 + 1000):
        recording.shown(b"y" * 1024)
    recording.shown(b"\x1b[H\x1b[2Jpresent")
    watcher = Watcher(archive, recording)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(watcher.run))
        await watcher.sees("present")
        await archive.finish(recording)


async def test_a_line_that_is_longer_than_what_is_read_is_waited_for(
    archive: Archive, recording: Recording
) -> None:
    """Where the last of a flood is one line that is not whole yet, the next one is shown."""
    watcher = Watcher(archive, recording)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(watcher.run))
        await watcher.sees(CLEAR)
        with recording.path.open("ab") as file:
            with watcher.stopped():
                for _ in range(8):
                    file.write(b'[1.0,"o","%s"]\n' % (b"z" * LAST))
                file.write(b'[1.0,"o","%s' % (b"z" * LAST))
                file.flush()
            await watcher.looked()
            file.write(b'"]\n[1.0,"o","whole"]\n')
        await watcher.sees("whole")
        await archive.finish(recording)


async def test_the_last_line_of_a_recording_ends_it(archive: Archive, recording: Recording) -> None:
    """Whatever the index says: nobody has to ask it all the time."""
    watcher = Watcher(archive, recording, over=lambda: False)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(asyncio.to_thread(watcher.run))
        await watcher.sees(CLEAR)
        recording.shown(b"bye")
        await archive.finish(recording)
    assert "bye" in watching.result()


async def test_of_what_is_not_kept_the_amount_is_shown(archive: Archive) -> None:
    """As of a forward, whose bytes are nobody's to see."""
    forward = replace(exec_of("db-1:5432"), kind=Kind.FORWARD)
    recording = await archive.begin(forward)
    watcher = Watcher(archive, recording)
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(watcher.run))
        await watcher.sees(CLEAR)
        recording.shown(bytes(EVERY_BYTES))
        await watcher.sees(f"bastion: {EVERY_BYTES} bytes, which are not kept, have come by now.")
        await archive.finish(recording)
