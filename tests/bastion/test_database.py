"""The database: transactions, who may wait how long, and what goes wrong with it."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from bastion.errors import Conflict, Misconfigured, Unavailable
from bastion.store import Store
from bastion.store.places import opened
from bastion.store.sqlite import Sqlite
from bastion.tables import meta
from recorder import Index, Kind, SessionInfo
from tests.bastion.worlds import NOW, ROOT, user


@pytest.fixture
def store(on_file: Store) -> Store:
    """What is tried here is SQLite."""
    return on_file


def file_behind(store: Store) -> Path:
    """Where it lies."""
    assert isinstance(store.database, Sqlite)
    return store.database.file


@pytest.fixture
def impatient(store: Store) -> Iterator[Store]:
    """The same database, by somebody who waits for a twentieth of a second."""
    other = Store(Sqlite(file_behind(store), patience=0.05), store.chain)
    yield other
    other.close()


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Another program is writing."""
    with closing(sqlite3.connect(file_behind(store), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_no_update_is_lost(store: Store) -> None:
    """200 read-modify-writes by 8 threads add up to 200."""
    key = meta.c.key == "latest_time"
    store.saw_time(NOW)

    def add_one(_: int) -> None:
        with store.write() as connection:
            at = connection.execute(select(meta.c.at).where(key)).scalar_one()
            connection.execute(update(meta).where(key).values(at=at + timedelta(seconds=1)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(200)))
    assert store.latest_time() == NOW + timedelta(seconds=200)


def write_and_raise(store: Store, error: BaseException) -> None:
    """Something goes wrong after a write, in its block."""
    with store.write() as connection:
        connection.execute(insert(meta).values(key="x", at=NOW))
        raise error


def test_a_write_is_undone_when_its_block_raises(store: Store) -> None:
    """Ours and others' exceptions alike; and the next one can write."""
    for error in (Conflict("no"), KeyError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            write_and_raise(store, error)
    with store.read() as connection:
        assert connection.execute(select(meta)).all() == []
    store.saw_time(NOW)


def test_a_reader_sees_one_moment(store: Store) -> None:
    """What is written meanwhile does not show, and does not wait."""
    store.saw_time(NOW)
    with store.read() as connection:
        before = connection.execute(select(meta.c.at)).scalar_one()
        store.saw_time(NOW + timedelta(hours=1))
        assert connection.execute(select(meta.c.at)).scalar_one() == before
    assert store.latest_time() == NOW + timedelta(hours=1)


def test_a_reader_can_not_write(store: Store) -> None:
    """A slip of ours would be an error, not a write outside a writer's turn."""
    with pytest.raises(Unavailable, match="read-only"), store.read() as connection:
        connection.execute(insert(meta).values(key="x", at=NOW))


def test_a_locked_database_is_a_sentence(store: Store, impatient: Store) -> None:
    """After patience is out; reading goes on."""
    with locked(store):
        with pytest.raises(Unavailable, match="stays locked by another program"):
            impatient.saw_time(NOW)
        assert impatient.latest_time() is None
    impatient.saw_time(NOW)


def test_a_writer_who_does_not_finish_is_waited_for_so_long(impatient: Store) -> None:
    """Within one process, too."""
    entered, leave = threading.Event(), threading.Event()

    def dawdle() -> None:
        with impatient.write():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=dawdle)
    thread.start()
    try:
        assert entered.wait(10)
        with pytest.raises(Unavailable, match="busy"):
            impatient.saw_time(NOW)
    finally:
        leave.set()
        thread.join()
    impatient.saw_time(NOW)


def test_a_full_disk_is_a_sentence(store: Store) -> None:
    """Nothing is half kept, and what is there can be read."""
    store.saw_time(NOW)
    with store.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    large = replace(user("alice"), email="a" * 100_000)
    with pytest.raises(Unavailable, match="no space left"):
        store.add_user(large, ROOT, NOW)
    assert store.users() == []
    assert store.latest_time() == NOW


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"this is no database, " * 100, "is not a database"), (None, "can't be opened")],
)
def test_a_ruined_database_is_a_sentence(store: Store, content: bytes | None, said: str) -> None:
    """Also for who looks at its version; a file that is gone is not made anew."""
    file = file_behind(store)
    store.close()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    for use in (store.latest_time, store.version, lambda: store.saw_time(NOW)):
        with pytest.raises(Unavailable, match=said):
            use()
    assert file.exists() == (content is not None)


def test_the_version_changes_when_anybody_writes(store: Store) -> None:
    """This process, another one; not when somebody reads."""
    seen = [store.version()]
    store.latest_time()
    assert store.version() == seen[0]
    store.saw_time(NOW)
    seen.append(store.version())
    with closing(sqlite3.connect(file_behind(store))) as other:
        other.execute("DELETE FROM meta")
        other.commit()
    seen.append(store.version())
    assert len(set(seen)) == 3


def test_the_version_may_be_asked_from_any_thread(store: Store) -> None:
    """A poller that uses a pool of threads."""
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: store.version(), range(50)))) == 1


def test_commits_are_on_the_disk(store: Store) -> None:
    """A revocation that was said to be done survives a power cut."""
    with store.write() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    with store.read() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    """Under any umask, and so it is for the files beside it."""
    before = os.umask(0)
    try:
        store = Store.open(f"sqlite:///{tmp_path}/open.db", migrate=True)
        store.saw_time(NOW)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == {"open.db": 0o600, "open.db-wal": 0o600, "open.db-shm": 0o600}


def test_no_database_is_made_by_looking_for_it(tmp_path: Path) -> None:
    """The sentence says how one is made."""
    with pytest.raises(Misconfigured, match="restore it from a copy"):
        Store.open(f"sqlite:///{tmp_path}/bastion.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        *["postgresql://localhost", "mysql://x", "sqlite://", "sqlite:///:memory:", "x", ""],
        *["sqlite:///a.db?mode=ro", "/var/lib/bastion.db", "sqlite:////a b?x=1", "http://[x"],
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    """A file of SQLite's, or a database of PostgreSQL's, each written out."""
    with pytest.raises(Misconfigured, match=r"(sqlite|postgresql)://"):
        opened(url, make=True)


def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    """Blanks, percent signs, hashes: it is a path, not an address."""
    file = tmp_path / "a b%20#c" / "x;y.db"
    file.parent.mkdir()
    store = Store.open(f"sqlite:///{file}", migrate=True)
    store.close()
    assert file.stat().st_size > 0


async def test_the_recorder_keeps_its_sessions_here(store: Store) -> None:
    """By the database itself, with its own errors, and by the store."""
    info = SessionInfo(
        connection=31,
        user="alice",
        grant=7,
        host="web",
        login="deploy",
        kind=Kind.SHELL,
        source="x",
    )
    for database in (store.database, store):
        index = Index(database)
        kept = index.add(info, NOW, lambda number: f"S-{number}")
        assert index.get(kept.id) == kept
