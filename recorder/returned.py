"""Returned: what a machine that was given up for lost still has, though others recovered it.

There is one recording of a session: the one that was sealed. What is here beside it is kept aside
under a name of its own, told of, and a finding of `verify` for as long as it is there. It blocks.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from recorder.errors import RecorderError
from recorder.files import sync_directory, write_beside
from recorder.index import Index
from recorder.manifest import Manifest, read_manifest
from recorder.mend import measured, still_written
from recorder.objects import folder_of
from recorder.seal import MANIFEST, SIGNATURE
from recorder.seals import Kept, Seals
from recorder.session import Session

RETURNED: Final = ".returned"
"""What follows the name of a file that is not what was sealed of a session elsewhere."""

_PAGE = 200
_CAST = re.compile(r"S-(?P<number>[0-9]{1,18})(-[0-9]{1,2})?\.cast", re.ASCII)
_SUFFIXES = (".cast", ".sent")

Told = Callable[[Session, str], None]
"""Is told of a recording of which another version is here, and how they differ, perhaps twice.
Raises RecorderError."""


class Returned:
    """Looks below `directory`, on the machine `node`."""

    def __init__(
        self, directory: Path, index: Index, seals: Seals, *, node: str, told: Told
    ) -> None:
        self._directory = directory
        self._index = index
        self._seals = seals
        self._node = node
        self._told = told

    def run(self) -> list[str]:
        """Put aside what others have sealed otherwise; sentences. Raises IndexUnavailable."""
        said: list[str] = []
        for session, kept, manifest in self._found():
            path = (self._directory / folder_of(session)).with_suffix(".cast")
            if still_written(path):
                continue
            try:
                said += self._put_aside(session, kept, manifest, path)
            except (RecorderError, OSError) as error:
                said.append(f"{session.name}: what is here of it can't be put aside: {error}")
        return said

    def _found(self) -> Iterator[tuple[Session, Kept, Manifest]]:
        """Recordings that lie here without their seal, which was made on another machine."""
        for day in sorted(self._directory.glob("[0-9]*/[0-9]*/[0-9]*")):
            for session in self._read(_unsealed(day)):
                kept = None if session.live else self._seals.of(session.id)
                if kept is None:
                    continue
                manifest = read_manifest(kept.manifest)
                if manifest.node != self._node:
                    yield session, kept, manifest

    def _read(self, numbers: list[int]) -> Iterator[Session]:
        for start in range(0, len(numbers), _PAGE):
            read = self._index.read(numbers[start : start + _PAGE])
            yield from (session for session in read.values() if session is not None)

    def _put_aside(self, session: Session, kept: Kept, manifest: Manifest, path: Path) -> list[str]:
        sealed = manifest.part(".cast")
        size, sha256 = measured(path)
        if sealed is not None and (size, sha256) == (sealed.size, sealed.sha256):
            write_beside(
                (path.with_suffix(SIGNATURE), kept.signature.encode()),
                (path.with_suffix(MANIFEST), kept.manifest.encode()),
            )
            return []
        less = 0 if sealed is None else sealed.size
        why = f"this machine has {size} bytes of it, and {less} were sealed on {manifest.node}"
        self._told(session, why)
        for suffix in _SUFFIXES:
            file = path.with_suffix(suffix)
            if file.exists():
                file.rename(file.with_name(file.name + RETURNED))
        sync_directory(path.parent)
        return [f"{session.name} was recovered elsewhere: {why}; {path.name}{RETURNED} keeps it"]


def _unsealed(day: Path) -> list[int]:
    names = {file.name for file in day.iterdir()}
    found = (match for name in names if (match := _CAST.fullmatch(name)))
    return sorted(
        int(match["number"])
        for match in found
        if match.string.removesuffix(".cast") + MANIFEST not in names
    )
