"""PostgreSQL as the store's database: turns, moments, guards, and a server that is not there."""

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import cast

import psycopg
import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

from bastion.audit import verified
from bastion.errors import Misconfigured, Unavailable
from bastion.events import Happened, What
from bastion.store import Store
from bastion.store.journal import Journal
from bastion.store.postgres import Postgres
from bastion.tables import meta
from tests.bastion.test_ledger import numbered_anew
from tests.bastion.worlds import NOW, ROOT, SECOND, user
from tests.postgres import PATIENCE, Server, migrated, server, until_answers

LEADER = (
    "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database "
    "WHERE locktype = 'advisory' AND objid = 7023 AND granted AND datname = current_database()"
)


@pytest.fixture
def url() -> str:
    """A database with its schema."""
    return server().new_url(migrated())


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A bastion's store there."""
    with closing(Store.open(url)) as opened:
        yield opened


@pytest.fixture
def other(url: str) -> Iterator[Store]:
    """Another bastion's, on the same database."""
    with closing(Store.open(url)) as opened:
        yield opened


def test_who_is_late_finds_it_closed_and_leaves_no_connection(
    url: str, recwarn: pytest.WarningsRecorder
) -> None:
    """A thread that reads while all is given back is done first; whoever asks later is refused."""
    store = Store.open(url)
    with store.read() as connection:
        store.close()
        assert connection.scalar(select(1)) == 1
        late = cast("psycopg.Connection[object]", connection.connection.dbapi_connection)
    assert late.closed
    with pytest.raises(Unavailable, match="was closed here: this process is at its end"):
        store.user("alice")
    del connection, late
    gc.collect()
    assert [str(each.message) for each in recwarn if "still open" in str(each.message)] == []


def test_the_ledger_counts_on_from_a_serial_that_it_was_told(store: Store) -> None:
    """Though the sequence knows nothing of it."""
    store.add_user(user("alice"), ROOT, NOW)
    assert numbered_anew(store) == [7, 8, 9]


def test_no_update_of_two_bastions_is_lost(store: Store, other: Store) -> None:
    """200 read-modify-writes by 8 threads of two of them add up to 200."""
    key = meta.c.key == "latest_time"
    store.saw_time(NOW)

    def add_one(number: int) -> None:
        with (store, other)[number % 2].write() as connection:
            at = connection.execute(select(meta.c.at).where(key)).scalar_one()
            connection.execute(update(meta).where(key).values(at=at + SECOND))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(200)))
    assert store.latest_time() == NOW + 200 * SECOND


def test_a_reader_sees_one_moment_and_can_not_write(store: Store, other: Store) -> None:
    """What another bastion writes meanwhile does not show, and does not wait."""
    store.saw_time(NOW)
    with store.read() as connection:
        before = connection.execute(select(meta.c.at)).scalar_one()
        other.saw_time(NOW + SECOND)
        assert connection.execute(select(meta.c.at)).scalar_one() == before
    assert store.latest_time() == NOW + SECOND
    with pytest.raises(Unavailable, match="read-only"), store.read() as connection:
        connection.execute(insert(meta).values(key="x", at=NOW))


def test_the_version_changes_when_anybody_writes(store: Store, other: Store) -> None:
    """Whoever sees a new version sees what was written; reading changes nothing."""
    seen = store.version()
    store.latest_time()
    other.latest_time()
    assert store.version() == seen
    for number in range(1, 20):
        other.saw_time(NOW + number * SECOND)
        assert store.version() != seen
        seen = store.version()
        assert store.latest_time() == NOW + number * SECOND


def test_a_turn_is_waited_for_so_long(url: str, store: Store) -> None:
    """Behind another bastion's writer, and then it is said."""
    impatient = Store(Postgres(url, patience=0.1), store.chain)
    entered, leave = threading.Event(), threading.Event()

    def dawdle() -> None:
        with store.write():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=dawdle)
    thread.start()
    try:
        assert entered.wait(10)
        with pytest.raises(Unavailable, match="stays locked by another program"):
            impatient.saw_time(NOW)
        assert impatient.latest_time() is None
    finally:
        leave.set()
        thread.join()
    impatient.saw_time(NOW)
    impatient.close()


def test_two_bastions_write_chains_of_one_log(store: Store, other: Store) -> None:
    """Each has its own; the numbers of events leave nothing out, and the log is whole."""
    journals = Journal(store), Journal(other)

    def tell(number: int) -> None:
        journals[number % 2].tell(Happened(What.SERVICE_STARTED, "bastion"), NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tell, range(100)))
    assert [event.id for event in journals[0].after(0)] == list(range(1, 101))
    assert len(journals[0].heads()) == 2
    assert verified(journals[0], lambda *_: None, {}).findings == ()


