"""Arriving: what another machine records now can be read here, as far as the store has it."""

import os
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from recorder import Session
from recorder.arriving import Arriving
from recorder.errors import CorruptRecording, NotYetStored, StoreAway
from recorder.places import Places
from recorder.shelf import Shelf
from recorder.sweeping import LIVE_COPIES, Sweeping
from recorder.trailing import Trailing
from tests.recorder.places import Clock, exec_of
from tests.recorder.sealed import Place
from tests.recorder.stores import Endless, Memory


class Abroad:
    """A session of one machine, and the copies of another that shares the store."""

    def __init__(self, place: Place, clock: Clock, home: Path, memory: Memory) -> None:
        self.place, self.memory = place, memory
        self.copies = home / "fetched"
        home.mkdir()
        self.room = True
        shelf = Shelf(memory)
        self.trailing = Trailing(
            *(place.recordings, place.index, shelf, Places(place.recordings)),
            told=lambda *_: None,
            clock=clock,
        )
        self.arriving = Arriving(self.copies / LIVE_COPIES, shelf, self.make_room)
        self.places = Places(home, elsewhere=lambda _: True, arriving=self.arriving)

    def make_room(self, _size: int) -> None:
        if not self.room:
            raise StoreAway("no room")

    def session(self, number: int = 1) -> Session:
        """As its row is now, which names the process that carries it."""
        found = self.place.index.get(number)
        assert found is not None
        return replace(found, runner="gate")

    def read(self) -> bytes:
        """What a reader finds that begins now."""
        session = self.session()
        return (self.places.root(session) / session.recording.path).read_bytes()

    def copy(self) -> Path:
        """Where it lies."""
        return self.copies / LIVE_COPIES / self.session().recording.path


@pytest.fixture
async def abroad(place: Place, clock: Clock, tmp_path: Path) -> AsyncIterator[Abroad]:
    made = Abroad(place, clock, tmp_path / "other", Memory())
    async with place.archive.record(exec_of()) as recording:
        recording.shown(b"one\r\n")
        made.trailing.run()
        yield made


def lying(abroad: Abroad) -> bytes:
    """What its own machine has of it."""
    return (abroad.place.recordings / abroad.session().recording.path).read_bytes()


def grow(abroad: Abroad, text: bytes) -> None:
    """More is shown, and in the store."""
    with (abroad.place.recordings / abroad.session().recording.path).open("ab") as file:
        file.write(b'[1.0, "o", "%s"]\n' % text)
    abroad.trailing.run()


def test_it_is_there_and_grows(abroad: Abroad) -> None:
    """Whoever has it open reads on where it was; nobody else on the machine may read it."""
    assert abroad.read() == lying(abroad)
    with abroad.copy().open("rb") as reading:
        before = reading.read()
        for text in (b"two", b"three"):
            grow(abroad, text)
            assert abroad.arriving.catch_up(abroad.session()) == len(lying(abroad))
        assert before + reading.read() == lying(abroad)
    assert stat.S_IMODE(abroad.copy().stat().st_mode) == 0o600
    assert stat.S_IMODE(abroad.copy().parent.stat().st_mode) == 0o700


def test_what_is_torn_comes_again(abroad: Abroad) -> None:
    """Somebody was killed in the middle of a part: who has it open sees each byte once."""
    abroad.read()
    whole = lying(abroad)
    grow(abroad, b"two")
    with abroad.copy().open("ab") as file:
        file.write(lying(abroad)[len(whole) :][:5])
    with abroad.copy().open("rb") as reading:
        seen = reading.read()
        assert abroad.read() == lying(abroad)
        assert seen + reading.read() == lying(abroad)


def test_without_a_part_it_is_said_where_it_is(abroad: Abroad) -> None:
    """The store has nothing yet, or nothing of what is to be encrypted."""
    abroad.memory.objects.clear()
    with pytest.raises(NotYetStored, match="is on the machine that records it"):
        abroad.read()
    assert not abroad.copies.joinpath(LIVE_COPIES).exists()


def test_another_sessions_parts_are_not_shown(abroad: Abroad) -> None:
    """Whoever may write in the store shows nobody the one for the other."""
    objects = abroad.memory.objects
    for name, content in list(objects.items()):
        objects[name] = content.replace(b'"session": 1', b'"session": 2').replace(
            b'"session":1', b'"session":2'
        )
    with pytest.raises(CorruptRecording, match="another session's"):
        abroad.read()


async def test_a_part_that_never_ends_fills_no_disk(
    place: Place, clock: Clock, tmp_path: Path
) -> None:
    """No part has more bytes than we ever put into one."""
    made = Abroad(place, clock, tmp_path / "endless", Endless())
    async with place.archive.record(exec_of()):
        made.trailing.run()
        with pytest.raises(CorruptRecording, match="has over"):
            made.read()
    assert sum(file.stat().st_size for file in made.copies.rglob("*.cast")) == 0


def test_without_room_nothing_comes(abroad: Abroad) -> None:
    """A copy is worth less than a disk that has room for what is recorded here."""
    abroad.read()
    grow(abroad, b"two")
    abroad.room = False
    with pytest.raises(StoreAway):
        abroad.arriving.catch_up(abroad.session())
    os.unlink(abroad.copy())  # noqa: PTH108 - by whoever made room
    with pytest.raises(StoreAway, match="had to make room"):
        abroad.arriving.catch_up(abroad.session())


async def test_copies_go_when_it_is_over(place: Place, clock: Clock, tmp_path: Path) -> None:
    """From then on its seal is what it is read by; a live one's stays."""
    made = Abroad(place, clock, tmp_path / "other", Memory())
    sweeping = Sweeping(made.copies, place.index)
    async with place.archive.record(exec_of()):
        made.trailing.run()
        made.read()
        sweeping.run()
        assert made.copy().exists()
    sweeping.run()
    assert not made.copy().exists()
