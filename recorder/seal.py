"""Sealing: a recording whose session is over gets its manifest, numbered, chained and signed.

    the session's row is complete
    seals            the manifest has its number, and is kept with its signature; whoever keeps what
                     happened is told of it in the same transaction
    S-31.manifest    the same text beside the recording
    S-31.manifest.sig
    uncovered        where it was encrypted first (`cover`), the plain file is taken away
    sealed           the session's row says so

Whatever ends this between two of them, `seal_pending` goes on from there: each step does nothing
where it was done. Those that end together share their transactions (`turns`). How a manifest is
signed, and who is told, is handed in.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from recorder.asciicast import Note, Word, parse_event
from recorder.cover import Covering, uncover
from recorder.errors import (
    CorruptRecording,
    NotSealed,
    RecorderError,
    RecordingMissing,
    SomebodyIsAtIt,
)
from recorder.facts import Facts
from recorder.files import write_beside
from recorder.growing import stands, worst
from recorder.index import Index
from recorder.manifest import COVERED, Held, Part, manifest_of, read_manifest, read_part, sha256_of
from recorder.mend import measured
from recorder.plain import plain_path
from recorder.seals import Asked, Kept, Prefix, Seals, Told
from recorder.session import Compaction, EndReason, Session, session_name
from recorder.turns import Turns

log = logging.getLogger(__name__)

Sign = Callable[[bytes], str]
"""An armoured SSHSIG signature over a manifest, for `manifest.NAMESPACE`. Raises NotSealed."""

MANIFEST: Final = ".manifest"
SIGNATURE: Final = ".manifest.sig"

AT_ONCE: Final = 1024 * 1024
"""Bytes of a recording that is encrypted while its session's end waits for it."""

_LAST_LINE = 4096
"""More bytes than the last line of a recording has."""

