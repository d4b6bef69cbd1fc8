"""Inspecting a recording as it lies: its row, its files and its seal are read, and judged.

One recording at a time; all of them are `rounds`. Whatever is wrong with one is a finding, never an
end: rows, seals and files may be anything.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from recorder.age import Identity
from recorder.compacted import scenes_hold
from recorder.covered import opened_covered
from recorder.departed import Departed, beside
from recorder.errors import CorruptRecording, RecorderError, StoreAway
from recorder.growing import stands
from recorder.index import Index
from recorder.manifest import Manifest, Part, read_manifest
from recorder.places import Places
from recorder.plain import CHUNK, ZST, covered_path, lying_path, plain_chunks, plain_path
from recorder.returned import RETURNED
from recorder.seal import MANIFEST, SIGNATURE
from recorder.seals import Kept, Prefix, Seals
from recorder.session import Compaction, Session, session_name
from recorder.stored import COVERING, Count, Stored, hashed
from recorder.tombstones import Laid
from recorder.verify import (
    Finding,
    Judge,
    Measure,
    Seal,
    Wrong,
    about_beginning,
    about_file,
    about_generation,
    about_link,
    about_row,
    about_seal,
    about_told,
)

PATIENCE: Final = timedelta(minutes=1)
"""How long a session may be over without its seal."""

Told = Callable[[Collection[int]], Mapping[int, Sequence[str]]]
"""Of these sessions, the SHA-256 of the seals that the log of events was told of."""

SLOWEST: Final = 4_000_000
"""Bytes a second that are encrypted at least."""

UNSTORED: Final = timedelta(hours=2)
"""How long another machine has to bring a recording into the store, or to take it away."""

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a session before its files are read.

    `readable` is False where its row, its seal or its tombstone is not what we wrote. `prefix` is
    the checkpoint of one that is live, `laid` its tombstone.
    """

    number: int
    session: Session | None
    kept: Kept | None
    readable: bool
    told: Sequence[str]
    prefix: Prefix | None
    laid: Laid | None = None

    @property
    def name(self) -> str:
        """The session as people say it: `S-31`."""
        return session_name(self.number)


