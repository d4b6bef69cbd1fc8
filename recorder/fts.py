"""The text index in SQLite: a file of its own, made from recordings, made anew when it is lost.

    sessions   how far each is indexed, and whose it is, as words
    chunks     lines, some dozens in each row, compressed
    words      an index (FTS5) of the words in each chunk, which keeps no text, and of whose it is
    untidy     sessions that were dropped, of which the index may have words still

A file of its own, so that nobody at the doors waits for it, and a copy of the database is small.
It holds what recordings show: like them, only its owner may read it.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from recorder.chunks import Chunk, filled, packed, unpacked
from recorder.errors import IndexUnavailable
from recorder.needle import BETWEEN, Needle, indexed
from recorder.session import Session
from recorder.sieve import Search, about_of, milliseconds, whose
from recorder.texts import Found, Standing, State, Update, WantedLines

VERSION: Final = 1
"""Of what is in the file. A file with another is made anew."""

PATIENCE: Final = 5.0
"""Seconds to wait for one's turn."""

STEP: Final = 200
"""Pages that one step of tidying up writes."""

_NEWEST = 2**62
_LOST = ("SQLITE_CORRUPT", "SQLITE_NOTADB")

_SCHEMA = """
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, state TEXT NOT NULL, reason TEXT, left_out INTEGER NOT NULL,
    about TEXT NOT NULL
);
CREATE INDEX sessions_again ON sessions (id) WHERE state = 'again';
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, began INTEGER NOT NULL,
    ended INTEGER NOT NULL, open INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX chunks_session ON chunks (session);
CREATE INDEX chunks_began ON chunks (began);
CREATE INDEX chunks_ended ON chunks (ended);
CREATE TABLE untidy (session INTEGER PRIMARY KEY);
CREATE VIRTUAL TABLE words USING fts5(
    text, about, content='', columnsize=0, tokenize='unicode61 remove_diacritics 0'
);
INSERT INTO words (words, rank) VALUES ('automerge', 8);
"""

_HITS = (
    "SELECT chunks.session, chunks.began, chunks.body FROM words "
    "JOIN chunks ON chunks.id = words.rowid "
    "WHERE words MATCH ? AND words.rowid BETWEEN ? AND ? ORDER BY words.rowid DESC"
)
_OF_SESSION = "SELECT min(id), max(id) FROM chunks WHERE session = ?"
# Told which index: SQLite would go through the table, lines and all, in the order of `id`.
_SINCE = f"SELECT min(id), {_NEWEST} FROM chunks INDEXED BY chunks_ended WHERE ended >= ?"  # noqa: S608 (a number)
_UNTIL = "SELECT 0, max(id) FROM chunks INDEXED BY chunks_began WHERE began < ?"