_TRIES = 20
_PAGE = 100
_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be sealed; `covered` is what covers its cast, where that was encrypted for it."""

    session: int
    covered: Part | None = None


class Sealing:
    """Seals the recordings of one archive, in the name of `node`. It blocks; threads may share it.

    `now` gives the wall clock's time. `elsewhere` says of a runner whether it is another machine's.
    """

    def __init__(
        self,
        directory: Path,
        index: Index,
        seals: Seals,
        *,
        sign: Sign,
        told: Told,
        node: str,
        now: Callable[[], datetime],
        covering: Covering | None = None,
        elsewhere: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._directory = directory
        self._index = index
        self._seals = seals
        self._sign = sign
        self._told = told
        self._node = node
        self._now = now
        self._covering = covering
        self._elsewhere = elsewhere
        self._keeping: Turns[_Due, tuple[Asked, Kept]] = Turns(self._keep, _TOGETHER)
        self._marking: Turns[Asked, None] = Turns(self._mark_sealed, _TOGETHER)

    def takes_long(self, size: int) -> bool:
        """Whether to seal a recording of so many bytes is not to be waited for."""
        return self._covering is not None and size > AT_ONCE

    def seal(self, session: int) -> Kept:
        """Seal a session that is over; once more does nothing.

        Raises NotSealed, IndexUnavailable: then it is for `seal_pending`.
        """
        if self._covering is None:
            return self._sealed(_Due(session))
        found = self._over(session, self._seals.asked([session])).session
        with self._covering.alone_with(self._directory / found.recording.path):
            kept = self._seals.of(session)
            return self._sealed(_Due(session, self._cover(found) if kept is None else None))

    def seal_pending(self) -> list[str]:
        """Seal all sessions that are over and are not sealed, the oldest first.

        What another machine has recorded is for that one, which has its files.
        Gives a sentence for each that can't be, which never keeps the others. Raises
        IndexUnavailable.
        """
        problems: list[str] = []
        last = 0
        while page := self._seals.unsealed(_PAGE, last):
            problems += [said for session in page if (said := self._problem(session)) is not None]
            last = page[-1]
        return problems

    def mark(self, marked: list[Prefix]) -> None:
        """Keep how far live recordings have come. Raises IndexUnavailable."""
        self._seals.mark(marked)

    def hold(self, session: int) -> Held | None:
        """Hold the checkpoint of a session against its files, and keep what became of it.

        For when nobody writes them any more, and before they are mended. The first word stays, and
        is what this gives; None where no checkpoint was kept. Raises IndexUnavailable.
        """
        prefix, found = self._seals.prefix(session), self._index.get(session)
        if prefix is None or found is None:
            return None
        if prefix.held is not None:
            return prefix.held
        held = worst(stands(self._directory / found.recording.path, prefix))
        self._seals.hold(session, held)
        return held

    def _sealed(self, due: _Due) -> Kept:
        asked, kept = self._keeping.do(due)
        if not asked.session.recording.sealed:
            self._lay_beside(asked.session, kept)
            self._uncover(asked.session, kept)
            self._marking.do(asked)
        return kept

    def _over(self, number: int, found: Mapping[int, Asked]) -> Asked:
        """One that may be sealed here. Raises NotSealed, SomebodyIsAtIt."""
        asked = found.get(number)
        if asked is None or asked.session.live:
            raise NotSealed(f"{session_name(number)} is not over: it is not sealed")
        session = asked.session
        if session.runner and self._elsewhere(session.runner):
            raise NotSealed("another machine has recovered it")
        if session.end_reason is EndReason.LOST and session.recording.sha256 is None:
            raise SomebodyIsAtIt("it was taken for lost, and nobody has closed its recording yet")
        return asked

    def _problem(self, session: int) -> str | None:
        try:
            found = self._index.get(session)
            if found is None or not (found.runner and self._elsewhere(found.runner)):
                self.seal(session)
        except SomebodyIsAtIt:
            return None
        except (RecorderError, ValueError, TypeError) as error:
            return f"{session_name(session)} is not sealed: {error}"
        return None

    def _keep(self, due: Sequence[_Due]) -> list[tuple[Asked, Kept]]:
        """Number, chain and sign; another process may be faster, then it is done anew.

        Gives what there was before, and the seals.
        """
        for _ in range(_TRIES):
            found = self._seals.asked({each.session for each in due})
            asked = [(each, self._over(each.session, found)) for each in due]
            new = self._drafted([(each, one) for each, one in asked if one.kept is None])
            if not new or self._seals.keep(list(new.values()), self._told):
                return [(one, one.kept or new[each.session][1]) for each, one in asked]
        raise NotSealed("others were always faster")

    def _drafted(self, new: Sequence[tuple[_Due, Asked]]) -> dict[int, tuple[Session, Kept]]:
        """The next seals, each behind the one before; by session, as one may be asked for twice."""
        drafted: dict[int, tuple[Session, Kept]] = {}
        if not new:
            return drafted
        number, previous = self._seals.place()
        for due, asked in new:
            if due.session in drafted:
                continue
            kept = self._signed(due, asked, number + len(drafted), previous)
            drafted[due.session] = (asked.session, kept)
            previous = kept.sha256
        return drafted

    def _signed(self, due: _Due, asked: Asked, number: int, previous: str | None) -> Kept:
        at, prefix = self._now(), asked.prefix
        manifest = manifest_of(
            asked.session,
            self._files(asked.session, due.covered),
            number=number,
            previous=previous,
            checkpoint=None if prefix is None else prefix.held,
            sealed_at=at,
            node=self._node,
        )
        text = manifest.text()
        signature = self._sign(text.encode())
        return Kept(number, due.session, text, signature, sha256_of(text), at)

    def _mark_sealed(self, asked: Sequence[Asked]) -> list[None]:
        self._seals.done(asked, self._told)
        return [None] * len(asked)

    def _files(self, session: Session, covered: Part | None) -> tuple[Part, ...]:
        """The cast as the row has it, and the track of what was sent as its last line has it.

        One that was interrupted has no such line: then the track is sealed as it lies there.
        """
        cast, shown = self._shown(session)
        try:
            sent = sent_as_told(cast) or _sent_as_it_lies(cast.with_suffix(".sent"))
        except OSError as error:
            raise NotSealed(f"its track can't be read: {error.strerror}") from error
        return tuple(part for part in (shown, sent, covered) if part is not None)

    def _shown(self, session: Session) -> tuple[Path, Part | None]:
        recording = session.recording
        cast = plain_path(self._directory / recording.path)
        if recording.sha256 is None:
            return cast, None
        return cast, Part(cast.name, recording.sha256, recording.size)

    def _cover(self, session: Session) -> Part | None:
        """What was changed or is missing is not covered: let it be found."""
        cast, shown = self._shown(session)
        if self._covering is None or shown is None:
            return None
        try:
            return self._covering.cover(cast, shown.sha256)
        except (CorruptRecording, RecordingMissing) as error:
            log.error("%s is sealed in plain: %s", cast.stem, error)
            return None

    def _uncover(self, session: Session, kept: Kept) -> None:
        if COVERED not in kept.manifest:  # a command line may say so too
            return
        covered = read_manifest(kept.manifest).covered
        if covered is None:
            return
        try:
            uncover(self._directory / session.recording.path, covered)
        except OSError as error:
            raise NotSealed(f"its plain file can't be removed: {error.strerror}") from error
        self._index.compacted([session.id], Compaction.ENCRYPTED, covered.size)

    def _lay_beside(self, session: Session, kept: Kept) -> None:
        stem = plain_path(self._directory / session.recording.path)
        try:
            write_beside(
                (stem.with_suffix(MANIFEST), kept.manifest.encode()),
                (stem.with_suffix(SIGNATURE), kept.signature.encode()),
            )
        except OSError as error:
            raise NotSealed(f"its seal can't be written: {error.strerror}") from error


def sent_as_told(cast: Path) -> Part | None:
    """The track of what was sent, as the last line of a recording that was closed has it."""
    try:
        with cast.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_LINE))
            note = Note.of(parse_event(file.read().rstrip(b"\n").rpartition(b"\n")[2]))
        told = None if note is None or note.word is not Word.ENDED else note.facts.get("sent")
        name = f"{cast.stem}.sent"
        return read_part(Facts({"name": name, **told})) if isinstance(told, dict) else None
    except (FileNotFoundError, CorruptRecording, TypeError, ValueError):
        return None


def _sent_as_it_lies(track: Path) -> Part | None:
    try:
        size, sha256 = measured(track)
    except FileNotFoundError:
        return None
    return Part(track.name, sha256, size)
