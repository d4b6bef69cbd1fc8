"""The spool: recordings that the object store has are not kept on this machine for ever.

Before one goes from here it is read back from the store, and has to be what was sealed, as has what
lies here. What another machine has let go, while this one was away, goes as well. It blocks.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from recorder.departed import TOMBSTONE, Departed, lying
from recorder.errors import RecorderError, StoreAway
from recorder.files import sync_directory
from recorder.index import Index
from recorder.objects import folder_of
from recorder.seal import MANIFEST, SIGNATURE
from recorder.seals import Seals
from recorder.session import Session, Shipment
from recorder.shipments import Shipments
from recorder.shipping import Sound, Told
from recorder.stored import Stored
from recorder.tombstones import Tombstones
from recorder.verify import Finding

_PAGE = 200
_MANIFEST = re.compile(r"S-(?P<number>[0-9]{1,18})(-[0-9]{1,2})?\.manifest", re.ASCII)


class Spool:
    """The files below `directory`, of which those that are in the store stay for `keep`.

    None is for ever, but for what was let go.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        seals: Seals,
        *,
        tombstones: Tombstones,
        shipments: Shipments,
        stored: Stored,
        sound: Sound,
        departed: Departed,
        keep: timedelta | None,
        told: Told,
        now: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._index = index
        self._seals = seals
        self._tombstones = tombstones
        self._shipments = shipments
        self._stored = stored
        self._sound = sound
        self._departed = departed
        self._keep = keep
        self._told = told
        self._now = now

    def run(self, pause: Callable[[], object] = lambda: None) -> list[str]:
        """Take away what has been here for long enough; sentences on what could not go.

        `pause` is called between two pieces; what it raises ends the run. Raises StoreAway,
        IndexUnavailable.
        """
        problems: list[str] = []
        for session in self._due():
            try:
                problems += self._let_go(session, pause)
            except StoreAway:
                raise
            except (RecorderError, OSError, ValueError, TypeError) as error:
                problems.append(f"{session.name} stays here, though the store has it: {error}")
        return problems

    def _due(self) -> Iterator[Session]:
        """What lies here tells which: the database knows of all machines' recordings."""
        before = None if self._keep is None else self._now() - self._keep
        for day in sorted(self._directory.glob("[0-9]*/[0-9]*/[0-9]*")):
            for session in self._sealed(day):
                left = session.recording.let_go_at is not None and self._is_left(session)
                if left or _is_due(session, before):
                    yield session

    def _sealed(self, day: Path) -> Iterator[Session]:
        found = filter(None, (_MANIFEST.fullmatch(file.name) for file in day.iterdir()))
        numbers = sorted({int(match["number"]) for match in found})
        for start in range(0, len(numbers), _PAGE):
            read = self._index.read(numbers[start : start + _PAGE])
            yield from (session for session in read.values() if session is not None)

    def _let_go(self, session: Session, pause: Callable[[], object]) -> list[str]:
        if problems := self._unsound(session, pause):
            return problems
        stem = self._directory / folder_of(session)
        for file in lying(stem.parent, stem.name):
            file.unlink(missing_ok=True)
        for suffix in (SIGNATURE, MANIFEST):  # the last tells that there is something to be done
            stem.with_name(stem.name + suffix).unlink(missing_ok=True)
        sync_directory(stem.parent)
        return []

    def _is_left(self, session: Session) -> bool:
        """Whether it was let go by another machine: no tombstone of it is here."""
        stem = self._directory / folder_of(session)
        laid = stem.with_name(stem.name + TOMBSTONE).exists()
        found = None if laid else self._tombstones.of(session.id)
        return found is not None and found.finished

    def _unsound(self, session: Session, pause: Callable[[], object]) -> list[str]:
        """Whether something speaks against it: a row alone is no reason to take anything away."""
        kept = self._seals.of(session.id)
        if kept is None:
            raise ValueError("its seal is missing")
        if session.recording.let_go_at is not None:
            laid = self._tombstones.of(session.id)
            return _sentences(session, self._departed.about(session, kept, laid, here=False))
        if found := _sentences(session, self._sound(session, kept)):
            return found
        for finding in self._stored.about(session, kept, None, lambda _: pause()):
            why = f"what the object store gives back is not what was sealed: {finding.sentence}"
            self._told(session, why)
            self._shipments.keep(session.id, Shipment.OTHER)
            return [f"{session.name} stays here: {why}"]
        return []


def _sentences(session: Session, findings: Iterable[Finding]) -> list[str]:
    return [f"{session.name} stays here: {finding.sentence}" for finding in findings]


def _is_due(session: Session, before: datetime | None) -> bool:
    recording = session.recording
    if before is None:
        return False
    over = session.ended_at is not None and session.ended_at < before
    return over and recording.shipment is Shipment.SHIPPED and recording.let_go_at is None
