"""Inspecting what is left of recordings that were let go: tombstones, and files still there.

A recording whose tombstone was laid a moment ago may have its files still: whoever lets it go is
at it, or was killed, and it is finished later. It is a finding only when that takes too long.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from recorder.plain import plain_path
from recorder.seal import MANIFEST, SIGNATURE
from recorder.seals import Kept
from recorder.session import Session
from recorder.tombstones import Laid, Tombstones
from recorder.verify import Finding, Judge, Witness, Wrong, about_tombstone

TOMBSTONE: Final = ".tombstone"
TOMBSTONE_SIGNATURE: Final = ".tombstone.sig"

STAYS: Final = frozenset({MANIFEST, SIGNATURE, TOMBSTONE, TOMBSTONE_SIGNATURE})
"""What is left of a recording that was let go."""

PATIENCE: Final = timedelta(minutes=1)
"""How long files may lie there after their tombstone was laid."""

Ask = Callable[[Session, Laid], Witness]
"""Asks those who know more of a recording that was let go."""


class Departed:
    """Inspects what was let go below `directory`. It blocks; nothing is changed."""

    def __init__(
        self,
        directory: Path,
        tombstones: Tombstones,
        ask: Ask,
        signed: Judge,
        now: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._tombstones = tombstones
        self._ask = ask
        self._signed = signed
        self._now = now

    def of_all(self, sessions: Collection[int]) -> dict[int, Laid | None]:
        """The tombstones of these sessions; None is one that can't be read."""
        return self._tombstones.of_all(sessions)

    def numbers(self, after: int | None, limit: int) -> list[int]:
        """The sessions that have a tombstone, in their order, a page of them after `after`."""
        return self._tombstones.numbers(after, limit)

    def about(
        self, session: Session, kept: Kept | None, laid: Laid | None, *, here: bool = True
    ) -> Iterator[Finding]:
        """What is wrong with a session's tombstone, or with there being none.

        What lies beside it is looked at where its recording lay `here`.
        """
        stem = plain_path(self._directory / session.recording.path)
        if laid is None:
            yield from _unlaid(session, stem)
            return
        yield from about_tombstone(laid, session, kept, self._ask(session, laid), self._signed)
        if here and (laid.finished or self._now() - laid.at > PATIENCE):
            lie = ((TOMBSTONE, laid.text), (TOMBSTONE_SIGNATURE, laid.signature))
            yield from beside(session, stem, lie, "tombstone that was laid")
            yield from _left(session, stem)


def beside(
    session: Session, stem: Path, texts: Sequence[tuple[str, str]], what: str
) -> Iterator[Finding]:
    """Do these texts lie beside a recording, each with its suffix?"""
    for suffix, text in texts:
        file = stem.with_suffix(suffix)
        if not file.is_file():
            said = f"{session.name}: {file.name} is missing."
            yield Finding(Wrong.MISSING, session.name, said)
        elif not _holds(file, text.encode("utf-8", "surrogateescape")):
            said = f"{session.name}: {file.name} is not the {what}."
            yield Finding(Wrong.CHANGED, session.name, said)


def _holds(file: Path, content: bytes) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(content) + 1) == content
    except OSError:
        return False


def lying(directory: Path, stem: str) -> list[Path]:
    """The files of a recording, whatever was made of it: `S-31.…`, by name."""
    found = directory.glob(f"{stem}.*")
    return sorted(file for file in found if file.name.removeprefix(stem) not in STAYS)


def _unlaid(session: Session, stem: Path) -> Iterator[Finding]:
    """The row and the files of one that has no tombstone must not speak of any."""
    if session.recording.let_go_at is not None:
        said = f"{session.name}: its row says that it was let go, and its tombstone is missing."
        yield Finding(Wrong.MISSING, session.name, said)
    for suffix in (TOMBSTONE, TOMBSTONE_SIGNATURE):
        file = stem.with_suffix(suffix)
        if file.exists():
            said = f"{session.name}: {file.name} is there, and nobody let it go."
            yield Finding(Wrong.ADDED, session.name, said)


def _left(session: Session, stem: Path) -> Iterator[Finding]:
    for file in lying(stem.parent, stem.stem):
        said = f"{session.name}: {file.name} is still there, though it was let go."
        yield Finding(Wrong.ADDED, session.name, said)
