"""The files of a session's recording, as they go into a pack: plain, so that their sums are those
that were sealed; but what is encrypted goes as it lies, and was sealed so."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from cli.evidence.facts import Held
from cli.evidence.tarball import Changed, Pieces, Tarball
from recorder import CorruptRecording, RecordingMissing, Session
from recorder.departed import TOMBSTONE, TOMBSTONE_SIGNATURE
from recorder.manifest import COVERED, read_manifest
from recorder.plain import ZST, lying_path, plain_chunks, plain_path
from recorder.seal import MANIFEST, SIGNATURE

FOLDER: Final = "recordings"
_TRIES: Final = 3
PIECE: Final = 64 * 1024
"""Bytes that are looked at, at once, for the end of a line."""


class Recordings:
    """Puts the recordings below `directory` into a tar, as they were at a time.

    `root` gives the directory of one that is somewhere else. Raises StoreAway.
    """

    def __init__(self, directory: Path, at: datetime, root: Callable[[Session], Path]) -> None:
        self._directory = directory
        self._at = at
        self._root = root

    def size(self, held: Held) -> int:
        """About how many bytes its files have."""
        stem = self._stem(held)
        if held.laid is not None:
            return 0
        return max(held.session.recording.size, _size(stem)) + _size(stem.with_suffix(".sent"))

    def add(self, tar: Tarball, held: Held) -> None:
        """All files of one recording that are there; of one that was let go, what is signed.

        Raises Changed.
        """
        stem, at = self._fetched(held), held.session.ended_at or self._at
        for suffix in (".cast", COVERED, ".sent") if held.laid is None else ():
            _add_plain(tar, stem.with_suffix(suffix), at, whole_lines=held.session.live)
        for suffix, text, signed_at in _signed(held):
            content = text.encode("utf-8", "surrogateescape")
            tar.text(f"{FOLDER}/{stem.with_suffix(suffix).name}", content, signed_at)
        _demand_same(tar, held)

    def _fetched(self, held: Held) -> Path:
        """One that is nowhere, or is not what was sealed, is missing: that is said elsewhere."""
        if held.laid is not None:
            return self._stem(held)
        try:
            root = self._root(held.session)
        except (RecordingMissing, CorruptRecording):
            return self._stem(held)
        return plain_path(root / held.session.recording.path)

    def _stem(self, held: Held) -> Path:
        return plain_path(self._directory / held.session.recording.path)


def _add_plain(tar: Tarball, plain: Path, at: datetime, *, whole_lines: bool) -> None:
    """A file of a recording, if it is there. Raises Changed.

    It may be compressed meanwhile, and lie elsewhere then.
    """
    for _ in range(_TRIES):
        try:
            _add_lying(tar, lying_path(plain), at, whole_lines=whole_lines)
        except RecordingMissing:
            return
        except FileNotFoundError:
            continue
        return
    raise Changed(f"{plain.name} was changed while it was packed: try again.")


def _add_lying(tar: Tarball, path: Path, at: datetime, *, whole_lines: bool) -> None:
    """Its plain content; what can't be unpacked goes as it lies."""
    if path.suffix == ZST:
        try:
            size = sum(map(len, plain_chunks(path)))
        except CorruptRecording:
            pass
        else:
            name = f"{FOLDER}/{plain_path(path).name}"
            tar.file(name, Pieces(plain_chunks(path)), size, at)
            return
    with path.open("rb") as file:
        text = whole_lines and path.suffix == ".cast"
        size = _whole_lines(file) if text else os.fstat(file.fileno()).st_size
        tar.file(f"{FOLDER}/{path.name}", file, size, at)


def _whole_lines(file: BinaryIO) -> int:
    """Bytes of a growing file up to its last whole line; it is left at its beginning."""
    end = os.fstat(file.fileno()).st_size
    while end > 0:
        begin = max(0, end - PIECE)
        file.seek(begin)
        newline = file.read(end - begin).rfind(b"\n")
        end = begin if newline < 0 else begin + newline + 1
        if newline >= 0:
            break
    file.seek(0)
    return end


def _signed(held: Held) -> Iterator[tuple[str, str, datetime]]:
    """What is signed of it, as the database has it."""
    if held.kept is not None:
        yield MANIFEST, held.kept.manifest, held.kept.at
        yield SIGNATURE, held.kept.signature, held.kept.at
    if held.laid is not None:
        yield TOMBSTONE, held.laid.text, held.laid.at
        yield TOMBSTONE_SIGNATURE, held.laid.signature, held.laid.at


def _demand_same(tar: Tarball, held: Held) -> None:
    """What went in is what was judged a moment ago."""
    if held.kept is None or not held.sound:
        return
    for name, sha256 in _sealed(held.kept.manifest):
        if tar.sums.get(f"{FOLDER}/{name}") != sha256:
            raise Changed(f"{name} was changed while it was packed: try again.")


def _sealed(manifest: str) -> Iterator[tuple[str, str]]:
    """What lies there: of one that is encrypted no cast."""
    found = read_manifest(manifest)
    for part in found.files:
        if found.covered is None or part is not found.part(".cast"):
            yield part.name, part.sha256


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
