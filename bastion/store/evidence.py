"""The log as it lies in the database, for whoever judges it: rows, not values.

Nothing is taken for what it should be: a text may be bytes or no UTF-8, a number a text, a row may
be missing. `bastion.chains` says what is wrong with it. Reading goes past SQLAlchemy, which would
stop at the first time that is none, and is slower.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from sqlalchemy import Connection

from bastion.chains import EVENT_COLUMNS, Row
from bastion.errors import Unavailable

BATCH = 100
"""Rows between two rests: a millisecond or two of judging."""

_EVERYTHING = -(2**63)
_COLUMNS = ", ".join(f'"{name}"' for name in EVENT_COLUMNS)
_EVENTS = f"SELECT {_COLUMNS} FROM events"  # noqa: S608 (names of ours)
_CHECKPOINTS = "SELECT id, at, body, signature FROM checkpoints"
_HEADS = "SELECT node, boot, seq, hash, sealed FROM heads"

_GUARDED = ("events", "checkpoints", "policies")
_TRIGGERS = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"


class Evidence(Protocol):
    """The log in one consistent view."""

    def events(self) -> Iterator[Row]:
        """All events in the order of their numbers, as `EVENT_COLUMNS`; streamed."""

    def checkpoints(self) -> Iterator[Row]:
        """All checkpoints in the order of their numbers: id, at, body, signature; streamed."""

    def heads(self) -> list[Row]:
        """All heads: node, boot, seq, hash, sealed."""

    def open_tables(self) -> list[str]:
        """The tables that the database no longer guards as it should, or does more with."""


_TIME_THERE = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
_COLUMNS_THERE = ", ".join(_TIME_THERE if name == "at" else f'"{name}"' for name in EVENT_COLUMNS)
_EVENTS_THERE = f"SELECT {_COLUMNS_THERE} FROM events ORDER BY id"  # noqa: S608 (names of ours)
_CHECKPOINTS_THERE = f"SELECT id, {_TIME_THERE}, body, signature FROM checkpoints ORDER BY id"  # noqa: S608

REFUSAL: Final = "BEGIN RAISE EXCEPTION '% are never changed', TG_TABLE_NAME; END"
"""What the function `bastion_refuses` of PostgreSQL does, as the migrations have written it."""

_GUARDS_THERE = """
SELECT t.tgname, c.relname, t.tgtype, t.tgenabled, t.tgqual IS NULL AND t.tgattr = '', p.prosrc
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
"""
_ROWS_THERE, _TABLE_THERE = 27, 34
"""pg_trigger.tgtype: before an update or a delete of a row; before a truncate of a table."""


@contextmanager
def opened(connection: Connection, rest: Callable[[], None]) -> Iterator[Evidence]:
    """The log as this transaction sees it, for the length of the block.

    It calls `rest` after every batch of rows.
    """
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        yield OfPostgres(connection, rest)
        return
    try:
        yield OfSqlite(raw, rest)
    finally:
        raw.text_factory = str


class OfPostgres:
    """The log on PostgreSQL, where a text is a text, a number is one, and a time may be none."""

    def __init__(self, connection: Connection, rest: Callable[[], None]) -> None:
        self._connection = connection
        self._rest = rest

    def events(self) -> Iterator[Row]:
        """All events in the order of their numbers, as `EVENT_COLUMNS`; streamed."""
        return self._streamed(_EVENTS_THERE)

    def checkpoints(self) -> Iterator[Row]:
        """All checkpoints in the order of their numbers: id, at, body, signature; streamed."""
        return self._streamed(_CHECKPOINTS_THERE)

    def heads(self) -> list[Row]:
        """All heads: node, boot, seq, hash, sealed."""
        return [tuple(row) for row in self._connection.exec_driver_sql(_HEADS)]

    def open_tables(self) -> list[str]:
        """The tables that the database no longer guards as it should, or does more with."""
        found = {row[0]: tuple(row[1:]) for row in self._connection.exec_driver_sql(_GUARDS_THERE)}
        ours = {
            f"{table}_no_{act}": (table, kind, "O", True, REFUSAL)
            for table in _GUARDED
            for act, kind in (("change", _ROWS_THERE), ("truncate", _TABLE_THERE))
        }
        odd = {made[0] for name, made in ours.items() if found.get(name) != made}
        return sorted(odd | {made[0] for name, made in found.items() if name not in ours})

    def _streamed(self, statement: str) -> Iterator[Row]:
        options = {"yield_per": BATCH}
        streaming = self._connection.execution_options(**options)
        with streaming.exec_driver_sql(statement) as rows:
            for number, row in enumerate(rows, 1):
                yield tuple(row)
                if number % BATCH == 0:
                    self._rest()


class OfSqlite:
    """The log on SQLite, where anything may stand anywhere."""

    def __init__(self, raw: sqlite3.Connection, rest: Callable[[], None]) -> None:
        self._raw = raw
        self._rest = rest

    def events(self) -> Iterator[Row]:
        """All events in the order of their numbers, as `EVENT_COLUMNS`; streamed."""
        return self._numbered(_EVENTS)

    def checkpoints(self) -> Iterator[Row]:
        """All checkpoints in the order of their numbers: id, at, body, signature; streamed."""
        return self._numbered(_CHECKPOINTS)

    def heads(self) -> list[Row]:
        """All heads: node, boot, seq, hash, sealed."""
        try:
            return self._raw.execute(_HEADS).fetchall()
        except sqlite3.OperationalError:
            return self._leniently(_HEADS, ()).fetchall()

    def open_tables(self) -> list[str]:
        """The tables that the database no longer guards as it should, or does more with."""
        found = {name: (table, sql) for name, table, sql in self._raw.execute(_TRIGGERS)}
        ours = {
            f"{table}_no_{act}": (table, guard(table, act)) for table in _GUARDED for act in _ACTS
        }
        odd = {table for name, (table, sql) in ours.items() if found.get(name) != (table, sql)}
        return sorted(odd | {table for name, (table, _) in found.items() if name not in ours})

    def _numbered(self, statement: str) -> Iterator[Row]:
        """Rows in the order of their numbers. After one that is no UTF-8 it goes on, slower."""
        ordered, last = f"{statement} WHERE id >= ? ORDER BY id", _EVERYTHING
        cursor = self._raw.execute(ordered, (last,))
        lenient = False
        while True:
            try:
                rows = cursor.fetchmany(BATCH)
            except sqlite3.OperationalError:
                if lenient:
                    raise
                lenient, cursor = True, self._leniently(ordered, (last,))
                continue
            if not rows:
                return
            yield from rows
            last = _next(rows[-1])
            self._rest()

    def _leniently(self, statement: str, values: tuple[int, ...]) -> sqlite3.Cursor:
        """The same rows, with what is no UTF-8 kept in its texts as surrogates."""
        self._raw.text_factory = _lenient
        return self._raw.execute(statement, values)


_ACTS = ("update", "delete", "replace")
_TWINS = {"events": "id = NEW.id OR (node = NEW.node AND boot = NEW.boot AND seq = NEW.seq)"}


def guard(table: str, act: str) -> str:
    """The trigger that refuses `act` on `table`, as the migrations have written it.

    To insert in the place of a row is an act of its own: SQLite deletes silently for it.
    """
    refused = f"BEGIN SELECT RAISE(ABORT, '{table} are never changed'); END"
    if act != "replace":
        return f"CREATE TRIGGER {table}_no_{act} BEFORE {act} ON {table} {refused}"
    twin = f"SELECT 1 FROM {table} WHERE {_TWINS.get(table, 'id = NEW.id')}"  # noqa: S608 (ours)
    return (
        f"CREATE TRIGGER {table}_no_replace BEFORE insert ON {table} WHEN EXISTS ({twin}) {refused}"
    )


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _next(row: Row) -> int:
    if not isinstance(row[0], int):
        raise Unavailable("The log's table is not the one that this program made.")
    return row[0] + 1
