"""Trailing: what grows is in the object store a round later, whatever is killed or away."""

from collections.abc import AsyncIterator

import pytest

from recorder import Recording
from recorder.errors import StoreAway
from recorder.objects import LIVE, PIECE, folder_of
from recorder.places import Places
from recorder.shelf import Shelf
from recorder.trailing import Behind, Trailing
from tests.recorder.places import Clock, Sqlite, exec_of
from tests.recorder.sealed import Place, flip
from tests.recorder.stores import Killed, Memory, Port


class Following:
    """A live session, and what follows it into a store."""

    def __init__(self, place: Place, clock: Clock, memory: Memory, recording: Recording) -> None:
        self.place, self.clock, self.memory = place, clock, memory
        self.recording = recording
        self.told: list[str] = []
        self.trailing = self.begun()

    def begun(self) -> Trailing:
        """By a process that has just begun."""
        return Trailing(
            self.place.recordings,
            self.place.index,
            Shelf(self.memory),
            Places(self.place.recordings),
            told=lambda session, why: self.told.append(f"{session.name}: {why}"),
            clock=self.clock,
        )

    def stored(self, suffix: str = ".cast") -> bytes:
        """What the store has of it."""
        session = self.place.index.get(self.recording.session)
        assert session is not None
        shelf, folder = Shelf(self.memory), f"{folder_of(session)}/{LIVE}"
        return b"".join(shelf.chunks(shelf.files(folder).get(f"{session.name}{suffix}", [])))

    def lying(self, suffix: str = ".cast") -> bytes:
        """What is on the disk."""
        return self.recording.path.with_suffix(suffix).read_bytes()


@pytest.fixture
async def following(place: Place, clock: Clock) -> AsyncIterator[Following]:
    recording = await place.archive.begin(exec_of())
    yield Following(place, clock, Memory(), recording)
    await place.archive.finish(recording)


def test_each_round_is_a_part(following: Following) -> None:
    """Of whatever has grown; nothing for what has not."""
    for text in (b"one\r\n", b"two\r\n"):
        following.recording.shown(text)
        following.recording.sent(b"secret")
        assert following.trailing.run() == []
    assert following.trailing.run() == []
    names = [name.split("/")[-1] for name in following.memory.made]
    assert names[0] == "S-1.cast"
    assert len([name for name in names if name.startswith("S-1.cast")]) == 2
    assert (following.stored(), following.stored(".sent")) == (
        following.lying(),
        following.lying(".sent"),
    )
    assert following.trailing.behind() == Behind()


def test_a_line_that_is_not_whole_waits(following: Following) -> None:
    """What is torn may be cut here, and must not be there."""
    following.recording.shown(b"one\r\n")
    with following.recording.path.open("ab") as file:
        file.write(b'[1.0, "o", "to')
    following.trailing.run()
    assert following.stored() == following.lying().rpartition(b"\n")[0] + b"\n"
    assert following.trailing.behind().size == len(b'[1.0, "o", "to')


def test_whoever_comes_after_goes_on(following: Following) -> None:
    """Killed between two parts, or between one and another: the store says how far it came."""
    for number in range(5):
        following.recording.shown(b"line %d\r\n" % number)
        following.memory.dies = 1
        with pytest.raises(Killed):
            following.begun().run()
    following.memory.dies = -1
    following.begun().run()
    assert following.stored() == following.lying()
    assert following.stored(".sent") == following.lying(".sent")
    assert following.told == []


def test_a_store_that_is_away_gets_it_when_it_is_back(following: Following, clock: Clock) -> None:
    """Nothing is left out; what it is behind can be read."""
    following.trailing.run()
    following.memory.away = True
    for _ in range(3):
        following.recording.shown(b"more\r\n")
        with pytest.raises(StoreAway):
            following.trailing.run()
        clock.seconds += 10
    following.memory.away, behind = False, following.trailing.behind()
    assert (behind.size, behind.seconds) == (len(following.lying()) - len(following.stored()), 30)
    assert following.trailing.run() == []
    assert following.stored() == following.lying()
    assert following.trailing.behind() == Behind()


def test_what_was_changed_under_us_is_told_of_once(following: Following) -> None:
    """By whoever writes in the store, or on this disk: the parts stay as they are."""
    following.recording.shown(b"one\r\n")
    following.trailing.run()
    before = dict(following.memory.objects)
    flip(following.recording.path)
    following.recording.shown(b"two\r\n")
    again = following.begun()
    [said] = again.run()
    assert "the store has other bytes in " in said
    assert again.run() == []
    assert len(following.told) == 1
    assert following.memory.objects == before


def test_a_store_that_lists_more_than_it_has_is_told_of(following: Following) -> None:
    """Nobody would follow what grows any further, and nobody would know."""
    following.recording.shown(b"one\r\n")
    following.trailing.run()
    following.memory.lists_more = 1000
    [said] = following.begun().run()
    assert "in the object store has not the size it lists" in said
    assert len(following.told) == 1


def test_a_flood_comes_in_parts(following: Following) -> None:
    """Each of a bounded size; others have their turn in between."""
    line = b'[1.0, "o", "' + b"x" * 100_000 + b'"]\n'
    with following.recording.path.open("ab") as file:
        for _ in range(5 * PIECE // len(line)):
            file.write(line)
    following.trailing.run()
    assert max(map(len, following.memory.objects.values())) <= PIECE
    assert following.trailing.behind().size > 0
    following.trailing.run()
    assert following.stored() == following.lying()


async def test_what_is_over_is_followed_to_its_end(
    place: Place, database: Sqlite, clock: Clock
) -> None:
    """Until it has gone whole; then its parts are taken away, and it is left alone."""
    memory = Memory()
    recording = await place.archive.begin(exec_of())
    following = Following(place, clock, memory, recording)
    following.trailing.run()
    recording.shown(b"the last\r\n")
    await place.archive.finish(recording)
    following.trailing.run()
    assert following.stored() == following.lying()
    port = Port(place, database, clock, memory)
    assert port.later() == []
    assert port.files() == [
        "S-1/S-1.cast",
        "S-1/S-1.manifest",
        "S-1/S-1.manifest.sig",
        "S-1/S-1.sent",
    ]
    following.trailing.run()
    assert len(memory.objects) == 4
