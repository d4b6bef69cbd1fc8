"""A real S3 server: what recordings need of one. Opt-in, by `TEST_S3` (docs/contributing.md)."""

import os
import secrets
from pathlib import Path

import pytest

from bastion.objects import Bucket, ObjectStore, parse_bucket
from recorder import RecordingMissing
from recorder.errors import StoreAway
from recorder.objects import PIECE, Lying
from recorder.places import Places
from recorder.session import Shipment
from recorder.shelf import Shelf
from recorder.trailing import Trailing
from tests import ceph
from tests.recorder.places import Clock, Sqlite, exec_of
from tests.recorder.sealed import Place
from tests.recorder.stores import Port

pytestmark = pytest.mark.skipif("TEST_S3" not in os.environ, reason="TEST_S3 names no store")


@pytest.fixture
def bucket() -> Bucket:
    """A prefix of its own for each test."""
    return parse_bucket(f"{ceph.url()}/{secrets.token_hex(8)}")


def test_each_object_is_made_once(bucket: Bucket) -> None:
    """And read, listed and taken away; what is not there is told from what can't be asked."""
    store = ObjectStore(bucket)
    assert store.make("a/live/S-1.cast", b"first") is True
    assert store.make("a/live/S-1.cast", b"other") is False
    assert store.make("a/S-1.cast.000000000005", bytes(PIECE)) is True
    assert b"".join(store.read("a/live/S-1.cast")) == b"first"
    assert sorted(store.listed("a"), key=lambda each: each.size) == [
        Lying("a/live/S-1.cast", 5),
        Lying("a/S-1.cast.000000000005", PIECE),
    ]
    assert list(store.listed("b")) == []
    with pytest.raises(RecordingMissing):
        list(store.read("a/S-2.cast"))
    for name in ("a/live/S-1.cast", "a/live/S-1.cast", "a/S-1.cast.000000000005"):
        store.remove(name)
    assert list(store.listed("a")) == []


def test_who_may_not_is_told_so(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, without a secret."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-s3cret")
    with pytest.raises(StoreAway, match="no object gets into") as refused:
        ObjectStore(bucket).make("a", b"b")
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)


async def test_recordings_go_there_and_are_read_from_there(
    place: Place, database: Sqlite, clock: Clock, tmp_path: Path, bucket: Bucket
) -> None:
    """While they grow, and when they are over; another machine has no more than that."""
    store = ObjectStore(bucket)
    port = Port(place, database, clock, store)
    places = Places(place.recordings)
    trailing = Trailing(
        place.recordings, place.index, Shelf(store), places, told=lambda *_: None, clock=clock
    )
    recording = await place.archive.begin(exec_of())
    for number in range(3):
        recording.shown(b"line %d\r\n" % number)
        assert trailing.run() == []
    session = port.row(place.index.find()[0])
    folder = session.recording.path.removesuffix(".cast")
    shelf = Shelf(store)
    live = shelf.files(f"{folder}/live")["S-1.cast"]
    assert b"".join(shelf.chunks(live)) == recording.path.read_bytes()
    await place.archive.finish(recording)
    assert port.later() == []
    assert port.row(session).recording.shipment is Shipment.SHIPPED
    assert shelf.files(f"{folder}/live") == {}
    other = port.elsewhere(tmp_path / "other")
    assert other.found(session.id) == []
    assert "line 2" in other.shown(port.row(session))
