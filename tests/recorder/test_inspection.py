"""Inspection: what is done to a recording is found, and said with its session's name."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import delete, update

from recorder import Archive, Index, Seals, Session
from recorder.index_tables import seals as seals_table
from recorder.index_tables import sessions
from recorder.inspection import Inspection
from recorder.seal import Sealing
from tests.recorder.inspectors import inspector, sign
from tests.recorder.places import Clock, Sqlite, exec_of


@pytest.fixture
def seals(database: Sqlite) -> Seals:
    return Seals(database)


@pytest.fixture
def inspection(recordings: Path, index: Index, database: Sqlite) -> Inspection:
    return inspector(recordings, index, database)


@pytest.fixture
async def three(recordings: Path, index: Index, seals: Seals, clock: Clock) -> list[Session]:
    """Three sessions that are sealed."""
    sealing = Sealing(
        recordings, index, seals, sign=sign, told=lambda *_: None, node="gate", now=clock.now
    )
    archive = Archive(recordings, index, recipients=[], limit=1 << 20, sealing=sealing)
    for _ in range(3):
        async with archive.record(exec_of()) as recording:
            recording.shown(b"hello")
    found = [index.get(number) for number in (1, 2, 3)]
    return [each for each in found if each is not None]


def of(recordings: Path, session: Session, suffix: str = ".cast") -> Path:
    return (recordings / session.recording.path).with_suffix(suffix)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_sound_recordings_have_no_findings(three: list[Session], inspection: Inspection) -> None:
    """Nor has one that was compressed meanwhile."""
    assert [inspection.session(each.id) for each in three] == [[], [], []]


def test_a_compressed_one_is_sound(
    three: list[Session], inspection: Inspection, recordings: Path
) -> None:
    """In several frames; what is hashed is the plain content."""
    cast = of(recordings, three[0])
    content, packer = cast.read_bytes(), zstandard.ZstdCompressor()
    packed = packer.compress(content[:20]) + packer.compress(content[20:])
    cast.with_suffix(".cast.zst").write_bytes(packed)
    cast.unlink()
    assert inspection.session(1) == []
    cast.with_suffix(".cast.zst").write_bytes(packed[:-4])
    assert inspection.session(1)


@pytest.mark.parametrize(
    ("suffix", "spoil", "said"),
    [
        (".cast", flip, "S-2: S-2.cast was changed."),
        (".sent", flip, "S-2: S-2.sent was changed."),
        (".cast", lambda file: file.write_bytes(file.read_bytes()[:-9]), "S-2: S-2.cast was cut"),
        (".cast", Path.unlink, "S-2: S-2.cast is missing."),
        (".manifest", flip, "S-2: S-2.manifest is not the seal that was kept."),
        (".manifest.sig", Path.unlink, "S-2: S-2.manifest.sig is missing."),
    ],
)
def test_a_file_that_was_spoilt_is_found(
    three: list[Session],
    inspection: Inspection,
    recordings: Path,
    *,
    suffix: str,
    spoil: Callable[[Path], object],
    said: str,
) -> None:
    """And no other recording's."""
    spoil(of(recordings, three[1], suffix))
    [finding] = inspection.session(2)
    assert finding.sentence.startswith(said)
    assert inspection.session(1) == inspection.session(3) == []


def test_rows_that_were_spoilt_are_found(
    three: list[Session], inspection: Inspection, database: Sqlite, seals: Seals
) -> None:
    """Another user's name, another's signature, a seal that is gone, a row that is gone."""
    other = seals.of(three[0].id)
    assert other is not None
    with database.write() as connection:
        connection.execute(update(sessions).where(sessions.c.id == 2).values(user="mallory"))
    assert "not what was sealed: user" in inspection.session(2)[0].sentence
    swapped = update(seals_table).where(seals_table.c.session == 2)
    with database.write() as connection:
        connection.execute(swapped.values(signature=other.signature))
    assert "it does not fit the text" in inspection.session(2)[0].sentence
    with database.write() as connection:
        connection.execute(delete(seals_table).where(seals_table.c.session == 2))
    assert "its seal is missing" in inspection.session(2)[0].sentence
    assert "manifest 2 is missing before" in inspection.session(3)[0].sentence
    with database.write() as connection:
        connection.execute(delete(sessions).where(sessions.c.id == 2))
    assert "its row is missing" in inspection.session(2)[0].sentence


async def test_one_that_was_never_sealed_is_found(
    index: Index, inspection: Inspection, recordings: Path
) -> None:
    """A minute after its end."""
    archive = Archive(
        recordings,
        index,
        recipients=[],
        limit=1 << 20,
        now=lambda: datetime(2026, 11, 23, tzinfo=UTC),
    )
    async with archive.record(exec_of()):
        pass
    [finding] = inspection.session(1)
    assert finding.sentence == "S-1: it is over and was never sealed."
