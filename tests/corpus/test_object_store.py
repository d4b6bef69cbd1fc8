"""Recordings in an object store: nothing makes evidence vanish, or says that it is what it is not.

Seen elsewhere: a machine is lost and the tail is gone; whoever writes a database or a bucket makes
a program delete, overwrite or believe what it should keep.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from recorder import CorruptRecording, Index, Session
from recorder.places import Places
from recorder.session import Shipment
from recorder.shelf import Shelf
from recorder.trailing import Trailing
from tests.recorder.places import Clock, Sqlite, exec_of
from tests.recorder.sealed import Place
from tests.recorder.stores import Memory, Port

DAYS = timedelta(days=40)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    database, clock = Sqlite(tmp_path / "index.db"), Clock()
    place = Place(tmp_path / "recordings", Index(database), database, clock)
    yield Port(place, database, clock, Memory())
    database.close()


async def old(port: Port) -> Session:
    """A recording that would be in the store, and need not be here any more."""
    [session] = await port.place.recorded()
    port.clock.seconds += DAYS.total_seconds()
    return session


def written(port: Port, values: str) -> None:
    """Somebody writes into the row of the first session."""
    with port.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE sessions SET {values} WHERE id = 1")  # noqa: S608


async def test_a_row_that_says_shipped_takes_nothing_away(port: Port) -> None:
    """The store has to give it back first."""
    session = await old(port)
    written(port, "shipment = 'shipped'")
    [said] = port.spool(timedelta(days=1)).run()
    assert "S-1 stays here" in said
    assert port.place.file(session).exists()
    assert port.row(session).recording.shipment is Shipment.OTHER


@pytest.mark.parametrize("signature", ["", "key 7 signed nothing"])
async def test_a_row_that_says_let_go_takes_nothing_away(port: Port, signature: str) -> None:
    """Without a tombstone that is signed, and that the log tells of."""
    session = await old(port)
    port.later()
    written(port, "let_go_at = '2026-12-01 00:00:00'")
    if signature:
        row = (1, '{"tombstone":"S-1"}\n', signature, "0" * 64, "2026-12-01 00:00:00", True)
        with port.database.write() as connection:
            connection.exec_driver_sql("INSERT INTO tombstones VALUES (?, ?, ?, ?, ?, ?)", row)
    port.spool(timedelta(days=1)).run()
    assert port.place.file(session).exists()


async def test_what_somebody_puts_into_the_store_first_is_not_believed(port: Port) -> None:
    """Neither in place of a recording, nor behind what has come of a live one."""
    recording = await port.place.archive.begin(exec_of())
    recording.shown(b"true\r\n")
    trailing = Trailing(
        port.place.recordings,
        port.place.index,
        Shelf(port.memory),
        Places(port.place.recordings),
        told=lambda session, why: port.told.append(f"{session.name}: {why}"),
    )
    trailing.run()
    size = recording.path.stat().st_size
    folder = f"{port.place.index.find()[0].recording.path.removesuffix('.cast')}/live"
    planted = f"{folder}/S-1.cast.{size:012}"
    port.memory.objects[planted] = b'[2.0, "o", "false"]\n'
    recording.shown(b"also true\r\n")
    trailing.run()
    assert port.told == [f"S-1: the store has other bytes in {planted}"]
    await port.place.archive.finish(recording)
    assert port.later() == []
    [session] = port.place.index.find()
    assert session.recording.shipment is Shipment.SHIPPED


@pytest.mark.parametrize("path", ["../../../etc/passwd", "2026/11/23/S-2.cast", "/etc/S-1.cast"])
async def test_a_row_names_no_other_place(port: Port, tmp_path: Path, path: str) -> None:
    """Neither here nor in the store: what it names is not its own."""
    await old(port)
    port.later()
    written(port, f"path = '{path}'")
    other = port.elsewhere(tmp_path / "other")
    with pytest.raises(Exception, match="names a file that is not its own"):
        other.archive.open(port.place.index.find()[0])
    assert other.found(1)
    assert not (tmp_path / "other" / "fetched").exists()


async def test_a_store_that_never_ends_fills_no_disk(port: Port, tmp_path: Path) -> None:
    """No more is taken from an object than it was listed with."""
    session = await old(port)
    port.later()
    name = f"{session.recording.path.removesuffix('.cast')}/S-1.cast"
    other = port.elsewhere(tmp_path / "other")
    whole, taken = port.memory.objects[name], 0

    def endless(asked: str) -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1000
            yield bytes(1000)

    port.memory.read = endless  # type: ignore[assignment, method-assign]
    with pytest.raises(CorruptRecording, match="has not the size it lists"):
        other.archive.open(port.row(session))
    assert taken <= len(whole) + 1000
    assert not list(other.fetched.rglob("S-*"))
