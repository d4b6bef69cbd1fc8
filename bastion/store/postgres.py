"""PostgreSQL: one server for several bastions. The same promises as SQLite's, kept by other means.

A writer is alone by an advisory lock that ends with its transaction, a reader sees one moment by
REPEATABLE READ. Whatever waits, waits so long and no longer: for a connection, for a turn, for an
answer, for a peer that is gone.
Source: https://www.postgresql.org/docs/15/ (explicit-locking, transaction-iso, libpq-connect)
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.util import EMPTY_DICT

from bastion.errors import Misconfigured
from bastion.store.database import PATIENCE, READERS

if TYPE_CHECKING:
    from bastion.store.answers import Patient

WRITERS: Final = 4
"""Connections for writers: one writes, the others wait for the lock."""

_LONGEST_ANSWER: Final = 60
"""Seconds that one statement may take, and that a transaction may stand still."""

SILENCE: Final = _LONGEST_ANSWER + 5.0
"""Seconds without any answer after which a server has stopped: it does not keep its own limits."""

_TURN: Final = text("SELECT pg_advisory_xact_lock(7022)")
"""Of this database: whoever holds it is the only one who writes."""

_LEAD: Final = text("SELECT pg_try_advisory_lock(7023)")
_STILL: Final = text("SELECT 1")

_SNAPSHOT: Final = text("SELECT pg_current_snapshot()::text")
"""Which transactions can be seen: another text whenever one that wrote has begun or ended."""


class Postgres:
    """A database of a server, for this process; waits `patience` seconds at each turn.

    One that says nothing for `silence` seconds is not waited for any more. It is a
    `bastion.store.database.Database`.
    """

    def __init__(self, url: str, patience: float = PATIENCE, silence: float = SILENCE) -> None:
        where = url_of(url)
        self.name = str(where._replace(drivername="postgresql", password=None, query=EMPTY_DICT))
        self.patience = patience
        self._closed = threading.Event()
        waits = _Waits(patience, silence, self._closed)
        self._reader = _engine(where, waits, READERS, "REPEATABLE READ")
        self._writer = _engine(where, waits, WRITERS, "READ COMMITTED")
        self._watch: Connection | None = None
        self._watch_lock = threading.Lock()
        self._lead: Connection | None = None
        self._leading = False
        self._lead_lock = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view for the length of the block."""
        with self._lent(self._reader) as connection, connection.begin():
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that excludes other writers, of this process and of any other.

        READ COMMITTED: what it reads behind the lock is what the writer before has left.
        """
        with self._lent(self._writer) as connection, connection.begin():
            connection.execute(_TURN)
            yield connection

    @contextmanager
    def aside(self) -> Iterator[Connection]:
        """A transaction for what nobody decides by: it keeps no other writer waiting."""
        with self._lent(self._writer) as connection, connection.begin():
            yield connection

    def version(self) -> str:
        """A stamp that changes whenever anybody has written; takes a round trip."""
        with self._watch_lock:
            try:
                if self._watch is None:
                    self._watch = self._reader.connect().execution_options(
                        isolation_level="AUTOCOMMIT"
                    )
                return str(self._watch.execute(_SNAPSHOT).scalar_one())
            except BaseException:
                self._forget_watch()
                raise

    def leads(self) -> bool:
        """Whether this process holds the lock of whoever leads: it goes with the connection."""
        with self._lead_lock:
            try:
                if self._lead is None:
                    self._lead = self._reader.connect().execution_options(
                        isolation_level="AUTOCOMMIT"
                    )
                    self._leading = False
                if not self._leading:
                    self._leading = bool(self._lead.execute(_LEAD).scalar_one())
                else:
                    self._lead.execute(_STILL)
            except BaseException:
                self._forget_lead()
                raise
            return self._leading

    def trouble(self, error: BaseException | None) -> str:
        """What is wrong with it, and the mend: what stands behind its name in a sentence."""
        if self._closed.is_set():
            return "was closed here: this process is at its end"
        state = str(getattr(error, "sqlstate", None) or "")
        known = _TROUBLES.get(state) or _TROUBLES.get(state[:2], "")
        return known or f"does not answer: {_words(error)}"

    def close(self) -> None:
        """Give back all connections; those that a thread still has are closed when it is done."""
        self._closed.set()
        with self._watch_lock:
            self._forget_watch()
        with self._lead_lock:
            self._forget_lead()
        self._reader.dispose()
        self._writer.dispose()

    @contextmanager
    def _lent(self, engine: Engine) -> Iterator[Connection]:
        with engine.connect() as connection:
            try:
                yield connection
            finally:
                if self._closed.is_set():  # its pool is gone, and nobody else would close it
                    connection.invalidate()

    def _forget_lead(self) -> None:
        """The connection is closed for good: back in the pool it would hold the lock on."""
        self._leading = False
        if self._lead is not None:
            self._lead.invalidate()
            self._lead.close()
            self._lead = None

    def _forget_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


def url_of(url: str) -> URL:
    """A URL of PostgreSQL, for the driver that is used. Raises Misconfigured."""
    try:
        where = make_url(url)
    except (ArgumentError, ValueError):
        raise Misconfigured(_UNREADABLE) from None
    if not where.database:
        raise Misconfigured(_UNREADABLE)
    return where.set(drivername="postgresql+psycopg")


_UNREADABLE = (
    "The database URL can't be read: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with "
    "%XX for what is special in it."
)


def _words(error: BaseException | None) -> str:
    """What a server said that did not let us in (libpq keeps no code of it), else what to do."""
    said = str(error).partition("FATAL:")[2].strip().splitlines()
    return said[0][:200] if said else "look whether its server runs and can be reached"


@dataclass(frozen=True, slots=True)
class _Waits:
    """Seconds: for a turn, and for an answer. For none once it is `closed`."""

    patience: float
    silence: float
    closed: threading.Event


def _engine(where: URL, waits: _Waits, size: int, isolation: str) -> Engine:
    # Where the database is a file, nobody needs these four megabytes in each process.
    from bastion.store.answers import Closed, Patient  # noqa: PLC0415

    engine = create_engine(
        where,
        pool_size=size,
        max_overflow=0,
        pool_timeout=waits.patience,
        pool_pre_ping=True,  # a server that was restarted is no error
        isolation_level=isolation,
        connect_args=_arguments(waits.patience),
    )

    @event.listens_for(engine, "do_connect")
    def connects(_d: object, _r: object, args: list[str], named: dict[str, Any]) -> "Patient":
        if waits.closed.is_set():
            raise Closed
        connection = Patient.connect(*args, **named)
        connection.answer = waits.silence
        return connection

    return engine


def _arguments(patience: float) -> dict[str, object]:
    """What libpq is told: a peer that says nothing any more is noticed within ten seconds."""
    waits = {
        "lock_timeout": round(patience * 1000),
        "statement_timeout": _LONGEST_ANSWER * 1000,
        "idle_in_transaction_session_timeout": _LONGEST_ANSWER * 1000,
    }
    return {
        "application_name": "bastion",
        "connect_timeout": max(2, round(patience)),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "options": " ".join(f"-c {name}={value}" for name, value in waits.items()),
    }


_TROUBLES = {
    "55P03": "stays locked by another program: end that one, or try again",
    "57014": "took too long to answer; try again",
    "53100": "can't be written: there is no space left on its disk",
    "53300": "takes no more connections: raise max_connections, or run fewer workers",
    "25006": "can't be written: it is read-only",
    "42501": "does not allow that to this account: it has to own its tables",
    "42": "does not have what is looked for; its schema is of another version",
    "XX": "is damaged; restore it from a copy",
}
"""By SQLSTATE, or its class (PostgreSQL's appendix A)."""