class Inspection:
    """Inspects recordings of one archive. It blocks; nothing is changed.

    `files` may be called by several threads at once. Raises IndexUnavailable.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        seals: Seals,
        signed: Judge,
        *,
        now: Callable[[], datetime],
        departed: Departed,
        told: Told,
        identity: Identity | None = None,
        places: Places | None = None,
        stored: Stored | None = None,
    ) -> None:
        self.directory = directory
        self._places = places or Places(directory)
        self._stored = stored
        self._index = index
        self._seals = seals
        self._signed = signed
        self._now = now
        self._told = told
        self.departed = departed
        self.identity = identity

    def with_identity(self, identity: Identity) -> "Inspection":
        """The same, which looks also into what is encrypted to this identity."""
        other = copy(self)
        other.identity = identity
        return other

    def session(self, number: int, count: Count = lambda _: None) -> list[Finding]:
        """What is wrong with one session's recording, its seal and the places beside that."""
        findings: list[Finding] = []
        for _ in range(_TRIES):
            [case] = self.cases([number])
            findings = [*self._seal(case), *self.files(case, count)]
            if not findings or self.same(case):
                break
        return findings

    def cases(self, numbers: Sequence[int]) -> list[Case]:
        """These sessions, as the database has them."""
        rows, kept = self._index.read(numbers), self._seals.of_all(numbers)
        laid, told = self.departed.of_all(numbers), self._told(numbers)
        read = (rows, kept, laid)
        return [
            Case(
                number,
                rows.get(number),
                kept.get(number),
                all(number not in each or each[number] is not None for each in read),
                told.get(number, ()),
                self._prefix(rows.get(number)),
                laid.get(number),
            )
            for number in numbers
        ]

    def same(self, case: Case) -> bool:
        """Whether it is in the database as it was: else what was found may be of between."""
        return self.cases([case.number]) == [case]

    def files(self, case: Case, count: Count) -> list[Finding]:
        """What is wrong with its row, and with its files."""
        return _settled(case.name, lambda: self._judged(case, count))

    def _prefix(self, session: Session | None) -> Prefix | None:
        return None if session is None or not session.live else self._seals.prefix(session.id)

    def alone(self, session: Session, kept: Kept) -> list[Finding]:
        """What is wrong with one recording by itself, whatever befell those around it."""

        def found() -> Iterator[Finding]:
            yield from about_seal(Seal.judged(kept, self._signed))
            yield from self._own(session, kept)
            yield from self._kept_at(session, kept, None, lambda _: None)

        return _settled(session.name, found)

    def _judged(self, case: Case, count: Count) -> Iterator[Finding]:
        session, kept = case.session, case.kept
        if not case.readable:
            said = f"{case.name}: what the database has of it was changed: it can't be read."
            yield Finding(Wrong.CHANGED, case.name, said)
            return
        if session is None:
            yield Finding(Wrong.MISSING, case.name, f"{case.name}: its row is missing.")
            return
        if kept is None:
            yield from self._without_seal(session, case.prefix)
        else:
            yield from about_told(kept, case.told, sealed=session.recording.sealed)
            yield from self._own(session, kept)
            yield from self._kept_at(session, kept, case.laid, count)
        here = self._stored is None or self._places.is_here(session)
        yield from self.departed.about(session, kept, case.laid, here=here)

    def _kept_at(
        self, session: Session, kept: Kept, laid: Laid | None, count: Count
    ) -> Iterator[Finding]:
        """Its files, wherever they are; of one that was let go, what is left in the store."""
        yield from self._returned(session)
        if self._stored is not None and self._places.is_stored(session):
            late = laid is not None and self._now() - laid.at > UNSTORED
            yield from self._stored.about(session, kept, laid, count, late=late)
            if laid is None and self.identity is not None:
                yield from self._lying(session, kept, count, self._places.root(session))
        elif self._stored is not None and self._places.is_elsewhere(session):
            yield from self._not_yet(session) if laid is None else ()
        else:
            yield from self._beside(session, kept)
            yield from self._lying(session, kept, count) if laid is None else ()

    def _returned(self, session: Session) -> Iterator[Finding]:
        path = plain_path(self.directory / session.recording.path)
        other = path.with_name(path.name + RETURNED)
        if other.exists():
            said = f"{session.name}: {other.name} is another version of it than the one sealed."
            yield Finding(Wrong.ADDED, session.name, said)

    def _not_yet(self, session: Session) -> Iterator[Finding]:
        if session.ended_at is not None and self._now() - session.ended_at > UNSTORED:
            said = f"{session.name}: it is neither here nor in the object store."
            yield Finding(Wrong.MISSING, session.name, said)

    def _without_seal(self, session: Session, prefix: Prefix | None) -> Iterator[Finding]:
        if session.live and self._places.is_elsewhere(session):
            return  # it is for that machine to say
        if session.live and prefix is not None:
            for file, held in stands(self.directory / session.recording.path, prefix):
                yield from about_beginning(session, prefix, file.name, held)
        elif session.recording.sealed:
            yield Finding(Wrong.MISSING, session.name, f"{session.name}: its seal is missing.")
        elif session.ended_at is not None and self._now() - session.ended_at > _patience(session):
            said = f"{session.name}: it is over and was never sealed."
            yield Finding(Wrong.UNSEALED, session.name, said)

    def _beside(self, session: Session, kept: Kept) -> Iterator[Finding]:
        stem = plain_path(self.directory / session.recording.path)
        lie = ((MANIFEST, kept.manifest), (SIGNATURE, kept.signature))
        yield from beside(session, stem, lie, "seal that was kept")

    def _own(self, session: Session, kept: Kept) -> Iterator[Finding]:
        try:
            manifest = read_manifest(kept.manifest)
        except CorruptRecording as error:
            yield Finding(Wrong.CHANGED, session.name, f"{session.name}: {error}.")
            return
        yield from about_row(session, manifest)

    def _lying(
        self, session: Session, kept: Kept, count: Count, root: Path | None = None
    ) -> Iterator[Finding]:
        path = (root or self.directory) / session.recording.path
        directory = path.parent
        try:
            manifest = read_manifest(kept.manifest)
        except CorruptRecording:
            return  # told already
        covered = manifest.covered
        for part in manifest.files:
            if covered is not None and part.name == covered.name.removesuffix(COVERING):
                yield from self._under(session, manifest, path.with_name(part.name), part, count)
            else:
                yield from about_file(manifest, _measured(directory, manifest, part.name, count))
        yield from _scenes(session, plain_path(path))

    def _under(
        self, session: Session, manifest: Manifest, path: Path, cast: Part, count: Count
    ) -> Iterator[Finding]:
        """The cast of a recording that is encrypted: what it holds, and that it is not there."""
        if session.recording.sealed:
            for file in (path, path.with_name(cast.name + ZST)):
                if file.exists():
                    said = f"{session.name}: {file.name} is there, though it was encrypted."
                    yield Finding(Wrong.ADDED, session.name, said)
        if self.identity is not None:
            yield from about_file(manifest, _revealed(path, cast, self.identity, count))

    def _seal(self, case: Case) -> Iterator[Finding]:
        """Its seal, and whether that hangs together with those around it."""
        if case.kept is None:
            return
        number, seal = case.kept.number, Seal.judged(case.kept, self._signed)
        around = self._seals.read([number - 1, number + 1])
        before, after = around.get(number - 1), around.get(number + 1)
        yield from about_seal(seal)
        yield from about_link(before, case.kept)
        if before is not None:
            yield from about_generation(Seal.judged(before, self._signed).generation, seal)
        if after is not None:
            yield from about_link(case.kept, after)