class SqliteTexts:
    """Implements `texts.Texts` in `file`, which is made when something is first kept in it."""

    def __init__(self, file: Path, patience: float = PATIENCE) -> None:
        self._file = file
        self._patience = patience
        self._lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._let_go()

    def write(self, updates: Sequence[Update]) -> None:
        """Keep all of them, or none. What is GONE stays so."""
        with self._writing() as connection:
            for update in updates:
                _keep(connection, update)

    def standings(self, sessions: Collection[int]) -> Mapping[int, Standing]:
        """What is known of these sessions, as far as anything is."""
        numbers = ",".join(str(int(number)) for number in sessions)
        asked = f"SELECT id, state, reason, left_out FROM sessions WHERE id IN ({numbers})"  # noqa: S608 (numbers)
        with self._reading() as connection:
            rows = [] if connection is None else connection.execute(asked).fetchall()
        return {row[0]: Standing(State(row[1]), row[2], bool(row[3])) for row in rows}

    def between(self, first: int, last: int) -> Mapping[int, State]:
        """The states of the sessions with these numbers and those between them."""
        asked = "SELECT id, state FROM sessions WHERE id BETWEEN ? AND ?"
        with self._reading() as connection:
            rows = [] if connection is None else connection.execute(asked, (first, last)).fetchall()
        return {number: State(state) for number, state in rows}

    def take_over(self, session: int) -> None:
        """Have a session made anew. What is GONE stays so."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO sessions VALUES (?, 'again', NULL, 0, '') ON CONFLICT (id) "
                "DO UPDATE SET state = 'again', reason = NULL WHERE state <> 'gone'",
                (session,),
            )

    def is_made_here(self, _session: int) -> bool:
        """There is no other machine that could."""
        return True

    def again(self, limit: int) -> list[int]:
        """Sessions that are to be made anew, the oldest first."""
        asked = "SELECT id FROM sessions WHERE state = 'again' ORDER BY id LIMIT ?"
        with self._reading() as connection:
            rows = [] if connection is None else connection.execute(asked, (limit,)).fetchall()
        return [number for (number,) in rows]

    def find(
        self,
        needle: Needle,
        wanted: WantedLines,
        *,
        limit: int,
        rest: Callable[[], object] = lambda: None,
    ) -> Found:
        """The lines that hold it, at most `limit`; `rest` is called between pieces of work."""
        with self._reading() as connection:
            if connection is None:
                return Found()
            first, last = _bounds(connection, wanted)
            rows = connection.execute(_HITS, (_match(needle, wanted), first, last))
            search = Search(needle, wanted, limit)
            while not search.over and (some := rows.fetchmany(20)):
                for session, began, body in some:
                    search.look(session, began, body)
                rest()
            return search.found()

    def forget(self, session: int) -> None:
        """Drop all that there is of a session, for good. Once more does nothing."""
        with self._writing() as connection:
            if _drop(connection, session, ""):
                connection.execute("INSERT OR IGNORE INTO untidy VALUES (?)", (session,))
            connection.execute(
                "INSERT INTO sessions VALUES (?, 'gone', NULL, 0, '') "
                "ON CONFLICT (id) DO UPDATE SET state = 'gone', reason = NULL, about = ''",
                (session,),
            )

    def make_anew(self) -> None:
        """Have all of it made anew; until then it stays as it is."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE sessions SET state = 'again' WHERE state IN ('whole', 'closed', 'failed')"
            )

    def tidy(self) -> bool:
        """A step of taking what was dropped out of the file; whether there is another."""
        with self._writing() as connection:
            if connection.execute("SELECT 1 FROM untidy LIMIT 1").fetchone() is None:
                return False
            before = connection.total_changes
            connection.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (-STEP,))
            if connection.total_changes - before >= 2:  # as SQLite's documentation of FTS5 has it
                return True
            connection.execute("DELETE FROM untidy")
            return False

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A view of the file for the length of the block; None where nothing was kept yet."""
        with self._renamed():
            if not self._file.is_file():
                yield None
                return
            with closing(self._connected("ro")) as connection:
                found = _version(connection)
                if found not in (0, VERSION):
                    raise IndexUnavailable(
                        f"{self._file} was made by another version: the service makes it anew"
                    )
                yield connection if found else None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction for the length of the block. A damaged file is begun anew, and said."""
        with self._lock, self._renamed():
            try:
                connection = self._opened()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                self._let_go()
                if error.sqlite_errorname.startswith(_LOST):
                    self._remove()
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._writer is not None and not self._file.is_file():
            self._let_go()
            raise IndexUnavailable(f"the text index {self._file} was removed, and is made anew")
        if self._writer is None:
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = self._connected("rw")
            if _version(connection) not in (0, VERSION):
                connection.close()
                self._remove()
                return self._opened()
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._writer = connection
        if _version(self._writer) == 0:
            _make(self._writer)
        return self._writer

    def _connected(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._file.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=self._patience,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA cache_size = -8000")
        return connection

    def _let_go(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(sqlite3.Error):
                writer.close()

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _renamed(self) -> Iterator[None]:
        """What the database and the disk raise, as IndexUnavailable."""
        try:
            yield
        except sqlite3.Error as error:
            raise IndexUnavailable(f"the text index {self._file} can't be used: {error}") from error
        except OSError as error:
            reason = error.strerror or error
            raise IndexUnavailable(
                f"the text index {self._file} can't be used: {reason}"
            ) from error


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) == 0:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _keep(connection: sqlite3.Connection, update: Update) -> None:
    session, standing = update.session, update.standing
    asked = "SELECT state FROM sessions WHERE id = ?"
    known = connection.execute(asked, (session.id,)).fetchone()
    if known is not None and known[0] == State.GONE:
        return
    if known is not None:
        _drop(connection, session.id, "" if update.anew else "AND open")
    connection.execute(
        "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)",
        (session.id, standing.state, standing.reason, standing.left_out, about_of(session)),
    )
    for chunk in update.chunks:
        _add(connection, session, chunk, is_open=False)
    for chunk in filled(update.tail):
        _add(connection, session, chunk, is_open=True)


def _add(connection: sqlite3.Connection, session: Session, chunk: Chunk, *, is_open: bool) -> None:
    times = [line.time for line in chunk]
    began, ended = (
        milliseconds(session.started_at + timedelta(seconds=each))
        for each in (min(times), max(times))
    )
    row = connection.execute(
        "INSERT INTO chunks (session, began, ended, open, body) VALUES (?, ?, ?, ?, ?) "
        "RETURNING id",
        (session.id, began, ended, is_open, packed(chunk)),
    ).fetchone()
    connection.execute(
        "INSERT INTO words (rowid, text, about) VALUES (?, ?, ?)",
        (row[0], _words(chunk), about_of(session)),
    )


def _drop(connection: sqlite3.Connection, session: int, which: str) -> int:
    """How many chunks of a session were dropped. The index has to be told what they were."""
    asked = (
        "SELECT chunks.id, about, body FROM chunks JOIN sessions ON sessions.id = chunks.session "  # noqa: S608 (ours)
        f"WHERE session = ? {which}"
    )
    rows = connection.execute(asked, (session,)).fetchall()
    for number, about, body in rows:
        connection.execute(
            "INSERT INTO words (words, rowid, text, about) VALUES ('delete', ?, ?, ?)",
            (number, _words(unpacked(body)), about),
        )
        connection.execute("DELETE FROM chunks WHERE id = ?", (number,))
    return len(rows)


def _words(chunk: Chunk) -> str:
    return indexed("\n".join(line.text for line in chunk)).replace("\n", f" {BETWEEN} ")


def _match(needle: Needle, wanted: WantedLines) -> str:
    """As FTS5 has it: the words one behind the other, and whose it has to be."""
    words = needle.words.replace('"', '""')
    text = f'text : "{words}"{" *" if needle.goes_on else ""}'
    return " AND ".join([text, *(f'about : "{each}"' for each in whose(wanted))])


def _bounds(connection: sqlite3.Connection, wanted: WantedLines) -> tuple[int, int]:
    """Between which chunks, both among them, what is wanted is: they are nearly in time's order."""
    asked: list[tuple[str, int]] = []
    if wanted.session is not None:
        asked.append((_OF_SESSION, wanted.session))
    if wanted.since is not None:
        asked.append((_SINCE, milliseconds(wanted.since)))
    if wanted.until is not None:
        asked.append((_UNTIL, milliseconds(wanted.until)))
    first, last = 0, _NEWEST
    for statement, value in asked:
        low, high = connection.execute(statement, (value,)).fetchone()
        first = max(first, _NEWEST if low is None else low)
        last = min(last, -1 if high is None else high)
    return first, last
