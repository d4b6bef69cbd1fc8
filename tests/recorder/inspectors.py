"""Somebody who inspects recordings, with a key that signs by hashing."""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from recorder import Index, Seals
from recorder.database import Database
from recorder.departed import Departed
from recorder.inspection import Inspection, Told
from recorder.manifest import sha256_of
from recorder.places import Places
from recorder.stored import Stored
from recorder.tombstones import Tombstones
from recorder.verify import By, Judge, Witness

LATER = datetime(2026, 12, 1, tzinfo=UTC)


def sign(text: bytes) -> str:
    """A signature that whoever knows how to hash can make."""
    return f"signed {sha256_of(text.decode())}\n"


def signed(signature: str, text: str) -> By | str:
    """Whether it is one."""
    return By(0) if signature == sign(text.encode()) else "does not fit the text"


def later() -> datetime:
    """Days after what was recorded."""
    return LATER


def inspector(
    recordings: Path,
    index: Index,
    database: Database,
    witness: Witness | None = None,
    *,
    judge: Judge = signed,
    told: Told | None = None,
    places: Places | None = None,
    stored: Stored | None = None,
) -> Inspection:
    """Inspects later; of what was let go the `witness` knows more.

    `told` is what the log was told of seals: unless it is given, of those that there are.
    """
    knows = witness or Witness(held=False, told=())
    departed = Departed(recordings, Tombstones(database), lambda *_: knows, judge, later)
    seals = Seals(database)

    def all_told(sessions: Collection[int]) -> dict[int, list[str]]:
        return {number: [kept.sha256] for number, kept in seals.of_all(sessions).items() if kept}

    return Inspection(
        *(recordings, index, seals, judge),
        now=later,
        departed=departed,
        told=told or all_told,
        places=places,
        stored=stored,
    )
