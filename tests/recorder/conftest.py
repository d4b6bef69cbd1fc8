"""An archive in a directory of its own, with a clock that stands still."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import Archive, Index, Seals
from recorder.database import Database
from tests import postgres
from tests.recorder.places import Clock, Sqlite
from tests.recorder.sealed import Place

MEBIBYTE = 1024 * 1024


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    if postgres.wanted():
        with postgres.recorders() as served:
            yield served
    else:
        sqlite = Sqlite(tmp_path / "index.db")
        yield sqlite
        sqlite.close()


@pytest.fixture
def index(database: Database) -> Index:
    return Index(database)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def archive(recordings: Path, index: Index, clock: Clock) -> Archive:
    return Archive(
        recordings, index, recipients=[], limit=16 * MEBIBYTE, now=clock.now, clock=clock
    )


@pytest.fixture
def seals(database: Database) -> Seals:
    return Seals(database)


@pytest.fixture
def place(recordings: Path, index: Index, database: Database, clock: Clock) -> Place:
    return Place(recordings, index, database, clock)
