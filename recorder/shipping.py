"""Shipping: recordings that are over go from this machine into the object store, one by one.

    the files     what was shown, what was sent, as they lie here when they have their last form
    S-31.manifest.sig, S-31.manifest
    shipped       the session's row says so

Whatever ends this between two of them, the next run goes on: each object is made once. Only what
is sound goes; what the store has otherwise is told, and never changed. It blocks.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from recorder.errors import OtherBytes, RecorderError, StoreAway
from recorder.index import Index
from recorder.manifest import read_manifest
from recorder.objects import LIVE, folder_of
from recorder.places import Places
from recorder.plain import lying_path, plain_path
from recorder.resting import Resting
from recorder.seal import MANIFEST, SIGNATURE
from recorder.seals import Kept, Seals
from recorder.session import Session, Shipment
from recorder.shelf import Shelf
from recorder.shipments import Shipments
from recorder.stored import lying_parts, stays
from recorder.verify import Finding

SETTLED: Final = timedelta(hours=1)
"""How long a recording waits to be compacted before it goes as it is."""

AGAIN: Final = timedelta(minutes=5)
"""How long one that could not go is left alone."""

_PAGE = 100

Told = Callable[[Session, str], None]
"""Is told of a recording that can't go for good, and why, perhaps twice. Raises RecorderError."""

Sound = Callable[[Session, Kept], list[Finding]]
"""What is wrong with a recording that lies here (`Inspection.alone`)."""


class Shipping:
    """Ships the recordings that lie below `directory`. One at a time has to do it.

    `pause` is called between two pieces of a file; what it raises ends the run.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        seals: Seals,
        *,
        shipments: Shipments,
        shelf: Shelf,
        places: Places,
        sound: Sound,
        told: Told,
        now: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._index = index
        self._seals = seals
        self._shipments = shipments
        self._shelf = shelf
        self._places = places
        self._sound = sound
        self._told = told
        self._now = now
        self._resting = Resting(AGAIN)

    def run(self, pause: Callable[[], object] = lambda: None) -> list[str]:
        """Ship all that is due; sentences on what could not go. Raises StoreAway,
        IndexUnavailable: then what is left is for the next run."""
        problems: list[str] = []
        for session in self._due():
            try:
                problems += self._ship(session, pause)
            except StoreAway:
                raise
            except (RecorderError, OSError, ValueError, TypeError) as error:
                self._resting.leave(session.id, self._now())
                problems.append(f"{session.name} is not in the store yet: {error}")
        return problems

    def _due(self) -> Iterator[Session]:
        last, now = 0, self._now()
        self._resting.wake(now)
        while page := self._shipments.due(now - SETTLED, limit=_PAGE, after=last):
            read = self._index.read(page)
            found = (read.get(number) for number in self._resting.awake(page))
            yield from (each for each in found if each is not None and self._places.is_here(each))
            last = page[-1]

    def _ship(self, session: Session, pause: Callable[[], object]) -> list[str]:
        kept = self._seals.of(session.id)
        if kept is None:
            raise ValueError("its seal is missing")
        for finding in self._sound(session, kept):
            return self._refuse(session, Shipment.CORRUPT, finding.sentence)
        try:
            self._put(session, kept, pause)
        except OtherBytes as error:
            return self._refuse(session, Shipment.OTHER, str(error))
        self._shipments.keep(session.id, Shipment.SHIPPED)
        self._tidy(session)
        return []

    def _tidy(self, session: Session) -> None:
        """What came while it grew is not needed any more; a store may keep it all the same.

        One that was let go meanwhile is not to come back.
        """
        now = self._index.get(session.id)
        gone = now is not None and now.recording.let_go_at is not None
        with suppress(StoreAway):
            folder = folder_of(session)
            if gone:
                self._shelf.remove(folder, lambda file: stays(session, file))
            else:
                self._shelf.remove(f"{folder}/{LIVE}")

    def _put(self, session: Session, kept: Kept, pause: Callable[[], object]) -> None:
        folder = folder_of(session)
        plain = plain_path(self._directory / session.recording.path)
        for part in lying_parts(read_manifest(kept.manifest)):
            file = plain.with_name(part.name)
            self._shelf.put(folder, lying_path(file) if file == plain else file, pause)
        for suffix, text in ((SIGNATURE, kept.signature), (MANIFEST, kept.manifest)):
            name = plain.with_suffix(suffix).name
            self._shelf.put_piece(folder, name, 0, text.encode("utf-8", "surrogateescape"))

    def _refuse(self, session: Session, shipment: Shipment, why: str) -> list[str]:
        self._told(session, why)
        self._shipments.keep(session.id, shipment)
        return [f"{session.name} does not go into the store: {why}"]
