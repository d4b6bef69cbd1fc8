"""An object store in memory, that can be away, lie, and refuse to take anything away."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from recorder import Archive, Index, Session
from recorder.database import Database
from recorder.errors import RecordingMissing, StoreAway
from recorder.fetched import Fetched
from recorder.inspection import Inspection
from recorder.objects import PIECE, Lying, Objects
from recorder.places import Places
from recorder.shelf import Shelf
from recorder.shipments import Shipments
from recorder.shipping import Shipping
from recorder.spool import Spool
from recorder.stored import Stored
from recorder.tombstones import Tombstones
from tests.recorder.inspectors import inspector
from tests.recorder.places import Clock
from tests.recorder.sealed import Place


class Killed(Exception):
    """The process is gone."""


class Memory:
    """An object store. `dies` is after how many objects more whoever makes one is killed."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.away = False
        self.locked = False
        self.lists_more = 0
        self.dies = -1
        self.made: list[str] = []

    def make(self, name: str, content: bytes) -> bool:
        self._answer()
        if name in self.objects:
            return False
        if self.dies == 0:
            raise Killed
        self.dies -= 1
        self.objects[name] = content
        self.made.append(name)
        return True

    def read(self, name: str) -> Iterator[bytes]:
        self._answer()
        if name not in self.objects:
            raise RecordingMissing(f"{name} is missing")
        content = self.objects[name]
        yield from (content[start : start + 1000] for start in range(0, len(content), 1000))

    def listed(self, folder: str) -> Iterator[Lying]:
        self._answer()
        for name in sorted(self.objects):
            if name.startswith(f"{folder}/"):
                yield Lying(name, len(self.objects[name]) + self.lists_more)

    def remove(self, name: str) -> None:
        self._answer()
        if self.locked:
            raise StoreAway("mem:// lets nothing be taken away: it is locked")
        self.objects.pop(name, None)

    def _answer(self) -> None:
        if self.away:
            raise StoreAway("mem:// does not answer")


class Endless(Memory):
    """One that lists what it was given, and never ends when it gives it back. `given` counts."""

    given = 0

    def read(self, name: str) -> Iterator[bytes]:
        yield from super().read(name)
        while self.given < 64 * PIECE:
            self.given += 1000
            yield bytes(1000)


class Elsewhere:
    """Another machine on the same database and the same store, with no recordings of its own."""

    def __init__(self, home: Path, place: Place, database: Database, shelf: Shelf) -> None:
        home.mkdir()
        self.recordings, self.fetched = home / "recordings", home / "fetched"
        copies = Fetched(self.fetched, shelf, place.seals, limit=1 << 20, floor=0)
        self.places = Places(self.recordings, copies, lambda runner: runner != "other")
        self.archive = Archive(
            self.recordings, place.index, recipients=[], limit=1 << 20, places=self.places
        )
        self.inspection: Inspection = inspector(
            self.recordings,
            place.index,
            database,
            judge=place.keys.signed,
            told=place.log.of,
            places=self.places,
            stored=Stored(shelf),
        )

    def shown(self, session: Session) -> str:
        """What a replay shows."""
        return "".join(event.data for event in self.archive.open(session).events())

    def found(self, session: int) -> list[str]:
        """What is wrong with one."""
        return [finding.sentence for finding in self.inspection.session(session)]


class Port:
    """What ships the recordings of a place, and who was told of what could not go."""

    def __init__(self, place: Place, database: Database, clock: Clock, store: Objects) -> None:
        self.place, self.database, self.clock = place, database, clock
        self.memory = store if isinstance(store, Memory) else Memory()
        self.shelf = Shelf(store)
        self.shipments = Shipments(database)
        self.told: list[str] = []
        self.shipping = Shipping(
            *(place.recordings, place.index, place.seals),
            shipments=self.shipments,
            shelf=self.shelf,
            places=Places(place.recordings),
            sound=place.inspection.alone,
            told=lambda session, why: self.told.append(f"{session.name}: {why}"),
            now=clock.now,
        )

    def spool(self, keep: timedelta | None) -> Spool:
        """What is in the store stays for so long."""
        return Spool(
            *(self.place.recordings, self.place.index, self.place.seals),
            tombstones=Tombstones(self.database),
            shipments=self.shipments,
            stored=Stored(self.shelf),
            sound=self.place.inspection.alone,
            departed=self.place.inspection.departed,
            keep=keep,
            told=lambda session, why: self.told.append(f"{session.name}: {why}"),
            now=self.clock.now,
        )

    def elsewhere(self, home: Path) -> Elsewhere:
        """Another machine."""
        return Elsewhere(home, self.place, self.database, self.shelf)

    def later(self) -> list[str]:
        """Ship when all is settled."""
        self.clock.seconds += timedelta(hours=1, minutes=1).total_seconds()
        return self.shipping.run()

    def row(self, session: Session) -> Session:
        """As the database has it now."""
        return got(self.place.index, session.id)

    def files(self) -> list[str]:
        """The objects that there are, by name, without their day."""
        return [name.split("/", 3)[3] for name in sorted(self.memory.objects)]


def got(index: Index, number: int) -> Session:
    found = index.get(number)
    assert found is not None
    return found
