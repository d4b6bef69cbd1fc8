"""Shipping: what is over goes into an object store whole, once, and is read from there."""

from datetime import timedelta
from pathlib import Path

import pytest

from recorder import CorruptRecording, RecordingMissing
from recorder.database import Database
from recorder.errors import StoreAway
from recorder.objects import PIECE, Lying, piece_name, series_of
from recorder.session import Shipment
from recorder.shelf import Shelf
from tests.recorder.places import Clock
from tests.recorder.sealed import Place, flip
from tests.recorder.stores import Elsewhere, Endless, Killed, Memory, Port

ALL = ["S-1/S-1.cast", "S-1/S-1.manifest", "S-1/S-1.manifest.sig", "S-1/S-1.sent"]


@pytest.fixture
def port(place: Place, database: Database, clock: Clock) -> Port:
    return Port(place, database, clock, Memory())


@pytest.fixture
def other(port: Port, tmp_path: Path) -> Elsewhere:
    return port.elsewhere(tmp_path / "other")


async def test_another_machine_reads_what_was_shipped(
    place: Place, port: Port, other: Elsewhere
) -> None:
    """It fetches it once, and holds it against its seal; nothing lies in its own recordings."""
    [session] = await place.recorded()
    assert port.later() == []
    assert port.files() == ALL
    shipped = port.row(session)
    assert shipped.recording.shipment is Shipment.SHIPPED
    assert "hello" in other.shown(shipped)
    assert not other.recordings.exists()
    port.memory.away = True
    assert "hello" in other.shown(shipped)
    assert [file.stat().st_mode & 0o777 for file in other.fetched.rglob("S-*")] == [0o600, 0o600]
    assert port.shipping.run() == []


async def test_what_is_not_shipped_yet_is_said_so(
    place: Place, port: Port, other: Elsewhere
) -> None:
    """It lies on the machine that recorded it; that is no finding until that takes too long."""
    [session] = await place.recorded()
    with pytest.raises(RecordingMissing, match="is missing"):
        other.archive.open(session)
    with place.seals._database.write() as connection:
        connection.exec_driver_sql("UPDATE sessions SET runner = 'gate'")
    with pytest.raises(RecordingMissing, match="and not in the store yet"):
        other.archive.open(port.row(session))
    assert other.found(1) == ["S-1: it is neither here nor in the object store."]
    port.later()
    assert other.found(1) == []


async def test_what_was_killed_in_between_goes_on(place: Place, port: Port) -> None:
    """At any object: each is made once, and the row comes last."""
    [session] = await place.recorded()
    for made in range(len(ALL)):
        port.memory.dies = 0 if made == 0 else 1
        with pytest.raises(Killed):
            port.later()
        assert port.row(session).recording.shipment is None
    port.memory.dies = -1
    assert port.later() == []
    assert port.files() == ALL
    assert len(port.memory.made) == len(ALL)


async def test_a_store_that_is_away_gets_it_later(place: Place, port: Port) -> None:
    """Sessions are recorded meanwhile."""
    await place.recorded(2)
    port.memory.away = True
    with pytest.raises(StoreAway):
        port.later()
    await place.recorded()
    port.memory.away = False
    assert port.shipments.waiting()[0] == 3
    assert port.later() == []
    assert port.shipments.waiting() == (0, 0, None)


async def test_other_bytes_are_told_of_and_never_changed(place: Place, port: Port) -> None:
    """Somebody else has the same place, or was there before; the others go."""
    first, second = await place.recorded(2)
    name = f"{first.recording.path.removesuffix('.cast')}/S-1.sent"
    port.memory.objects[name] = b"other"
    said = f"the store has other bytes in {name}"
    assert port.later() == [f"S-1 does not go into the store: {said}"]
    assert port.told == [f"S-1: {said}"]
    assert port.memory.objects[name] == b"other"
    assert port.row(first).recording.shipment is Shipment.OTHER
    assert port.row(second).recording.shipment is Shipment.SHIPPED
    assert port.shipments.refused(10) == [1]


async def test_what_is_not_what_was_sealed_stays_here(place: Place, port: Port) -> None:
    """The store is not to have what nobody would believe."""
    [session] = await place.recorded()
    flip(place.file(session))
    assert port.later() == ["S-1 does not go into the store: S-1: S-1.cast was changed."]
    assert port.files() == []
    assert port.row(session).recording.shipment is Shipment.CORRUPT