@pytest.mark.parametrize("table", ["events", "checkpoints", "policies"])
def test_what_is_written_once_is_never_changed(url: str, store: Store, table: str) -> None:
    """The database refuses; where its guards were taken away, that is seen."""
    Journal(store).tell(Happened(What.SERVICE_STARTED, "bastion"), NOW)
    store.keep_policy("[[rule]]", "1" * 64, ROOT, NOW)
    acts = ["TRUNCATE {}", "DELETE FROM {}", "UPDATE {} SET id = 7"]
    for act in acts[:1] if table == "checkpoints" else acts:  # it has no row yet
        statement = act.format(table)
        with psycopg.connect(url) as raw, pytest.raises(psycopg.errors.RaiseException):
            raw.execute(statement.encode())
    with psycopg.connect(url) as raw:
        raw.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_no_change".encode())
    with Journal(store).evidence() as evidence:
        assert evidence.open_tables() == [table]


def test_a_key_belongs_to_one_user_there_too(store: Store) -> None:
    """A broken constraint ends what was tried, and not the transaction around it."""
    alice = user("alice")
    store.add_user(alice, ROOT, NOW)
    with pytest.raises(Exception, match="belongs to alice"):
        store.enrol_key(_added(store, "bob"), alice.keys[0], ROOT, NOW)


def _added(store: Store, name: str) -> str:
    store.add_user(user(name), ROOT, NOW)
    return name


def test_a_password_is_never_told(url: str) -> None:
    """Neither by the name of a database nor about a URL that can't be read."""
    secret = url.replace("bastion@", "bastion:s3cret%40@")
    made = Postgres(secret)
    assert made.name == url
    made.close()
    with pytest.raises(Misconfigured, match="can't be read") as refused:
        Postgres("postgresql://bastion:s3cret@host:port/x")
    assert "s3cret" not in str(refused.value)


def test_a_database_that_is_not_there_is_a_sentence(url: str) -> None:
    """As are a server that is not there, and an account that it does not know."""
    for wrong, said in (
        (url.rpartition("/")[0] + "/nobody", "does not exist"),
        (f"postgresql://127.0.0.1:1/{url.rpartition('/')[2]}", "does not answer"),
        (url.replace("bastion@", "stranger@"), "stranger.* does not exist"),
    ):
        with pytest.raises(Unavailable, match=said):
            Store.open(wrong)


@pytest.mark.timeout(120)
def test_a_server_that_comes_back_is_used_again() -> None:
    """While it is away each use is a sentence; connections from before are no error after."""
    own = Server()
    try:
        url = own.new_url()
        with closing(Store.open(url, migrate=True)) as store:
            store.saw_time(NOW)
            version = store.version()
            own.stop("fast")
            for use in (store.latest_time, store.version, lambda: store.saw_time(NOW)):
                with pytest.raises(Unavailable, match="does not answer"):
                    use()
            own.start()
            until_answers(url)
            assert store.latest_time() == NOW
            store.saw_time(NOW + timedelta(hours=1))
            assert store.version() != version
    finally:
        own.remove()


def test_what_raises_is_rolled_back(store: Store) -> None:
    """An error of the database's own ends the transaction, and the next one can write."""

    def write_and_fail() -> None:
        with store.database.write() as connection:
            connection.execute(insert(meta).values(key="x", at=NOW))
            connection.exec_driver_sql("SELECT 1/0")

    with pytest.raises(DBAPIError):
        write_and_fail()
    with store.read() as connection:
        assert connection.execute(select(meta)).all() == []
    store.saw_time(NOW)


def test_one_of_several_leads(url: str, store: Store, other: Store) -> None:
    """Until it is gone, or its connection is; whoever asks next then leads."""
    assert store.leads()
    assert not other.leads()
    assert store.leads()
    with psycopg.connect(url, autocommit=True) as raw:
        (pid,) = raw.execute(LEADER).fetchone() or (None,)
        raw.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    assert other.leads()
    with pytest.raises(Unavailable):
        store.leads()
    assert not store.leads()
    other.close()
    deadline = time.monotonic() + PATIENCE
    while not store.leads():  # the server notices by itself that nobody is there any more
        assert time.monotonic() < deadline


@pytest.mark.timeout(120)
def test_a_server_that_stands_still_is_not_waited_for() -> None:
    """Its kernel answers for it, and it keeps no limit of its own: the one who asks gives up."""
    own = Server()
    try:
        url = own.new_url(template=None)
        Store.open(url, migrate=True).close()
        with closing(Store.open(url)) as opened:
            store = Store(Postgres(url, patience=2, silence=1), opened.chain)
            store.saw_time(NOW)
            version = store.version()
            with own.hanging():
                for use in (store.latest_time, store.version, lambda: store.saw_time(NOW)):
                    with pytest.raises(Unavailable, match="does not answer"):
                        use()
            store.saw_time(NOW + SECOND)
            assert store.latest_time() == NOW + SECOND
            assert store.version() != version
            store.close()
    finally:
        own.remove()
