"""Judging one recording's seal against its row and its files. Pure: what was read is handed in."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from recorder.errors import CorruptRecording
from recorder.manifest import Held, Manifest, read_manifest, sha256_of
from recorder.seals import Kept, Prefix
from recorder.session import Session, session_name
from recorder.tombstone import read_tombstone
from recorder.tombstones import Laid

SKEW: Final = timedelta(minutes=1)
"""How long a seal that was begun may take to be kept: its key may be retired meanwhile."""


@dataclass(frozen=True, slots=True)
class By:
    """Whose signature it is: the key's `generation`, 0 the oldest, and when it was retired."""

    generation: int
    retired_at: datetime | None = None


Judge = Callable[[str, str], By | str]
"""Takes a signature and a manifest, and gives whose it is; or why it does not hold, in words that
read well behind "it"."""


class Wrong(StrEnum):
    """What can be wrong with a recording."""

    CHANGED = "changed"
    CUT = "cut"
    MISSING = "missing"
    ADDED = "added"
    SIGNATURE = "signature"
    UNSEALED = "unsealed"


_WRONG = {Held.CUT: Wrong.CUT, Held.CHANGED: Wrong.CHANGED}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: `where` names the session or the file, `sentence` says it whole."""

    wrong: Wrong
    where: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Witness:
    """What others know of a recording that was let go, at the time when it was.

    `held` says whether it was on hold then. `told` are the SHA-256 (hex) of the tombstones that
    the log of events tells of.
    """

    held: bool
    told: Collection[str]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a file is now: None where it is missing; `fault` where it can't be read."""

    name: str
    size: int | None
    sha256: str | None
    fault: str | None = None


def about_row(session: Session, manifest: Manifest) -> Iterator[Finding]:
    """Does the row say what was sealed?"""
    names = (
        *("connection", "user", "grant", "host", "login", "kind", "command", "source"),
        *("started_at", "ended_at", "end_reason", "exit_status", "exit_signal"),
        *("bytes_in", "bytes_out"),
    )
    other = [name for name in names if getattr(session, name) != getattr(manifest, name)]
    cast, recording = manifest.part(".cast"), session.recording
    if cast is not None and (cast.sha256, cast.size) != (recording.sha256, recording.size):
        other.append("sha256 or size")
    if manifest.session != session.id:
        other.append("session")
    if manifest.events != recording.events:
        other.append("events")
    if other:
        said = f"{session.name}: its row is not what was sealed: {', '.join(other)}."
        yield Finding(Wrong.CHANGED, session.name, said)
    if manifest.checkpoint in (Held.CUT, Held.CHANGED):
        wrong = _WRONG[manifest.checkpoint]
        said = f"{session.name}: it was {wrong} before it was sealed: its checkpoint did not hold."
        yield Finding(wrong, session.name, said)
    for suffix in (".cast", ".sent"):
        if manifest.part(suffix) is None:
            said = f"{session.name}: its {suffix} was missing when it was sealed."
            yield Finding(Wrong.MISSING, session.name, said)


def about_beginning(session: Session, prefix: Prefix, file: str, held: Held) -> Iterator[Finding]:
    """Does a file of a recording that grows still begin as its checkpoint says?"""
    if held in _WRONG:
        said = (
            f"{session.name}: {file} was {held} since its checkpoint of {prefix.at:%H:%M:%S} UTC."
        )
        yield Finding(_WRONG[held], session.name, said)


