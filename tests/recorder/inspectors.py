"""Somebody who inspects recordings, with a key that signs by hashing."""

from datetime import UTC, datetime
from pathlib import Path

from recorder import Index, Seals
from recorder.departed import Departed
from recorder.inspection import Inspection
from recorder.manifest import sha256_of
from recorder.tombstones import Tombstones
from recorder.verify import Witness
from tests.recorder.places import Sqlite

LATER = datetime(2026, 12, 1, tzinfo=UTC)


def sign(text: bytes) -> str:
    """A signature that whoever knows how to hash can make."""
    return f"signed {sha256_of(text.decode())}\n"


def signed(signature: str, text: str) -> int | str:
    """Whether it is one."""
    return 0 if signature == sign(text.encode()) else "does not fit the text"


def later() -> datetime:
    """Days after what was recorded."""
    return LATER


def inspector(
    recordings: Path, index: Index, database: Sqlite, witness: Witness | None = None
) -> Inspection:
    """Inspects later; of what was let go the `witness` knows more."""
    knows = witness or Witness(held=False, told=())
    departed = Departed(recordings, Tombstones(database), lambda *_: knows, signed, later)
    seals = Seals(database)
    return Inspection(recordings, index, seals, signed, now=later, departed=departed)
