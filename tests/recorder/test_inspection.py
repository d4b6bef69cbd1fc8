"""Inspection: what is done to a recording is found, and said with its session's name."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import delete, update

from recorder import Archive, Index, Session
from recorder.database import Database
from recorder.index_tables import seals as seals_table
from recorder.index_tables import sessions
from tests.recorder.places import MORNING, exec_of
from tests.recorder.sealed import Place, flip


@pytest.fixture
async def three(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """Three sessions that are sealed. No power cut is to be feared here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return await place.recorded(3)


def test_sound_recordings_have_no_findings(three: list[Session], place: Place) -> None:
    """None of them."""
    assert [place.found(each.id) for each in three] == [[], [], []]


def test_a_compressed_one_is_sound(three: list[Session], place: Place) -> None:
    """In several frames; what is hashed is the plain content."""
    cast = place.file(three[0])
    content, packer = cast.read_bytes(), zstandard.ZstdCompressor()
    packed = packer.compress(content[:20]) + packer.compress(content[20:])
    cast.with_suffix(".cast.zst").write_bytes(packed)
    cast.unlink()
    assert place.found(1) == []
    cast.with_suffix(".cast.zst").write_bytes(packed[:-4])
    assert place.found(1)


def append(file: Path, more: bytes) -> None:
    """At the end."""
    file.write_bytes(file.read_bytes() + more)


@pytest.mark.parametrize(
    ("suffix", "spoil", "said"),
    [
        (".cast", flip, "S-2: S-2.cast was changed."),
        (".sent", flip, "S-2: S-2.sent was changed."),
        (".cast", lambda file: os.truncate(file, 400), "S-2: S-2.cast was cut: it has 400 of "),
        (
            ".cast",
            lambda file: file.write_bytes(file.read_bytes() + b"\n"),
            "S-2: S-2.cast was changed.",
        ),
        (".cast", Path.unlink, "S-2: S-2.cast is missing."),
        (".sent", Path.unlink, "S-2: S-2.sent is missing."),
        (".manifest", flip, "S-2: S-2.manifest is not the seal that was kept."),
        (".manifest", Path.unlink, "S-2: S-2.manifest is missing."),
        (".manifest.sig", Path.unlink, "S-2: S-2.manifest.sig is missing."),
    ],
)
def test_a_file_that_was_spoilt_is_found(
    three: list[Session],
    place: Place,
    *,
    suffix: str,
    spoil: Callable[[Path], object],
    said: str,
) -> None:
    """And no other recording's."""
    spoil(place.file(three[1], suffix))
    [sentence] = place.found(2)
    assert sentence.startswith(said)
    assert place.found(1) == place.found(3) == []


def test_files_that_are_swapped_are_found(three: list[Session], place: Place) -> None:
    """Each is a good recording, of another session."""
    first, second = (place.file(each).read_bytes() for each in three[:2])
    place.file(three[0]).write_bytes(second)
    place.file(three[1]).write_bytes(first)
    assert [place.found(number) for number in (1, 2)] == [
        ["S-1: S-1.cast was changed."],
        ["S-2: S-2.cast was changed."],
    ]


@pytest.mark.parametrize("suffix", [".cast", ".manifest"])
def test_what_is_no_file_makes_nobody_wait(three: list[Session], place: Place, suffix: str) -> None:
    """A pipe that nobody writes into is a file that is missing."""
    file = place.file(three[1], suffix)
    file.unlink()
    os.mkfifo(file)
    assert place.found(2) == [f"S-2: {file.name} is missing."]


def test_rows_that_were_spoilt_are_found(
    three: list[Session], place: Place, database: Database
) -> None:
    """Another user's name, another's signature, a seal that is gone, a row that is gone."""
    other = place.seals.of(three[0].id)
    assert other is not None
    with database.write() as connection:
        connection.execute(update(sessions).where(sessions.c.id == 2).values(user="mallory"))
    assert "not what was sealed: user" in place.found(2)[0]
    swapped = update(seals_table).where(seals_table.c.session == 2)
    with database.write() as connection:
        connection.execute(swapped.values(signature=other.signature))
    assert any("it does not fit the text" in said for said in place.found(2))
    with database.write() as connection:
        connection.execute(delete(seals_table).where(seals_table.c.session == 2))
    assert "its seal is missing" in place.found(2)[0]
    assert "manifest 2 is missing before" in place.found(3)[0]
    with database.write() as connection:
        connection.execute(delete(sessions).where(sessions.c.id == 2))
    assert "its row is missing" in place.found(2)[0]


def test_two_whole_seals_that_are_swapped_are_found(
    three: list[Session], place: Place, database: Database
) -> None:
    """In the database and beside the recordings, each with its own good signature."""
    first, second = (place.seals.of(each.id) for each in three[:2])
    assert first is not None
    assert second is not None
    for each, kept in ((three[0], second), (three[1], first)):
        place.file(each, ".manifest").write_text(kept.manifest)
        place.file(each, ".manifest.sig").write_text(kept.signature)
    with database.write() as connection:
        for number, session in ((1, 99), (2, 1), (1, 2)):
            moved = update(seals_table).where(seals_table.c.number == number)
            connection.execute(moved.values(session=session))
    for number in (1, 2):
        said = " ".join(place.found(number))
        assert "the log of events was told of another seal" in said
        assert "its row is not what was sealed" in said


async def test_one_that_was_never_sealed_is_found(index: Index, place: Place) -> None:
    """A minute after its end."""
    unsealed = Archive(place.recordings, index, recipients=[], limit=1 << 20, now=lambda: MORNING)
    async with unsealed.record(exec_of()):
        pass
    assert place.found(1) == ["S-1: it is over and was never sealed."]


async def test_a_seal_that_the_log_was_not_told_of_is_found(place: Place) -> None:
    """Whoever signs anew has to change the log too, and that has left the machine."""
    await place.recorded(2)
    place.log.told[1] = ["5e" * 32]
    del place.log.told[2]
    assert place.found(1) == ["S-1: the log of events was told of another seal."]
    assert place.found(2) == ["S-2: the log of events was never told of its seal."]


async def test_a_retired_key_seals_no_more(place: Place) -> None:
    """By its time, or by its place behind a newer one's: either is a finding."""
    await place.recorded(1)
    place.keys.retired[0] = MORNING
    assert place.found(1) == []
    place.keys.retired[0] = MORNING - timedelta(hours=1)
    late = (
        "S-1: its manifest of 2026-11-23 09:00 UTC is by a key that was retired "
        "2026-11-23 08:00 UTC."
    )
    assert place.found(1) == [late]
    place.keys.retired.clear()
    place.keys.newest = 1
    await place.recorded(1)
    assert place.found(2) == []
    place.keys.newest = 0
    await place.recorded(1)
    place.keys.newest = 1
    assert place.found(3) == ["S-3: manifest 3 is by a key that was retired before."]
    assert place.found_anywhere() == place.found(3)


async def test_a_session_that_ends_while_it_is_judged_is_sound(place: Place) -> None:
    """What was read before its end, and what was read after, do not fit: then it is read anew."""
    recording = await place.archive.begin(exec_of())
    [before] = place.inspection.cases([1])
    await place.archive.finish(recording)
    assert not place.inspection.same(before)
    stale, cases = [before], place.inspection.cases
    place.inspection.cases = lambda numbers: [stale.pop()] if stale else cases(numbers)  # type: ignore[method-assign]
    place.log.told.setdefault(1, [])
    assert place.found(1) == []
    assert not stale