def about_file(manifest: Manifest, found: Measure) -> Iterator[Finding]:
    """Is a file what was sealed?"""
    sealed = next((each for each in manifest.files if each.name == found.name), None)
    name = f"{manifest.name}: {found.name}"
    if sealed is None:
        return
    if found.fault is not None:
        yield Finding(Wrong.CHANGED, manifest.name, f"{name} can't be read: {found.fault}.")
    elif found.size is None:
        yield Finding(Wrong.MISSING, manifest.name, f"{name} is missing.")
    elif found.size < sealed.size:
        said = f"{name} was cut: it has {found.size} of {sealed.size} bytes."
        yield Finding(Wrong.CUT, manifest.name, said)
    elif found.sha256 != sealed.sha256:
        yield Finding(Wrong.CHANGED, manifest.name, f"{name} was changed.")


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal, and whose signature it has, or why that does not hold."""

    kept: Kept
    by: By | str

    @classmethod
    def judged(cls, kept: Kept, signed: Judge) -> "Seal":
        """With what `signed` says."""
        return cls(kept, signed(kept.signature, kept.manifest))

    @property
    def generation(self) -> int:
        """That of its key; below all others where nobody knows whose it is."""
        return self.by.generation if isinstance(self.by, By) else -1


def about_seal(seal: Seal) -> Iterator[Finding]:
    """Is a seal what it says, and by a key of ours that was in force?"""
    kept, name = seal.kept, session_name(seal.kept.session)
    if kept.sha256 != sha256_of(kept.manifest):
        yield Finding(Wrong.CHANGED, name, f"{name}: its manifest does not fit its hash.")
    yield from _about_signature(name, "manifest", seal.by, kept.at)


def _about_signature(name: str, of: str, by: By | str, at: datetime) -> Iterator[Finding]:
    if isinstance(by, str):
        said = f"{name}: the signature of its {of}: it {by}."
        yield Finding(Wrong.SIGNATURE, name, said)
    elif by.retired_at is not None and at > by.retired_at + SKEW:
        said = (
            f"{name}: its {of} of {at:%Y-%m-%d %H:%M} UTC is by a key that was retired "
            f"{by.retired_at:%Y-%m-%d %H:%M} UTC."
        )
        yield Finding(Wrong.SIGNATURE, name, said)


def about_link(first: Kept | None, second: Kept) -> Iterator[Finding]:
    """Does a seal follow the one before it? None where there is none that can be read."""
    name = session_name(second.session)
    if first is None or first.number != second.number - 1:
        if second.number != 1:
            said = f"{name}: manifest {second.number - 1} is missing before its own."
            yield Finding(Wrong.MISSING, name, said)
    elif previous(second) != first.sha256:
        said = f"{name}: manifest {second.number} does not follow {first.number}."
        yield Finding(Wrong.CHANGED, name, said)


def about_generation(newest: int, seal: Seal) -> Iterator[Finding]:
    """Is a seal by a key no older than the `newest` of those before it?"""
    if 0 <= seal.generation < newest:
        name = session_name(seal.kept.session)
        said = f"{name}: manifest {seal.kept.number} is by a key that was retired before."
        yield Finding(Wrong.SIGNATURE, name, said)


def about_told(kept: Kept, told: Collection[str], *, sealed: bool) -> Iterator[Finding]:
    """Is a seal the one that the log of events was told of? `told` are the hashes it has."""
    name = session_name(kept.session)
    if any(each != kept.sha256 for each in told):
        said = f"{name}: the log of events was told of another seal."
        yield Finding(Wrong.CHANGED, name, said)
    elif sealed and not told:
        said = f"{name}: the log of events was never told of its seal."
        yield Finding(Wrong.MISSING, name, said)


def previous(kept: Kept) -> str | None:
    """The hash that a manifest names; an empty one where it can't be read."""
    try:
        return read_manifest(kept.manifest).previous
    except CorruptRecording:
        return ""


def about_tombstone(
    laid: Laid, session: Session, kept: Kept | None, witness: Witness, signed: Judge
) -> Iterator[Finding]:
    """Was this recording let go as it should be: by a key of ours, its own seal, and no hold?"""
    name = session.name
    if laid.sha256 != sha256_of(laid.text):
        yield Finding(Wrong.CHANGED, name, f"{name}: its tombstone does not fit its hash.")
    yield from _about_signature(name, "tombstone", signed(laid.signature, laid.text), laid.at)
    if sha256_of(laid.text) not in witness.told:
        said = f"{name}: the log of events does not tell of its tombstone."
        yield Finding(Wrong.ADDED, name, said)
    if witness.held:
        said = f"{name}: it was let go while it was on hold."
        yield Finding(Wrong.ADDED, name, said)
    try:
        tombstone = read_tombstone(laid.text)
        manifest = None if kept is None else read_manifest(kept.manifest)
    except CorruptRecording as error:
        yield Finding(Wrong.CHANGED, name, f"{name}: {error}.")
        return
    if kept is None or manifest is None or not tombstone.fits(manifest, kept.sha256):
        said = f"{name}: its tombstone is not that of the recording that was sealed."
        yield Finding(Wrong.CHANGED, name, said)
    if not tombstone.at == laid.at == session.recording.let_go_at:
        said = f"{name}: its row does not say when it was let go."
        yield Finding(Wrong.CHANGED, name, said)
