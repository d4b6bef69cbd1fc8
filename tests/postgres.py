"""A PostgreSQL of the tests' own: one server a process, on loopback, a database for each who asks.

`TEST_DATABASE=postgresql` in the environment makes it the database of every test that does not
need a file.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest

from bastion.config import Settings
from bastion.home import Home
from bastion.store import Store
from bastion.store.postgres import Postgres
from recorder.index_tables import metadata

PATIENCE = 20.0


def wanted() -> bool:
    """Whether the tests are to run on PostgreSQL."""
    return os.environ.get("TEST_DATABASE") == "postgresql"


def on_sqlite(why: str) -> pytest.MarkDecorator:
    """A test of what only SQLite has, or only a file: `why`."""
    return pytest.mark.skipif(wanted(), reason=f"of SQLite: {why}")


class Server:
    """A cluster in a directory of its own, which postgres may enter; `stop` ends it."""

    def __init__(self) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="pg-"))
        self._place.chmod(0o755)
        self.port = _free_port()
        self._numbers = count(1)
        self._made: set[str] = set()
        self._as_postgres: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._place, "postgres", "postgres")
            self._as_postgres = "setpriv --reuid=postgres --regid=postgres --clear-groups".split()
        data = self._place / "data"
        options = ("-A", "trust", "-U", "bastion", "--no-sync", "-E", "UTF8", "--locale=C")
        self._run("initdb", "-D", data, *options)
        self._data = data
        self.start()

    def start(self) -> None:
        """Begin, and wait until it answers. It syncs nothing: nobody pulls the plug on a test."""
        settings = (
            f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self._place} "
            "-c fsync=off -c max_connections=300"
        )
        log = self._place / "log"
        self._run("pg_ctl", "-D", self._data, "-o", settings, "-l", log, "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        """End it."""
        self._run("pg_ctl", "-D", self._data, "-m", how, "-w", "stop")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Nothing of it moves: who has connected hears nothing, and who connects neither."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        """Its postmaster first, so that nobody is born in between."""
        first = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(first, signal.SIGSTOP)
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def remove(self) -> None:
        """End it, and leave nothing."""
        self.stop()
        shutil.rmtree(self._place)

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """The databases that are made within the block are gone behind it: each is 300 files."""
        kept = set(self._made)
        yield
        with closing(self._connected("postgres")) as connection:
            for name in set(self._made) - kept:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
                self._made.discard(name)

    def keep(self, url: str) -> str:
        """This one stays; it is copied for others."""
        self._made.discard(url.rpartition("/")[2])
        return url

    def new_url(self, template: str | None = None) -> str:
        """The URL of a fresh database: an empty one, or a copy of another one's."""
        name = f"test{next(self._numbers)}"
        copied = "" if template is None else f" TEMPLATE {template.rpartition('/')[2]}"
        with closing(self._connected("postgres")) as connection:
            connection.execute(f"CREATE DATABASE {name}{copied}".encode())
        self._made.add(name)
        return f"postgresql://bastion@127.0.0.1:{self.port}/{name}"

    def _connected(self, name: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="bastion", dbname=name, autocommit=True
        )

    def _run(self, program: str, *words: str | Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
        assert found, "PostgreSQL is not installed: make test does it"
        done = subprocess.run(
            [*self._as_postgres, found[-1], *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=self._place,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (done.stdout or b"").decode(errors="replace")


@cache
def server() -> Server:
    """The one of this process, started when it is first asked for; tests/conftest.py ends it."""
    return Server()


@cache
def migrated() -> str:
    """A database with its schema, to be copied."""
    url = server().keep(server().new_url())
    Store.open(url, migrate=True).close()
    return url


@cache
def with_tables() -> str:
    """A database with the recorder's tables alone, to be copied."""
    url = server().keep(server().new_url())
    database = Postgres(url)
    with database.write() as connection:
        metadata.create_all(connection)
    database.close()
    return url


@contextmanager
def recorders() -> Iterator[Postgres]:
    """A database with the recorder's tables, for the length of the block."""
    database = Postgres(copied_url(with_tables()))
    yield database
    database.close()


def new_url(directory: Path) -> str:
    """An empty, migrated database of the kind that is wanted."""
    if wanted():
        return copied_url(migrated())
    return f"sqlite:///{directory}/bastion.db"


def copied_url(url: str) -> str:
    """A copy of a database to which nobody is connected, or about to leave."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return server().new_url(url)
        except psycopg.errors.ObjectInUse:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def new_empty_url() -> str | None:
    """A database without anything in it for whoever makes a home; None where that makes a file."""
    return server().new_url() if wanted() else None


def give_copy(home: Home) -> None:
    """To a home that was copied, a database of its own; a file was copied with it."""
    if wanted():
        url = Settings.read(home).database_url(home)
        text = home.settings.read_text()
        home.settings.write_text(text.replace(url, copied_url(url)))


def url_again(store: Store) -> str:
    """The URL of a store's database. Nobody needs a password here."""
    name = store.database.name
    return name if "://" in name else f"sqlite:///{name}"


@contextmanager
def dropping() -> Iterator[None]:
    """Whatever database is made within the block is gone behind it."""
    if not wanted():
        yield
        return
    with server().dropping():
        yield


def finish() -> None:
    """End the server, if there is one."""
    if server.cache_info().currsize:
        server().remove()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def until_answers(url: str) -> None:
    """Waits until a server answers again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
