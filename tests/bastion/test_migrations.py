"""The schema: what the migrations make is what the statements expect, and nothing half done."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, text

from bastion import tables
from bastion.errors import BastionError, Misconfigured, Unavailable
from bastion.events import Happened, What
from bastion.migrations import configuration
from bastion.store import Store, places
from recorder import Index, index_tables
from tests.bastion.worlds import NOW
from tests.postgres import new_empty_url, url_again

OLD = "0011"
"""A schema that programs had before they asked which are still of use."""


def test_the_migrations_make_what_the_tables_say(store: Store) -> None:
    """Bastion's and the recorder's: tables, columns, types, indexes and constraints."""
    with store.read() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        both = MetaData()
        for table in [*tables.metadata.tables.values(), *index_tables.metadata.tables.values()]:
            table.to_metadata(both)
        assert compare_metadata(context, both) == []


def test_the_program_knows_its_newest_migration() -> None:
    """And the migrations are one line, without forks."""
    scripts = ScriptDirectory.from_config(configuration())
    assert scripts.get_heads() == [tables.SCHEMA]
    assert len(scripts.get_bases()) == 1


def test_migrating_again_changes_nothing(store: Store) -> None:
    """What is kept stays."""
    store.saw_time(NOW)
    store.migrate()
    assert store.schema_is_current()
    assert store.latest_time() == NOW


def test_migrating_is_quiet(tmp_path: Path) -> None:
    """Nothing on stdout or stderr, whatever alembic has to say."""
    program = f"""
import logging
from bastion.store import Store, places
Store.open("sqlite:///{tmp_path}/bastion.db", migrate=True).close()
assert logging.getLogger().handlers == []
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, timeout=30, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


def test_two_that_migrate_at_once(tmp_path: Path) -> None:
    """One does it, the other finds it done."""
    program = "import sys; from bastion.store import Store; Store.open(sys.argv[1], migrate=True)"
    url = f"sqlite:///{tmp_path}/bastion.db"
    both = [
        subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for one in both:
        _, said = one.communicate(timeout=30)
        assert (one.returncode, said) == (0, b"")
    store = Store.open(url)
    assert store.schema_is_current()
    store.close()


def stands_at(store: Store, version: str, oldest: str | None = None) -> str:
    """Makes a database that says it is of another version, and gives its URL.

    `oldest` is what programs have to know at least.
    """
    with store.write() as connection:
        old = {"v": oldest or version}
        connection.execute(text("UPDATE schema_oldest SET version = :v"), old)
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
    return url_again(store)


@pytest.mark.parametrize(
    ("version", "said"),
    [("0000", "start bastion-admin serve once"), ("9999", "written by a newer version")],
)
def test_another_schema_is_not_used(store: Store, version: str, said: str) -> None:
    """The sentence says which is behind, and the mend. Who only wants to look may."""
    url = stands_at(store, version)
    with pytest.raises(Misconfigured, match=said):
        Store.open(url)
    looked = Store.open(url, check=False)
    assert not looked.schema_is_current()
    looked.close()


def test_an_unknown_schema_is_not_migrated(store: Store) -> None:
    """A newer version's database is left alone by an older program."""
    url = stands_at(store, "9999")
    with pytest.raises(Misconfigured, match="newer version"):
        Store.open(url, migrate=True)


def test_an_empty_file_is_no_database(tmp_path: Path) -> None:
    """Nor is somebody else's."""
    file = tmp_path / "bastion.db"
    file.touch()
    with pytest.raises(Misconfigured, match="is not a database of bastion"):
        Store.open(f"sqlite:///{file}")


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """All of it or nothing: here somebody else's table stands in the way of the last one."""
    file = tmp_path / "bastion.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE sessions (id)")
    with pytest.raises(Unavailable, match="schema is of another version"):
        Store.open(f"sqlite:///{file}", migrate=True)
    with closing(sqlite3.connect(file)) as connection:
        tables_left = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables_left == [("sessions",)]


def test_an_older_program_goes_on_beside_a_newer_one(store: Store) -> None:
    """Where the newer has added something only: the older reads, writes, and begins anew."""
    with store.write() as connection:
        connection.execute(text("CREATE TABLE added (id integer)"))
        connection.execute(text("ALTER TABLE sessions ADD COLUMN added integer"))
        connection.execute(text("ALTER TABLE events ADD COLUMN added text"))
    url = stands_at(store, "9998", oldest=tables.SCHEMA)
    store.tell(Happened(What.SERVICE_STARTED, "bastion"), NOW)
    with closing(Store.open(url)) as other:
        other.saw_time(NOW)
        assert Index(other.database).find() == []
    with closing(Store.open(url, migrate=True)) as started:
        assert not started.schema_is_current()
        started.tell(Happened(What.SERVICE_STARTED, "bastion"), NOW)


def test_who_carries_sessions_goes_on_while_another_migrates(tmp_path: Path) -> None:
    """All that was written before and meanwhile is there, and nobody was told that it failed."""
    url = new_empty_url() or f"sqlite:///{tmp_path}/old.db"
    database = places.opened(url, make=True)
    with database.write() as connection:
        command.upgrade(configuration(connection), OLD)
    database.close()
    over, failed = threading.Event(), list[BaseException]()

    def carry(old: Store) -> None:
        number = 0
        while not over.is_set() or number < 20:
            try:
                old.tell(Happened(What.DOOR_REFUSED, "alice"), NOW)
                old.latest_time()
            except BastionError as error:
                failed.append(error)
            number += 1

    with closing(Store.open(url, check=False)) as old, ThreadPoolExecutor(1) as pool:
        going_on = pool.submit(carry, old)
        Store.open(url, migrate=True).close()
        over.set()
        going_on.result(30)
        assert failed == []
        assert old.schema_is_current()
        assert old.last_event() >= 20
