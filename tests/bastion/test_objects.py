"""Checkpoints as objects: made once, never changed, and sent on when the store is there again."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bastion.audit import ANCHOR, Sealer, seal_with
from bastion.errors import BadInput, Unavailable
from bastion.objects import Bucket, CheckpointSink, parse_bucket
from bastion.outlets import SinkAnchor
from bastion.store import Store
from bastion.store.journal import Journal
from tests.bastion.logs import SEAL, Ticking, happened
from tests.bastion.worlds import NOW


class Shelves(ThreadingHTTPServer):
    """An object store that takes what is new, as S3 does; nobody may read or change anything."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Clerk)
        self.objects: dict[str, bytes] = {}
        self.away = False


class Clerk(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Shelves

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        signed = self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
        if self.server.away or not signed:
            self._answer(403)
        elif self.headers["If-None-Match"] != "*":
            self._answer(400)
        elif self.path in self.server.objects:
            self._answer(412)
        else:
            self.server.objects[self.path] = content
            self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def shelves(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelves]:
    """Served on loopback, and named by the environment, as for any tool of Amazon's."""
    made = Shelves()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "writer")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("AWS_REGION", "eu-1")
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def journal(store: Store) -> Journal:
    """A log with one checkpoint."""
    journal = Journal(store)
    sealed(journal)
    return journal


def sealed(journal: Journal) -> None:
    """One event more, and a checkpoint over it."""
    journal.tell(happened(1), NOW)
    Sealer(journal, seal_with(SEAL), Ticking()).seal()


def anchor(journal: Journal, url: str) -> SinkAnchor:
    """As the settings name it."""
    return SinkAnchor(journal, CheckpointSink(parse_bucket(url)), "gate")


def test_each_checkpoint_is_an_object_of_its_own(journal: Journal, shelves: Shelves) -> None:
    """Called by its number and its hash; in it is what every anchor is told."""
    anchoring = anchor(journal, "s3://evidence/gate/")
    for _ in range(2):
        anchoring.step(NOW)
        sealed(journal)
    first, second = reversed(journal.checkpoints()[1:])
    assert shelves.objects == {
        f"/evidence/gate/checkpoint-{each.number:012}-{each.sha256}.json": each.line() + b"\n"
        for each in (first, second)
    }
    assert journal.cursors(ANCHOR) == {"objects s3://evidence/gate": 2}


def test_what_was_made_already_is_not_made_again(journal: Journal, shelves: Shelves) -> None:
    """A process died before it could keep that: nothing is changed, and it goes on."""
    anchoring = anchor(journal, "s3://evidence")
    anchoring.step(NOW)
    before = dict(shelves.objects)
    CheckpointSink(Bucket("s3://evidence")).send([])
    journal.move_cursor(f"{ANCHOR}objects s3://evidence", 0, NOW)
    anchoring.step(NOW)
    assert shelves.objects == before
    assert journal.cursors(ANCHOR) == {"objects s3://evidence": 1}


def test_a_store_that_is_away_gets_the_newest_later(journal: Journal, shelves: Shelves) -> None:
    """One sentence, without what may be secret in it; the newest speaks for those before."""
    shelves.away = True
    anchoring = anchor(journal, "s3://evidence")
    with pytest.raises(Unavailable, match=r"^no object gets into s3://evidence: ") as refused:
        anchoring.step(NOW)
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)
    sealed(journal)
    shelves.away = False
    anchoring.step(NOW)
    [made] = shelves.objects.values()
    assert json.loads(made)["checkpoint"] == 2


def test_a_directory_is_a_store_too(journal: Journal, tmp_path: Path) -> None:
    """On a file system that is written once, for instance."""
    place = tmp_path / "worm"
    anchoring = anchor(journal, f"file://{place}")
    with pytest.raises(Unavailable, match="there is no file://"):
        anchoring.step(NOW)
    place.mkdir()
    anchoring.step(NOW)
    [made] = place.iterdir()
    assert json.loads(made.read_text())["sha256"] == journal.checkpoints()[0].sha256
    made.write_text("other")
    journal.move_cursor(f"{ANCHOR}objects file://{place}", 0, NOW)
    anchoring.step(NOW)
    assert made.read_text() == "other"


@pytest.mark.parametrize("text", ["s3://", "s3:bucket", "file://x", "s3://a/../b", "s3://a b", ""])
def test_what_is_no_store_is_refused(text: str) -> None:
    """With what to write."""
    with pytest.raises(BadInput, match="is no object store"):
        parse_bucket(text)
