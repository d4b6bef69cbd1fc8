"""Inspecting what lies in an object store: each file is read from there, and held against its seal.

Nothing of it reaches this machine's disk. What a recording that was encrypted holds is for whoever
has an auditor's identity, once it is fetched.
"""

import hashlib
from collections.abc import Callable, Iterator

from recorder.departed import TOMBSTONE, TOMBSTONE_SIGNATURE
from recorder.errors import CorruptRecording, RecorderError, RecordingMissing, StoreAway
from recorder.manifest import Manifest, Part, read_manifest
from recorder.objects import Lying, folder_of
from recorder.plain import AGE, ZST
from recorder.seal import MANIFEST, SIGNATURE
from recorder.seals import Kept
from recorder.session import Session
from recorder.shelf import Shelf
from recorder.tombstones import Laid
from recorder.verify import Finding, Measure, Wrong, about_file

Count = Callable[[int], object]
"""Hears of so many more bytes that were read; what it raises ends the work."""

COVERING = ZST + AGE

TEXTS = (MANIFEST, SIGNATURE, TOMBSTONE, TOMBSTONE_SIGNATURE)


class Stored:
    """Inspects recordings on one shelf. It blocks; nothing is changed. Raises StoreAway."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def about(
        self, session: Session, kept: Kept, laid: Laid | None, count: Count, *, late: bool = True
    ) -> Iterator[Finding]:
        """Is what the store has what was sealed; or only what is left of one that was let go?

        `late` is whether one that was let go should be away by now.
        """
        folder = folder_of(session)
        stem = folder.rpartition("/")[2]
        files = self._shelf.files(folder)
        gone = laid if laid is not None and (late or laid.finished) else None
        yield from self._beside(folder, stem, session, _texts(kept, gone))
        if laid is not None:
            yield from () if gone is None else _left(session, files)
            return
        try:
            manifest = read_manifest(kept.manifest)
        except CorruptRecording:
            return  # told with the row
        for part in lying_parts(manifest):
            yield from about_file(manifest, self.measured(files, part, count))

    def measured(self, files: dict[str, list[Lying]], part: Part, count: Count) -> Measure:
        """What a file of a recording is, in whichever form it lies there."""
        form = next((name for name in (part.name, part.name + ZST) if name in files), None)
        if form is None:
            return Measure(part.name, None, None)
        chunks = self._shelf.chunks if form == part.name else self._plain(form)
        return hashed(part.name, lambda: chunks(files[form]), part.size, count)

    def _plain(self, form: str) -> Callable[[list[Lying]], Iterator[bytes]]:
        return lambda pieces: self._shelf.plain_chunks(form, pieces)

    def _beside(
        self, folder: str, stem: str, session: Session, texts: dict[str, str]
    ) -> Iterator[Finding]:
        for suffix, text in texts.items():
            content = text.encode("utf-8", "surrogateescape")
            found = self._shelf.text(folder, stem + suffix, len(content))
            if found is None:
                said = f"{session.name}: {stem}{suffix} is missing in the store."
                yield Finding(Wrong.MISSING, session.name, said)
            elif found != content:
                said = f"{session.name}: {stem}{suffix} in the store is not what was signed."
                yield Finding(Wrong.CHANGED, session.name, said)


def stays(session: Session, file: str) -> bool:
    """Whether a file is left of a recording that was let go: its seal, its tombstone."""
    return file.removeprefix(folder_of(session).rpartition("/")[2]) in TEXTS


def lying_parts(manifest: Manifest) -> list[Part]:
    """The files of a recording that are there, by its seal: what is encrypted is not, in plain."""
    covered = manifest.covered
    plain = "" if covered is None else covered.name.removesuffix(COVERING)
    return [part for part in manifest.files if part.name != plain]


def hashed(name: str, chunks: Callable[[], Iterator[bytes]], most: int, count: Count) -> Measure:
    """A file's size and hash. No more is read than `most` bytes and a piece: a bomb is found."""
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in chunks():
            digest.update(chunk)
            size += len(chunk)
            count(len(chunk))
            if size > most:
                break
    except RecordingMissing:
        return Measure(name, None, None)
    except StoreAway:
        raise
    except RecorderError as error:
        return Measure(name, size, None, str(error))
    return Measure(name, size, digest.hexdigest())


def _texts(kept: Kept, laid: Laid | None) -> dict[str, str]:
    texts = {MANIFEST: kept.manifest, SIGNATURE: kept.signature}
    if laid is not None:
        texts |= {TOMBSTONE: laid.text, TOMBSTONE_SIGNATURE: laid.signature}
    return texts


def _left(session: Session, files: dict[str, list[Lying]]) -> Iterator[Finding]:
    for name in sorted(files):
        if not stays(session, name):
            said = f"{session.name}: {name} is still in the store, though it was let go."
            yield Finding(Wrong.ADDED, session.name, said)