def _patience(session: Session) -> timedelta:
    """A large recording may be encrypted before it is sealed."""
    return PATIENCE + timedelta(seconds=session.recording.size / SLOWEST)


def _scenes(session: Session, stem: Path) -> Iterator[Finding]:
    """What a replay may begin with, where the recording was compacted: it is not in the seal."""
    lying = stem.with_name(stem.name + ZST)
    if session.recording.compaction is not Compaction.COMPACTED or not lying.is_file():
        return
    with lying.open("rb") as file:
        sound = scenes_hold(file, session.recording.points or "")
    if not sound:
        said = f"{session.name}: the screens in {lying.name} are not those that were made of it."
        yield Finding(Wrong.CHANGED, session.name, said)


def _settled(name: str, found: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What was found; that it can't be judged is a finding too."""
    try:
        return list(found())
    except StoreAway:
        raise
    except (RecorderError, ValueError, TypeError, AttributeError, OSError) as error:
        return [Finding(Wrong.CHANGED, name, f"{name}: it can't be judged: {error}.")]


def _measured(directory: Path, manifest: Manifest, name: str, count: Count) -> Measure:
    """Tried again where it is missing: it may be compressed just now, under another name."""
    for _ in range(_TRIES - 1):
        found = _measure(directory, manifest, name, count)
        if found.size is not None:
            return found
    return _measure(directory, manifest, name, count)


def _measure(directory: Path, manifest: Manifest, name: str, count: Count) -> Measure:
    """No more is read than was sealed, and one piece: a bomb is found, not unpacked."""
    most = max((each.size for each in manifest.files if each.name == name), default=0)
    return hashed(name, lambda: plain_chunks(lying_path(directory / name)), most, count)


def _revealed(path: Path, cast: Part, identity: Identity, count: Count) -> Measure:
    """What an encrypted recording holds."""

    def chunks() -> Iterator[bytes]:
        with opened_covered(covered_path(path), identity) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    return hashed(cast.name, chunks, cast.size, count)
