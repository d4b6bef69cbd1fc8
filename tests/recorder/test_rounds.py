"""Rounds: all recordings at once. Whatever is wrong with one hides no other."""

import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update

from recorder import Session
from recorder.database import Database
from recorder.index_tables import seals as seals_table
from recorder.index_tables import sessions
from recorder.rounds import Progress
from tests.postgres import on_sqlite
from tests.recorder.sealed import Place, flip


@pytest.fixture
async def many(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """More than wait for a thread at a time. No power cut is to be feared here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return await place.recorded(12)


def test_sound_ones_have_no_findings(many: list[Session], place: Place) -> None:
    """However many threads there are; it says how far it has come."""
    heard: list[Progress] = []
    for threads in (0, 1, 3):
        assert list(place.rounds(threads).findings(heard.append)) == []
    assert heard[0] == Progress("seals", 12, 12)
    last = heard[-1]
    assert (last.what, last.done, last.of) == ("recordings", 12, 12)
    files = (place.file(each, suffix) for each in many for suffix in (".cast", ".sent"))
    assert last.hashed == sum(file.stat().st_size for file in files)


def test_findings_come_in_the_order_of_their_sessions(many: list[Session], place: Place) -> None:
    """Whichever thread is the first."""
    for each in (many[9], many[1], many[4]):
        flip(place.file(each))
    expected = [f"S-{number}: S-{number}.cast was changed." for number in (2, 5, 10)]
    assert [place.found_anywhere(threads) for threads in (0, 1, 4)] == [expected] * 3


ROWS = [
    ("kind", "'unheard-of'"),
    ("end_reason", "'whatever'"),
    ("started_at", "'yesterday'"),
    ("started_at", "x'00ff'"),
    ("user", "cast(x'ff' as text)"),
    ("path", "cast(x'ff' as text)"),
    ("path", "x'00'"),
    ("path", "'/etc/passwd'"),
    ("size", "'much'"),
    ("connection", "1e300"),
]
SEALS = [
    ("manifest", "x'00'"),
    ("manifest", "cast(x'ff' as text)"),
    ("manifest", "'{}'"),
    ("signature", "x'00'"),
    ("at", "'yesterday'"),
    ("sha256", "5"),
]


def spoil(database: Database, table: str, spoilt: Sequence[tuple[str, str]]) -> None:
    """Another column in each row: in the first, the second, and so on."""
    with database.write() as connection:
        for number, (column, value) in enumerate(spoilt, 1):
            change = f'UPDATE {table} SET "{column}" = {value} WHERE rowid = {number}'  # noqa: S608
            connection.execute(text(change))


def sessions_of(sentences: Iterable[str]) -> set[str]:
    """Those that sentences begin with."""
    return {said.split(": ")[0] for said in sentences if "belongs to no session" not in said}


@on_sqlite("PostgreSQL keeps no value of another type")
def test_rows_that_nobody_wrote_are_findings(
    many: list[Session], place: Place, database: Database
) -> None:
    """And never the end of the others; each by itself too."""
    spoil(database, "sessions", ROWS)
    flip(place.file(many[10]))
    said = place.found_anywhere(2)
    assert "S-11: S-11.cast was changed." in said
    assert sessions_of(said) == {f"S-{number}" for number in range(1, 12)}
    assert all(place.found(number) for number in range(1, 11))


@on_sqlite("PostgreSQL keeps no value of another type")
async def test_seals_that_nobody_made_are_findings(
    many: list[Session], place: Place, database: Database
) -> None:
    """And sealing goes on behind them."""
    spoil(database, "seals", SEALS)
    with database.write() as connection:
        newest = update(seals_table).where(seals_table.c.number == 12)
        connection.execute(newest.values(sha256="?"))
    flip(place.file(many[10]))
    [session] = await place.recorded()
    assert session.recording.sealed
    said = place.found_anywhere(2)
    assert "S-11: S-11.cast was changed." in said
    spoilt = {f"S-{number}" for number in range(1, 7)}
    assert spoilt | {"S-11"} <= sessions_of(said)
    assert all(place.found(number) for number in range(1, 7))
    assert place.found(13) == ["S-13: manifest 13 does not follow 12."]


def test_seals_and_rows_that_are_gone_are_found(
    many: list[Session], place: Place, database: Database
) -> None:
    """By the numbers that are missing, and by the seal that is left."""
    with database.write() as connection:
        connection.execute(delete(seals_table).where(seals_table.c.number.in_([3, 4])))
        connection.execute(delete(sessions).where(sessions.c.id == 7))
    assert place.found_anywhere() == [
        "S-5: manifest 4 is missing before its own.",
        "S-7: its row is missing.",
        "S-3: its seal is missing.",
        "S-4: its seal is missing.",
        "S-7.cast belongs to no session.",
        "S-7.manifest belongs to no session.",
        "S-7.manifest.sig belongs to no session.",
        "S-7.sent belongs to no session.",
    ]


def test_the_newest_seal_is_missed(many: list[Session], place: Place, database: Database) -> None:
    """Also where its session's row and files are gone with it: the log knows of it elsewhere."""
    with database.write() as connection:
        connection.execute(delete(seals_table).where(seals_table.c.number == 12))
    assert place.found_anywhere() == ["S-12: its seal is missing."]


def test_a_session_that_is_gone_with_all_that_it_had_is_missed(
    many: list[Session], place: Place, database: Database
) -> None:
    """The newest one's row, seal and files: the log tells that it was."""
    with database.write() as connection:
        connection.execute(delete(seals_table).where(seals_table.c.number == 12))
        connection.execute(delete(sessions).where(sessions.c.id == 12))
    for file in place.recordings.rglob("S-12.*"):
        file.unlink()
    gone = "S-12: its row is missing, and its seal: the log tells that it began."
    assert place.found_anywhere() == [gone]


def test_files_that_no_session_has_are_found(many: list[Session], place: Place) -> None:
    """Another copy of one that has its row, too; other files are nobody's business."""
    directory = place.file(many[0]).parent
    for name in ("S-99.cast", "S-1-2.cast.zst", "S-98.sent", "notes.txt", "S-1.cast.zst.new"):
        (directory / name).touch()
    (place.recordings / "S-1.cast").touch()
    assert place.found_anywhere() == [
        "S-1.cast belongs to no session.",
        "S-1-2.cast.zst belongs to no session.",
        "S-98.sent belongs to no session.",
        "S-99.cast belongs to no session.",
    ]


def test_a_seal_moved_to_another_session_is_found(
    many: list[Session], place: Place, database: Database
) -> None:
    """Its numbers still leave nothing out."""
    with database.write() as connection:
        for number, session in ((1, 99), (2, 1), (1, 2)):
            moved = update(seals_table).where(seals_table.c.number == number)
            connection.execute(moved.values(session=session))
    said = place.found_anywhere()
    assert any(sentence.startswith("S-1: its row is not what was sealed") for sentence in said)


def test_whoever_has_enough_is_not_kept(
    many: list[Session], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ctrl-c in the middle: the threads stop at their next piece."""
    reading = threading.Event()

    def endless(_: Path) -> object:
        while True:
            reading.set()
            yield b""

    monkeypatch.setattr("recorder.inspection.plain_chunks", endless)

    def enough(progress: Progress) -> None:
        if progress.what == "recordings" and reading.is_set():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(place.rounds(2).findings(enough))
    assert [each.name for each in threading.enumerate() if each.name.startswith("rounds")] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_directory_that_is_closed_is_a_finding(many: list[Session], place: Place) -> None:
    """What lies there is not known to be nothing."""
    closed = place.recordings / "2020"
    closed.mkdir(mode=0)
    try:
        assert place.found_anywhere() == [f"{closed} can't be looked through: Permission denied."]
    finally:
        closed.chmod(0o700)
