"""A store that answers by HTTP, and badly: with errors, too late, or with what is not so."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bastion.objects import Bucket, ObjectStore
from recorder.database import Database
from recorder.errors import StoreAway
from recorder.session import Shipment
from tests.recorder.places import Clock
from tests.recorder.sealed import Place
from tests.recorder.stores import Port


class Mood(Enum):
    """How it answers.

    FAILING    500, and does nothing
    LATE       nothing, for longer than anybody waits
    LOST       500, when it has done what was asked
    FORGETFUL  that it has done it, and it has not
    """

    WELL = auto()
    FAILING = auto()
    LATE = auto()
    LOST = auto()
    FORGETFUL = auto()


class Shelves(ThreadingHTTPServer):
    """As much of S3 as recordings need, on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Clerk)
        self.objects: dict[str, bytes] = {}
        self.mood = Mood.WELL
        self.over = threading.Event()


class Clerk(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Shelves

    def do_PUT(self) -> None:
        name = urlsplit(self.path).path.removeprefix("/recordings/")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_off():
            return
        if name in self.server.objects:
            self._answer(412)
            return
        if self.server.mood is not Mood.FORGETFUL:
            self.server.objects[name] = content
        self._answer(500 if self.server.mood is Mood.LOST else 200)

    def do_GET(self) -> None:
        if self._is_off():
            return
        asked = urlsplit(self.path)
        name = asked.path.removeprefix("/recordings/")
        if name in ("", "/recordings"):
            self._answer(200, self._listed(parse_qs(asked.query).get("prefix", [""])[0]))
        elif name in self.server.objects:
            self._answer(200, self.server.objects[name])
        else:
            self._answer(404)

    def _listed(self, prefix: str) -> bytes:
        rows = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(content)}</Size><ETag>1</ETag>"
            "<LastModified>2026-11-30T00:00:00.000Z</LastModified></Contents>"
            for name, content in sorted(self.server.objects.items())
            if name.startswith(prefix)
        )
        return (
            "<ListBucketResult><IsTruncated>false</IsTruncated>"
            f"<KeyCount>1</KeyCount>{rows}</ListBucketResult>"
        ).encode()

    def _is_off(self) -> bool:
        if self.server.mood is Mood.LATE:
            self.server.over.wait(10)
        elif self.server.mood is Mood.FAILING:
            self._answer(500)
        else:
            return False
        return True

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def shelves(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelves]:
    """Named by the environment, as for any tool of Amazon's."""
    made = Shelves()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.server_port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "any")
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.over.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def port(place: Place, database: Database, clock: Clock, shelves: Shelves) -> Port:
    """What ships there, and waits for half a second."""
    return Port(place, database, clock, ObjectStore(Bucket("s3://recordings"), "500ms", tries=1))


@pytest.mark.parametrize("mood", [Mood.FAILING, Mood.LATE, Mood.LOST])
async def test_what_it_did_not_take_goes_there_later(
    place: Place, port: Port, shelves: Shelves, tmp_path: Path, mood: Mood
) -> None:
    """It counts as away, in one sentence; once it is well it gets everything, and each once."""
    first, second = await place.recorded(2)
    shelves.mood = mood
    with pytest.raises(StoreAway) as said:
        port.later()
    assert "\n" not in str(said.value)
    assert port.shipments.waiting()[0] == 2
    assert place.file(first).exists()
    shelves.mood = Mood.WELL
    assert port.later() == []
    assert port.told == []
    other = port.elsewhere(tmp_path / "other")
    assert "hello" in other.shown(port.row(first))
    shelves.mood = mood
    if mood is not Mood.LOST:  # who reads loses nothing by that one
        with pytest.raises(StoreAway):
            other.shown(port.row(second))
    shelves.mood = Mood.WELL
    assert "hello" in other.shown(port.row(second))
    assert other.found(1) + other.found(2) == []


async def test_what_it_only_says_that_it_has_stays_here(
    place: Place, port: Port, shelves: Shelves, tmp_path: Path
) -> None:
    """Nothing is taken away that does not come back; and it is a finding."""
    [session] = await place.recorded()
    shelves.mood = Mood.FORGETFUL
    port.later()
    shelves.mood = Mood.WELL
    port.clock.seconds += timedelta(days=2).total_seconds()
    [said] = port.spool(timedelta(days=1)).run()
    assert "S-1 stays here" in said
    assert place.file(session).exists()
    assert port.row(session).recording.shipment is Shipment.OTHER
    assert any("S-1" in each for each in port.told)
