"""A copy of the database that somebody can put back, and numbers that are not given twice.

A file is copied here, as it stands at one moment, while others write. A server's database is copied
by the server's own tools, which know how.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import text

from bastion.store.database import as_sentences
from bastion.store.sqlite import Sqlite, make_file
from bastion.store.store import Store

NUMBERED: Final = {
    "requests": "id",
    "grants": "id",
    "certificates": "serial",
    "connections": "id",
    "sessions": "id",
}
"""The tables whose numbers people, tickets and lists of what is revoked know, and their columns."""

GAP: Final = 1_000_000
"""More than a busy bastion gives out between two backups: a signer signs no serial twice."""

_MOVE: Final = "UPDATE sqlite_sequence SET seq = seq + :gap WHERE name = :name"
_BEGIN: Final = "INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :gap)"
_SEQUENCE: Final = "SELECT pg_get_serial_sequence(:name, :column)"
_SET: Final = "SELECT setval(:sequence, nextval(:sequence) + :gap)"


def is_file(store: Store) -> bool:
    """Whether the database is a file that can be copied here."""
    return isinstance(store.database, Sqlite)


def size_of(store: Store) -> int:
    """How many bytes a copy takes, where the database is a file. Raises Unavailable."""
    with store.read() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        size = connection.execute(text("PRAGMA page_size")).scalar_one()
    return int(pages) * int(size)


def copy_to(store: Store, file: Path) -> None:
    """The database as it stands now, as a new file of mode 0600. Raises Unavailable.

    It is read at once and whole: writers go on meanwhile, and a step by step copy would begin anew
    whenever one of them wrote. Only for a database that `is_file`.
    """
    database = store.database
    if not isinstance(database, Sqlite):
        raise TypeError("a server's database is copied by its own tools")
    make_file(file)
    with (
        as_sentences(database),
        closing(
            sqlite3.connect(f"{database.file.absolute().as_uri()}?mode=ro", uri=True)
        ) as source,
        closing(sqlite3.connect(file)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")


def leap(store: Store) -> None:
    """Leave a gap in the numbers: what was given out after the copy was made is not given again.

    A list of what is revoked names serials, tickets name grants and sessions.
    """
    with store.write() as connection:
        for table, column in NUMBERED.items():
            if is_file(store):
                moved = connection.execute(text(_MOVE), {"gap": GAP, "name": table})
                if moved.rowcount == 0:  # nothing was ever in it
                    connection.execute(text(_BEGIN), {"gap": GAP, "name": table})
            else:
                names = {"name": table, "column": column}
                sequence = connection.execute(text(_SEQUENCE), names).scalar_one()
                connection.execute(text(_SET), {"sequence": sequence, "gap": GAP})