@pytest.mark.parametrize("suffix", [".cast", ".sent", ".manifest", ".manifest.sig"])
async def test_a_store_that_lies_is_found(
    place: Place, port: Port, other: Elsewhere, suffix: str
) -> None:
    """What comes back otherwise is no recording, and a finding."""
    [session] = await place.recorded()
    port.later()
    name = f"{session.recording.path.removesuffix('.cast')}/S-1{suffix}"
    content = port.memory.objects[name]
    assert other.found(1) == []
    port.memory.objects[name] = content[:-3] + b"xx\n"
    [said] = other.found(1)
    assert f"S-1{suffix}" in said
    if suffix in (".cast", ".sent"):
        with pytest.raises(CorruptRecording, match="is not what was sealed"):
            other.archive.open(port.row(session))
    del port.memory.objects[name]
    [said] = other.found(1)
    assert "is missing" in said


async def test_a_store_that_never_ends_does_not_fill_the_disk(
    place: Place, database: Database, clock: Clock, tmp_path: Path
) -> None:
    """Room was made for what it lists: nothing beyond that is taken."""
    store = Endless()
    port = Port(place, database, clock, store)
    [session] = await place.recorded()
    port.later()
    other = port.elsewhere(tmp_path / "other")
    with pytest.raises(CorruptRecording, match="has not the size it lists"):
        other.archive.open(port.row(session))
    assert store.given <= 2000
    assert list(other.fetched.rglob("*S-1*")) == []


async def test_verifying_what_a_store_has_needs_no_room(
    place: Place, port: Port, other: Elsewhere
) -> None:
    """It is read as it comes; a store that is away is no finding, but it ends the look."""
    await place.recorded()
    port.later()
    assert other.found(1) == []
    assert not other.fetched.exists()
    port.memory.away = True
    with pytest.raises(StoreAway):
        other.found(1)


async def test_what_was_read_for_longest_ago_makes_room(
    place: Place, port: Port, tmp_path: Path
) -> None:
    """No more than so many bytes are kept of what was fetched."""
    sessions = await place.recorded(3)
    port.later()
    other = port.elsewhere(tmp_path / "small")
    other.places._fetched._limit = 2 * sessions[0].recording.size + 600  # type: ignore[union-attr]
    for each in sessions:
        other.shown(port.row(each))
    assert not list(other.fetched.rglob("S-1.cast"))
    assert list(other.fetched.rglob("S-3.cast"))
    other.places._fetched._limit = 10  # type: ignore[union-attr]
    with pytest.raises(StoreAway, match="only 10 may be fetched"):
        other.shown(port.row(sessions[0]))


def test_a_large_file_is_several_objects(tmp_path: Path) -> None:
    """One behind the other by name they are the file; what is behind a gap does not count."""
    memory, file = Memory(), tmp_path / "S-1.cast.zst"
    shelf = Shelf(memory)
    content = bytes(PIECE) + b"more"
    file.write_bytes(content)
    shelf.put("2026/11/23/S-1", file)
    names = ["2026/11/23/S-1/S-1.cast.zst", "2026/11/23/S-1/S-1.cast.zst.000008388608"]
    assert sorted(memory.objects) == names
    assert b"".join(shelf.chunks(shelf.files("2026/11/23/S-1")["S-1.cast.zst"])) == content
    lying = [Lying(piece_name("f", "S-1.sent", each), 10) for each in (0, 10, 30)]
    assert series_of("f", reversed(lying))["S-1.sent"] == lying[:2]
    assert series_of("f", [*lying[1:], Lying("f/x", 1), Lying("f/live/S-1.sent", 1)]) == {}
    file.write_bytes(b"")
    Shelf(empty := Memory()).put("2026/11/23/S-1", file)
    assert empty.objects == {names[0]: b""}


async def test_what_the_store_has_need_not_stay_here(
    place: Place, port: Port, other: Elsewhere
) -> None:
    """For so long after its end; not what is not there, nor what does not come back as it was."""
    first, second = await place.recorded(2)
    spool = port.spool(timedelta(days=2))
    port.later()
    [third] = await place.recorded()
    assert spool.run() == []
    assert len(list(place.recordings.rglob("S-*"))) == 12
    port.clock.seconds += timedelta(days=2).total_seconds()
    name = f"{second.recording.path.removesuffix('.cast')}/S-2.cast"
    port.memory.objects[name] = b"other"
    [said] = spool.run()
    assert said.startswith("S-2 stays here: what the object store gives back is not what was")
    assert port.told == [said.replace(" stays here", "")]
    assert sorted({file.name.partition(".")[0] for file in place.recordings.rglob("S-*")}) == [
        "S-2",
        "S-3",
    ]
    assert port.row(second).recording.shipment is Shipment.OTHER
    assert "hello" in other.shown(port.row(first))
    assert place.file(third).exists()
    port.memory.away = True
    assert spool.run() == []
