"""Clearing: taking what was let go out of an object store, where its tombstone and seal stay.

A store that lets nothing be taken away, or not before its time, has the last word: then it is said,
and tried again. It blocks.
"""

from recorder.departed import TOMBSTONE, TOMBSTONE_SIGNATURE
from recorder.errors import NotLetGo, OtherBytes, StoreAway
from recorder.manifest import Manifest, Part
from recorder.objects import Lying, folder_of, size_of
from recorder.places import Places
from recorder.session import Session
from recorder.shelf import Shelf
from recorder.stored import hashed, stays
from recorder.tombstone import MOST_FILES
from recorder.tombstones import Laid


class Clearing:
    """The store of one archive."""

    def __init__(self, shelf: Shelf, places: Places) -> None:
        self._shelf = shelf
        self._places = places

    def has(self, session: Session) -> bool:
        """Whether a recording is there, and not on this machine."""
        return self._places.is_stored(session)

    def parts(self, session: Session, manifest: Manifest) -> tuple[Part, ...]:
        """What would be taken away of one that is what was sealed. Raises NotLetGo, StoreAway."""
        files = self._shelf.files(folder_of(session))
        gone = [name for name in sorted(files) if not stays(session, name)]
        if len(gone) > MOST_FILES:
            raise NotLetGo(f"there are {len(gone)} files of it: too many to be right")
        sealed = {part.name: part for part in manifest.files}
        return tuple(sealed.get(name) or self._measured(name, files[name]) for name in gone)

    def _measured(self, name: str, pieces: list[Lying]) -> Part:
        chunks = self._shelf.chunks(pieces)
        measure = hashed(name, lambda: chunks, size_of(pieces), lambda _: None)
        if measure.sha256 is None or measure.size is None:
            raise NotLetGo(f"{name} can't be read in the object store")
        return Part(name, measure.sha256, measure.size)

    def clear(self, session: Session, laid: Laid) -> None:
        """Lay the tombstone there, and take the rest away. Raises NotLetGo: it is tried again."""
        folder = folder_of(session)
        stem = folder.rpartition("/")[2]
        try:
            if self._shelf.is_empty(folder):
                return
            texts = ((TOMBSTONE, laid.text), (TOMBSTONE_SIGNATURE, laid.signature))
            for suffix, text in texts:
                self._shelf.put_piece(folder, stem + suffix, 0, text.encode())
            self._shelf.remove(folder, lambda file: stays(session, file))
        except (StoreAway, OtherBytes) as error:
            raise NotLetGo(f"it is in the object store still: {error}") from error
        self._places.forget(session)
